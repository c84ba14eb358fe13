"""What clients notice when an application moves to its next version: failed requests under load, or the gap."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any, Self

import httpx

from bench import payloads
from bench.commands import MeasurementError
from bench.loadgen import NOTE
from bench.rows import BY_NAME, Result
from bench.session import Session, Stack
from bench.workspace import until
from heliostat.spec.addresses import ControllerAddress
from heliostat.spec.rollouts import Phase, Status
from heliostat.systems.http import open_sync_client

REQUESTS = 20_000
"""The fewest that an update under load has to see."""
_RETENTION_S = 5
_STEADY_S = 3
_ENDS = (Phase.SUCCEEDED, Phase.FAILED, Phase.SUPERSEDED)
_PROBE_EVERY_S = 0.02
_GAP = re.compile(r"gap\s+without\s+service\s+of\s+about\s+(\d+(?:\.\d+)?)\s+s\b")


def blue_green(session: Session) -> Iterable[Result]:
    """The whole new version beside the old one, all traffic at once, the old one gone: load from before to after."""
    yield _under_load(session, "rollouts/blue-green", {"kind": "blue-green", "retentionSeconds": _RETENTION_S})


def rolling(session: Session) -> Iterable[Result]:
    """A replica at a time: load from before to after."""
    yield _under_load(session, "rollouts/rolling", {"kind": "rolling"})


def recreate(session: Session) -> Iterable[Result]:
    """The gap that a client sees who asks fifty times a second, and what the preview said of it before."""
    stack = session.stack
    before = _status(stack)
    _change(stack, {"kind": "recreate"})
    told = gap_told(stack.workspace.heliostat("preview", seconds=120).output)
    with Probe(stack.predict_url) as probe:
        stack.workspace.up()
        after = _moved(stack, before)
        until(lambda: probe.good[-1] > time.monotonic() - 0.5, "the application answers again", 60)
    figures = after.rollout.figures if after.rollout else {}
    yield BY_NAME["rollouts/recreate-gap"].result(longest_gap(probe.good), controller=dict(figures))
    row = BY_NAME["rollouts/recreate-told"]
    yield row.failure("the preview says nothing of a gap") if told is None else row.result(told)


def gap_told(preview: str) -> float | None:
    """The seconds without service that a preview speaks of; None where it speaks of none."""
    found = _GAP.search(preview)
    return float(found[1]) if found else None


def longest_gap(good: Sequence[float]) -> float:
    """The longest time between two neighbouring good answers.

    Raises:
        MeasurementError: there are no two.
    """
    if len(good) < 2:
        raise MeasurementError("the application did not answer twice: there is no gap to measure")
    return max(later - earlier for earlier, later in pairwise(good))


class Probe:
    """A client that asks and asks, and keeps when it was answered well. Use as a context manager."""

    def __init__(self, url: str) -> None:
        self.good: list[float] = []
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: bool(self.good), f"{self._url} answers", 30)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask_on(self) -> None:
        with httpx.Client(timeout=2, trust_env=False) as client:
            while not self._stop.wait(_PROBE_EVERY_S):
                try:
                    status = client.post(self._url, json=payloads.flights()[0]).status_code
                except httpx.HTTPError:
                    continue
                if status == httpx.codes.OK:
                    self.good.append(time.monotonic())


def _under_load(session: Session, name: str, strategy: Mapping[str, Any]) -> Result:
    stack = session.stack
    before = _status(stack)
    rate = session.rows.load(stack.predict_url, _STEADY_S).rate
    _change(stack, strategy)
    with session.rows.under_load(stack.predict_url) as load:
        time.sleep(_STEADY_S)
        up = stack.workspace.up()
        after = _moved(stack, before)
        time.sleep(_STEADY_S)
        seen = load.finish(at_least_seconds=1.5 * REQUESTS / max(rate, 1.0))
    if seen.requests < REQUESTS:
        raise MeasurementError(f"only {seen.requests} requests were sent during the update: at least {REQUESTS} are needed")
    session.tell(f"{seen.requests:,} requests, {seen.failed} failed, p99 {seen.p99_ms:.0f} ms, `up` took {up.seconds:.1f} s")
    figures = after.rollout.figures if after.rollout else {}
    return BY_NAME[name].result(
        seen.failed, generator=NOTE, up_seconds=up.seconds, controller=dict(figures), load=asdict(seen)
    )


def _change(stack: Stack, strategy: Mapping[str, Any]) -> None:
    """The next version of the application, by a limit that is one row lower: nothing is trained for it."""

    def change(workloads: Any) -> None:
        serving = workloads["flights"].setdefault("serving", {})
        limits = serving.setdefault("limits", {})
        limits["maxRows"] = limits.get("maxRows", 1_000) - 1
        serving["strategy"] = dict(strategy)

    stack.workspace.edit("workloads", change)


def _moved(stack: Stack, before: Status) -> Status:
    """The application's status once its rollout has ended.

    Raises:
        MeasurementError: it failed, did not end, or nothing moved.
    """
    until(lambda: _has_ended(_status(stack)), "the rollout ends", 180)
    after = _status(stack)
    if after.rollout is None or after.rollout.phase != Phase.SUCCEEDED:
        raise MeasurementError(f"the rollout did not succeed: {after.rollout}")
    if before.serving and after.serving and before.serving.digest == after.serving.digest:
        raise MeasurementError(f"nothing moved: {after.serving.label} served before and serves now")
    return after


def _has_ended(status: Status) -> bool:
    return status.rollout is None or status.rollout.phase in _ENDS


def _status(stack: Stack) -> Status:
    """The application as its controller sees it.

    Raises:
        MeasurementError: the controller does not answer.
    """
    controller = ControllerAddress.model_validate(stack.outputs["platform"]["controller"])
    try:
        with open_sync_client(controller) as client:
            answer = client.get("/v1/applications/flights").raise_for_status()
    except httpx.HTTPError as error:
        raise MeasurementError(f"the controller at {controller.url} does not say how the application is: {error}") from error
    return Status.model_validate(answer.json())
