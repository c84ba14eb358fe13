"""The controller's API, as a bench calls it: plainly, so that what is measured is the controller and no client's patience."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

from bench.commands import MeasurementError
from heliostat.spec.addresses import ControllerAddress
from heliostat.spec.rollouts import ActionRequest, Declaration, Desired, Health, Origin, Phase, Record, RollbackRequest, Status
from heliostat.systems.http import open_sync_client

ENDS = (Phase.SUCCEEDED, Phase.FAILED, Phase.SUPERSEDED)
BY = "bench"
_POLL_S = 10.0


class Api:
    """One controller. Every method raises MeasurementError where a call fails."""

    def __init__(self, address: ControllerAddress) -> None:
        self._client = open_sync_client(address, _POLL_S + 20)

    def close(self) -> None:
        """Let go of its connections."""
        self._client.close()

    def health(self) -> Health | None:
        """The controller's health; None while it does not answer."""
        try:
            return Health.model_validate(self._client.get("/v1/health", timeout=5).raise_for_status().json())
        except (httpx.HTTPError, ValueError):
            return None

    def status(self, name: str) -> Status:
        """An application."""
        return Status.model_validate(self._call("GET", f"/v1/applications/{name}"))

    def declare(self, name: str, desired: Desired) -> Status:
        """Begin a rollout to `desired`."""
        body = Declaration(desired=desired, origin=Origin(by=BY)).model_dump(mode="json", by_alias=True)
        return Status.model_validate(self._call("PUT", f"/v1/applications/{name}", body))

    def approve(self, name: str) -> None:
        """Let a rollout that waits go on."""
        self._call("POST", f"/v1/applications/{name}/approve", ActionRequest(by=BY).model_dump(mode="json", by_alias=True))

    def abort(self, name: str) -> None:
        """Roll back what is on its way."""
        body = ActionRequest(by=BY, reason="as the bench has it").model_dump(mode="json", by_alias=True)
        self._call("POST", f"/v1/applications/{name}/abort", body)

    def rollback(self, name: str) -> Status:
        """Serve what served before."""
        body = RollbackRequest(by=BY).model_dump(mode="json", by_alias=True)
        return Status.model_validate(self._call("POST", f"/v1/applications/{name}/rollback", body))

    def record(self, name: str, number: int) -> Record:
        """A rollout with its samples."""
        return Record.model_validate(self._call("GET", f"/v1/applications/{name}/rollouts/{number}"))

    def until(self, name: str, ready: Callable[[Status], bool], what: str, seconds: float, patient: bool = False) -> Status:
        """The first status that is `ready`; looks at each event as it comes. `patient`: a controller that is away comes back.

        Raises:
            MeasurementError: there was none within `seconds`; the text ends with the rollout's story.
        """
        deadline = time.monotonic() + seconds
        known: Status | None = None
        while True:
            try:
                known = self._news(name, known, deadline)
                if ready(known):
                    return known
            except MeasurementError:
                if not patient:
                    raise
                time.sleep(0.1)
            if time.monotonic() > deadline:
                raise MeasurementError(f"{what}: not within {seconds:g} s; {told(known)}")

    def _news(self, name: str, known: Status | None, deadline: float) -> Status:
        if known is None or known.rollout is None:
            return self.status(name)
        patience = max(0.05, min(_POLL_S, deadline - time.monotonic()))
        query = {"rollout": known.rollout.number, "after": len(known.rollout.events), "seconds": round(patience, 3)}
        return Status.model_validate(self._call("GET", f"/v1/applications/{name}/wait", query=query))

    def _call(self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None) -> Any:
        try:
            answer = self._client.request(method, path, json=body, params=query)
        except httpx.HTTPError as error:
            raise MeasurementError(f"{method} {path}: {type(error).__name__}: {error}") from error
        if answer.status_code >= 400:
            raise MeasurementError(f"{method} {path}: {answer.status_code}: {answer.text[:1500]}")
        return answer.json()


def told(status: Status | None) -> str:
    """A rollout's story in a line a piece, for an error."""
    if status is None or status.rollout is None:
        return "no rollout was seen"
    rollout = status.rollout
    first = rollout.events[0].at if rollout.events else 0.0
    story = "\n".join(f"  {each.at - first:8.3f} s {each.phase}: {each.message}" for each in rollout.events)
    return f"rollout {rollout.number} is {rollout.phase} (step {rollout.step}): {rollout.error or 'no error'}\n{story}"
