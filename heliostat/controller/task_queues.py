"""The tasks of applications, asked of their replicas: what an operator sees and says, and what Prometheus is told.

Replicas know the broker and its credential; the controller knows the replicas.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import httpx
from fastapi import FastAPI, HTTPException, Path, Query, Response, status
from pydantic import ValidationError

from heliostat.controller.audit import event
from heliostat.controller.permissions import Who
from heliostat.controller.reconciler import Reconciler
from heliostat.rollout.model import Colour, State
from heliostat.spec.base import Name
from heliostat.spec.endpoints import backend_name, route_prefix
from heliostat.spec.roles import Identity
from heliostat.spec.task_queue import TASKS, QueueDepth, WorkerCount
from heliostat.systems.errors import RetryableError

_log = logging.getLogger(__name__)

_SECONDS = 10.0
_SCRAPE_SECONDS = 2.0

TaskId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]


class TaskQueues:
    """Asks replicas that clients reach."""

    def __init__(self, reconciler: Reconciler) -> None:
        self._reconciler = reconciler
        self.depths: dict[str, QueueDepth] = {}
        """As they were asked for last, of applications that take tasks and answer."""
        self.reasons: dict[tuple[str, str], str] = {}
        """What was decided last about a version's workers, by application and label."""

    async def ask(self, name: str, method: str, path: str = "", seconds: float = _SECONDS, **query: int) -> httpx.Response:
        """What a replica of an application answers at `path` below its tasks.

        Raises:
            RetryableError: none is there, or it does not answer.
        """
        url = await self._replica(name)
        if url is None:
            raise RetryableError(f"{name} has no replica that could say anything about its tasks")
        try:
            return await self._reconciler.client.request(method, f"{url}{TASKS}{path}", params=query, timeout=seconds)
        except httpx.HTTPError as error:
            raise RetryableError(f"the replica of {name} does not answer: {type(error).__name__}") from None

    async def refresh(self) -> None:
        """Ask for the depth of every queue; what does not answer in time is not told."""
        names = [name for name, state in self._reconciler.states.items() if takes_tasks(state)]
        found = await asyncio.gather(*(self.depth(name) for name in names))
        self.depths = {name: depth for name, depth in zip(names, found, strict=True) if depth is not None}

    def workers(self, name: str) -> tuple[WorkerCount, ...]:
        """The workers of an application, by version; none where that is not known."""
        reconciler, found = self._reconciler, list[WorkerCount]()
        for colour in Colour:
            desired = reconciler.states[name].slot(colour).desired
            there = reconciler.running.of(name, colour) if reconciler.running is not None else None
            if desired is not None and desired.version.queue is not None and there is not None:
                label, most = desired.version.label, desired.version.queue.workers.most
                reason = self.reasons.get((name, label), "")
                found.append(
                    WorkerCount(
                        version=label, replicas=there.workers, running=there.workers_running, max_replicas=most, reason=reason
                    )
                )
        return tuple(found)

    async def depth(self, name: str) -> QueueDepth | None:
        """What is in an application's queue, and who works on it; None where no replica says."""
        try:
            answer = await self.ask(name, "GET", seconds=_SCRAPE_SECONDS)
            if not answer.is_success:
                return None
            return QueueDepth.model_validate_json(answer.content).model_copy(update={"workers": self.workers(name)})
        except (RetryableError, ValidationError) as error:
            _log.info("the depth of %s's queue is not known: %s", name, error)
            return None

    async def _replica(self, name: str) -> str | None:
        snapshot = await self._reconciler.traffic.snapshot()
        share = snapshot.shares.get(name, 0)
        # The colour that most clients reach comes first.
        for colour in sorted(Colour, key=lambda colour: (colour is Colour.GREEN) != (share > 0)):
            for state in snapshot.backends.get(backend_name(name, colour.value), {}).values():
                if state.usable and state.answers:
                    place = state.endpoint
                    return f"http://{place.host}:{place.port}{route_prefix(name, colour.value)}"
        return None


def takes_tasks(state: State) -> bool:
    """Whether what is declared of an application does."""
    return state.declared is not None and state.declared.version.queue is not None


def add_task_queues(app: FastAPI, queues: TaskQueues, known: Callable[[str], State], reconciler: Reconciler) -> None:
    """Add what operators ask and say about tasks."""

    async def relayed(name: str, method: str, path: str, **query: int) -> Response:
        if not takes_tasks(known(name)):
            raise HTTPException(status.HTTP_404_NOT_FOUND, f"{name} takes no tasks: declare serving.queue")
        answer = await queues.ask(name, method, path, **query)
        return Response(answer.content, answer.status_code, media_type="application/json")

    @app.get("/v1/applications/{name}/tasks")
    async def depth(name: Name) -> Any:
        told = await relayed(name, "GET", "")
        if told.status_code != status.HTTP_200_OK:
            return told
        return QueueDepth.model_validate_json(bytes(told.body)).model_copy(update={"workers": queues.workers(name)})

    @app.get("/v1/applications/{name}/tasks/dead")
    async def dead(name: Name, most: Annotated[int, Query(ge=1, le=1000)] = 100) -> Any:
        return await relayed(name, "GET", "/dead", most=most)

    @app.get("/v1/applications/{name}/tasks/{task}")
    async def read(name: Name, task: TaskId) -> Any:
        return await relayed(name, "GET", f"/{task}")

    _add_orders(app, relayed, reconciler)


def _add_orders(app: FastAPI, relayed: Callable[[str, str, str], Awaitable[Response]], reconciler: Reconciler) -> None:
    async def ordered(name: str, task: str, verb: str, who: Identity) -> Response:
        answer = await relayed(name, "POST", f"/{task}/{verb}")
        if answer.status_code == status.HTTP_200_OK:
            reconciler.store.audits.post([event(who, f"task.{verb}", name, reconciler.now(), change=({}, {"task": task}))])
            reconciler.ledger.wake()
        return answer

    @app.post("/v1/applications/{name}/tasks/{task}/retry")
    async def retry(name: Name, task: TaskId, who: Who) -> Any:
        return await ordered(name, task, "retry", who)

    @app.post("/v1/applications/{name}/tasks/{task}/cancel")
    async def cancel(name: Name, task: TaskId, who: Who) -> Any:
        return await ordered(name, task, "cancel", who)
