"""The controller's API, from the outside: what `heliostat.spec.rollouts` says, typed."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import httpx
from pydantic import ConfigDict, TypeAdapter

from heliostat.spec.addresses import ControllerAddress, TokenVariable
from heliostat.spec.base import Model
from heliostat.spec.logins import ON_BEHALF_OF
from heliostat.spec.rollouts import (
    ActionRequest,
    Declaration,
    Health,
    Phase,
    Plan,
    Record,
    RollbackRequest,
    RollbackTarget,
    Rollout,
    Status,
)
from heliostat.spec.task_queue import QueueDepth, TaskView
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.governance_calls import ForbiddenError, GovernanceCalls
from heliostat.systems.http import open_client, reason, timeout_of

ENDS = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.SUPERSEDED})
POLL_SECONDS = 25.0
"""How long one long poll lasts."""
TOKEN_VARIABLE = "HELIOSTAT_TOKEN"  # noqa: S105 - a variable's name
"""What holds the token of who calls, where the stack's `access` section knows them; without it, it is the stack's own."""
_AGAIN_SECONDS = 0.5
_GRACE_SECONDS = 60.0
"""How long a controller that is being started again may be away while a rollout is followed."""

_LATER = ConfigDict(defer_build=True)
_STATUSES = TypeAdapter(tuple[Status, ...], config=_LATER)
_ROLLOUTS = TypeAdapter(tuple[Rollout, ...], config=_LATER)
_TASKS = TypeAdapter(tuple[TaskView, ...], config=_LATER)


class ConflictError(PermanentError):
    """What was asked does not go with what is; the text says what is, and what to do."""


class OtherReleaseError(PermanentError):
    """The controller does not know what it is told: it is of another release; the text says what to do."""


def as_person(address: ControllerAddress) -> ControllerAddress:
    """A controller's address by the caller's own token, where the environment has one."""
    own = {"credential": TokenVariable(variable=TOKEN_VARIABLE)}
    return address.model_copy(update=own) if os.environ.get(TOKEN_VARIABLE) else address


class ControllerClient(GovernanceCalls):
    """Speaks to one controller. Every method raises RetryableError where it does not answer."""

    def __init__(
        self, address: ControllerAddress, transport: httpx.AsyncBaseTransport | None = None, on_behalf_of: str = ""
    ) -> None:
        """`on_behalf_of`: the login, as `github:ada`, of whom all that is asked is asked for."""
        self._address = as_person(address)
        self._client = open_client(self._address, transport=transport)
        if on_behalf_of:
            self._client.headers[ON_BEHALF_OF] = on_behalf_of

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def health(self) -> Health:
        """The controller's own health."""
        return Health.model_validate(await self._call("GET", "/v1/health"))

    async def metrics(self) -> str:
        """Its figures, in Prometheus' format."""
        return str(await self._call("GET", "/metrics", is_text=True))

    async def read(self, name: str) -> Status | None:
        """An application; None where nothing of that name is declared or serves."""
        found = await self._call("GET", f"/v1/applications/{name}", none_at_404=True)
        return Status.model_validate(found) if found is not None else None

    async def list(self) -> tuple[Status, ...]:
        """Every application."""
        found = await self._call("GET", "/v1/applications")
        return _STATUSES.validate_python(found)

    async def declare(self, name: str, declaration: Declaration) -> Status:
        """Have an application be so; the same once more changes nothing.

        Raises:
            ConflictError: it was rolled back before, or the cluster cannot hold it; the text says what to do.
            OtherReleaseError: the controller does not know some of what is declared.
            PermanentError: the declaration cannot work; the text says why.
        """
        return await self._said("PUT", f"/v1/applications/{name}", declaration)

    async def plan(self, name: str, declaration: Declaration) -> Plan:
        """What `declare` would do; `shortage` and `refused` say where it would be a conflict.

        Raises:
            OtherReleaseError: the controller does not know some of what is declared.
            PermanentError: the declaration cannot work; the text says why.
        """
        body = declaration.model_dump(mode="json")
        return Plan.model_validate(await self._call("POST", f"/v1/applications/{name}/plan", body))

    async def approve(self, name: str, word: ActionRequest) -> Status:
        """Let a rollout that waits for a person go on.

        Raises:
            ConflictError: none waits, or not the rollout or the step that the word names, or it was approved already.
            PermanentError: there is no such application.
        """
        return await self._word(name, "approve", word)

    async def abort(self, name: str, word: ActionRequest) -> Status:
        """Roll back what is on its way.

        Raises:
            ConflictError: nothing is.
            PermanentError: there is no such application.
        """
        return await self._word(name, "abort", word)

    async def way_back(self, name: str) -> RollbackTarget:
        """What a rollback that names no entry would go back to now; nothing is done.

        Raises:
            ConflictError: there is nothing, or its artefacts are gone, or the cluster cannot hold it.
            PermanentError: there is no such application.
        """
        return RollbackTarget.model_validate(await self._call("GET", f"/v1/applications/{name}/rollback"))

    async def rollback(self, name: str, wish: RollbackRequest) -> Status:
        """Serve again what served before, or what an entry of the ledger says.

        Raises:
            ConflictError: there is none, it serves already, its artefacts are gone, or it is not what was expected.
            PermanentError: there is no such application.
        """
        return await self._said("POST", f"/v1/applications/{name}/rollback", wish)

    async def rollouts(self, name: str) -> tuple[Rollout, ...]:
        """Those that are remembered, the newest first, without their events; none where there is no such application."""
        found = await self._call("GET", f"/v1/applications/{name}/rollouts", none_at_404=True)
        return _ROLLOUTS.validate_python(found or [])

    async def record(self, name: str, number: int) -> Record | None:
        """One rollout with its events and figures over time; None where it is not remembered."""
        found = await self._call("GET", f"/v1/applications/{name}/rollouts/{number}", none_at_404=True)
        return Record.model_validate(found) if found is not None else None

    async def queue(self, name: str) -> QueueDepth | None:
        """What is in an application's queue of tasks; None where it takes none, or there is no such application."""
        found = await self._call("GET", f"/v1/applications/{name}/tasks", none_at_404=True)
        return QueueDepth.model_validate(found) if found is not None else None

    async def dead_letters(self, name: str, most: int) -> tuple[TaskView, ...]:
        """Its tasks that failed, the newest first.

        Raises:
            PermanentError: it takes no tasks.
        """
        return _TASKS.validate_python(await self._call("GET", f"/v1/applications/{name}/tasks/dead?most={most}"))

    async def task(self, name: str, task: str) -> TaskView | None:
        """One task, with its payload; None where there is none, or not any more."""
        found = await self._call("GET", f"/v1/applications/{name}/tasks/{task}", none_at_404=True)
        return TaskView.model_validate(found) if found is not None else None

    async def retry_task(self, name: str, task: str) -> TaskView:
        """Have a dead letter tried again as if it were new.

        Raises:
            ConflictError: it is none.
        """
        return TaskView.model_validate(await self._call("POST", f"/v1/applications/{name}/tasks/{task}/retry"))

    async def cancel_task(self, name: str, task: str) -> TaskView:
        """End a task that has not ended.

        Raises:
            ConflictError: it has.
            PermanentError: there is no such task.
        """
        return TaskView.model_validate(await self._call("POST", f"/v1/applications/{name}/tasks/{task}/cancel"))

    async def delete(self, name: str) -> None:
        """Begin to take an application away; nothing where it is gone."""
        await self._call("DELETE", f"/v1/applications/{name}", none_at_404=True)

    async def follow(self, name: str, status: Status, seconds: float = POLL_SECONDS) -> AsyncIterator[Status]:
        """`status`, and every later one that says more, up to and with the end of the rollout to what is declared.

        A new event is told at once, a change without one (figures, weights) within `seconds`; where nothing changes
        for hours, as in a pause, nothing is told for hours: who does not want to wait, stops asking. A rollout that is on
        its way to something older ends first. A controller that is started again meanwhile is waited for.

        Raises:
            RetryableError: the controller stays away.
        """
        loop = asyncio.get_running_loop()
        yield status
        heard = loop.time()
        while status.rollout is not None and not _is_through(status, status.rollout):
            number, seen = status.rollout.number, len(status.rollout.events)
            # Where nothing had to move for what is declared, no event says so.
            soon = status.pending and status.rollout.phase in ENDS
            try:
                found = await self._wait(name, number, seen, min(seconds, _AGAIN_SECONDS) if soon else seconds)
                heard = loop.time()
            except RetryableError:
                if loop.time() - heard > _GRACE_SECONDS:
                    raise
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            if found != status:
                status = found
                yield status

    async def _word(self, name: str, order: str, word: ActionRequest) -> Status:
        # Without what it does not say: a controller that is older than this must take an abort all the same.
        body = word.model_dump(mode="json", exclude_none=True)
        return Status.model_validate(await self._call("POST", f"/v1/applications/{name}/{order}", body))

    async def _said(self, method: str, path: str, body: Model) -> Status:
        return Status.model_validate(await self._call(method, path, body.model_dump(mode="json")))

    async def _wait(self, name: str, rollout: int, after: int, seconds: float = POLL_SECONDS) -> Status:
        path = f"/v1/applications/{name}/wait?rollout={rollout}&after={after}&seconds={seconds:g}"
        return Status.model_validate(await self._call("GET", path, seconds=seconds + 15))

    async def _call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        none_at_404: bool = False,
        is_text: bool = False,
        seconds: float = 30.0,
    ) -> object:
        timeout = timeout_of(self._address, seconds)
        try:
            answer = await self._client.request(method, path, json=body, timeout=timeout)
        except httpx.HTTPError as error:
            raise RetryableError(f"the controller at {self._address.url} does not answer: {reason(error)}") from None
        if answer.status_code == httpx.codes.NOT_FOUND and none_at_404:
            return None
        if answer.status_code >= 500:
            raise RetryableError(f"the controller at {self._address.url} failed: {_detail(answer)}")
        if answer.status_code == httpx.codes.FORBIDDEN:
            raise ForbiddenError(_detail(answer))
        if answer.status_code == httpx.codes.CONFLICT:
            raise ConflictError(_detail(answer))
        if _is_unread(answer):
            raise OtherReleaseError(
                f"the controller at {self._address.url} is of another release, and does not know what this one tells it "
                f"({_detail(answer)}); run `heliostat up` of the stack that has it with this release first"
            )
        if answer.status_code >= 400:
            raise PermanentError(f"the controller refused it ({answer.status_code}): {_detail(answer)}")
        if answer.status_code == httpx.codes.NO_CONTENT:
            return None
        result: object = answer.text if is_text else answer.json()
        return result


def serves_as_declared(status: Status) -> bool:
    """Whether what is declared is what serves, and nothing is on its way: what served already had needed no rollout."""
    rollout, desired = status.rollout, status.desired
    over = rollout is not None and rollout.phase in ENDS and not status.pending
    return over and desired is not None and status.serving == desired.version and status.cluster in ("", desired.cluster)


def _is_through(status: Status, rollout: Rollout) -> bool:
    """Whether the rollout to what is declared has ended, or none was needed."""
    if rollout.phase not in ENDS or status.pending:
        return False
    done = status.desired is None or rollout.to_version == status.desired.version.label
    return done or serves_as_declared(status)


def _is_unread(answer: httpx.Response) -> bool:
    """Whether the controller's models do not take a body. Every body is made of the same models here: those differ."""
    return answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY and _detail(answer).startswith("body.")


def _detail(answer: httpx.Response) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return str(answer.json()["detail"])
    return answer.text[:500]
