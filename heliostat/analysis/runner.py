"""One run of an analysis: compares a candidate with what serves; `heliostat.spec.analysis_runner` has its protocol.

The controller starts one beside each analysis. It asks replicas for the requests that clients sent last
(`heliostat.serving.tap`), reads the prediction log where there are too few, and the contract's golden requests where there are
none, and sends them to both versions; or, in a shadow, sends the candidate copies of what clients send.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from pydantic import ValidationError

from heliostat.analysis import custom_checks, custom_metrics, distances
from heliostat.analysis.client import session
from heliostat.analysis.model_metrics import Metrics
from heliostat.analysis.replay import Replay
from heliostat.analysis.shadow import Shadow
from heliostat.analysis.state import AnalysisState
from heliostat.spec.analysis import CustomCheck, Measurement, PredictionDistance, Verdict
from heliostat.spec.analysis_runner import AnalysisTask, Endpoints
from heliostat.spec.rollouts import Version
from heliostat.systems import code_packages
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import open_store

_SAY_SECONDS: Final = 0.5
_LOOK_SECONDS: Final = 0.1
_TRUTH_SECONDS: Final = 30.0
_CUSTOM_SECONDS: Final = 60.0
"""Between two runs of a custom check, at least."""
_METRIC_SECONDS: Final = 2.0
"""Between two calls of the workload's own metrics."""
_CUSTOM_AFTER: Final = 0.2
"""Share of the time that was left at the beginning after which it runs, however few requests were compared until then."""
_STAND_IN_AFTER: Final = 0.5
"""Share of a shadow's time, of what was left of it at the beginning, after which requests are replayed as soon as clients
send too few."""
_SERVING_SECONDS: Final = 3.0
"""How long replicas of what serves are waited for at the beginning."""

_log = logging.getLogger(__name__)


class AnalysisRunner:
    """One task, from the first endpoints to the end of stdin."""

    def __init__(self, task: AnalysisTask, out: IO[str]) -> None:
        self._task = task
        self._out = out
        self._began = time.monotonic()
        self._seconds = max(0.0, task.analysis.seconds - task.elapsed_seconds)
        """What is left of the analysis's time at the beginning."""
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Work beside stdin, and say every half second what came of it."""
        async with session() as http:
            self._state = AnalysisState(self._task, http)
            loop = asyncio.get_running_loop()
            heard = lambda line: loop.call_soon_threadsafe(self._heard, line)  # noqa: E731
            threading.Thread(target=_read_lines, args=(heard,), daemon=True).start()
            working = asyncio.gather(self._work_on(), self._say_on())
            over = asyncio.ensure_future(self._over.wait())
            await asyncio.wait((working, over), return_when=asyncio.FIRST_COMPLETED)
            failure = working.exception() if working.done() else None
            for each in (working, over):
                each.cancel()
            await asyncio.gather(working, over, return_exceptions=True)
            if failure:
                raise failure
            self._say()

    def _heard(self, line: bytes | None) -> None:
        if line is None:
            self._over.set()
            return
        try:
            self._state.meet(Endpoints.model_validate_json(line))
        except ValidationError as error:
            _log.warning("a line on stdin is no Endpoints: %s", error)

    async def _say_on(self) -> None:
        while True:
            self._say()
            await asyncio.sleep(_SAY_SECONDS)

    def _say(self) -> None:
        self._out.write(self._state.figures().model_dump_json() + "\n")
        self._out.flush()

    async def _work_on(self) -> None:
        self._warm_up()
        await self._until_there()
        async with asyncio.TaskGroup() as group:
            if self._state.metrics:
                await self._read_truth()
                group.create_task(self._read_truth_on())
            if self._task.shadow_share is None:
                group.create_task(self._replay())
            else:
                group.create_task(Shadow(self._state, self._task.shadow_share).run())
                group.create_task(self._stand_in())
            if self._state.custom_checks:
                group.create_task(self._run_custom_checks())
            if self._state.custom_metrics:
                group.create_task(self._run_custom_metrics())

    def _warm_up(self) -> None:
        """Import now what would hold up requests later, and their times with them."""
        if any(isinstance(check, PredictionDistance) for check in self._task.analysis.checks):
            distances.warm_up()
        if self._state.metrics:
            import sklearn.metrics  # noqa: F401

    async def _until_there(self) -> None:
        """Until replicas of the candidate are named, and a moment longer for those of what serves."""
        patience = time.monotonic() + _SERVING_SECONDS
        self._state.waits_for.add(self._task.candidate.label)
        await _until(lambda: self._state.candidate.urls)
        self._state.waits_for.discard(self._task.candidate.label)
        await _until(lambda: not self._task.serving or self._state.serving.urls or time.monotonic() > patience)

    @property
    def _left(self) -> float:
        """What is left of the analysis's time now, in seconds."""
        return max(0.0, self._seconds - (time.monotonic() - self._began))

    async def _replay(self) -> None:
        await Replay(self._state, max(1.0, self._left)).run()
        self._state.exhausted = True

    async def _stand_in(self) -> None:
        """Replay as soon as clients turn out to send too few, so that no traffic is no verdict either."""
        seconds, least = self._left, self._task.analysis.min_requests
        await asyncio.sleep(seconds * _STAND_IN_AFTER)
        while not sends_too_few(self._state.copied, seconds, self._left, least):
            if self._state.copied >= least:
                return
            await asyncio.sleep(_LOOK_SECONDS)
        await self._replay()

    async def _read_truth(self) -> None:
        try:
            await asyncio.to_thread(self._state.truth.refresh)
        except (PermanentError, RetryableError) as error:
            self._state.truth.mistakes["all of it"] = str(error)

    async def _read_truth_on(self) -> None:
        """What is learnt while this goes on counts too; in a shadow, nothing else sends the requests that it is about."""
        while True:
            if self._task.shadow_share is not None or self._state.exhausted:
                await Replay(self._state, _TRUTH_SECONDS).known(self._task.analysis.min_requests)
            await asyncio.sleep(_TRUTH_SECONDS)
            await self._read_truth()

    async def _run_custom_checks(self) -> None:
        await _until(self._ready_for_custom_checks)
        while True:
            for place, check in self._state.custom_checks:
                self._state.custom_figures[place] = await self._custom_check(check)
            await asyncio.sleep(max(_CUSTOM_SECONDS, self._task.analysis.seconds))

    async def _run_custom_metrics(self) -> None:
        """Call the workload's functions, and again whenever more rows have a truth."""
        rows: dict[int, int] = {}
        while True:
            for number, metrics in enumerate(self._state.custom_metrics):
                if metrics.rows and metrics.rows != rows.get(number):
                    rows[number] = metrics.rows
                    await self._custom_metric(metrics)
            await asyncio.sleep(_METRIC_SECONDS)

    async def _custom_metric(self, metrics: Metrics) -> None:
        own = metrics.custom
        assert own is not None  # noqa: S101 - the state has none but those
        try:
            code = await asyncio.to_thread(_code_of, self._task.candidate)
            metrics.measured_outside = await custom_metrics.measure(metrics, own, code)
        except Exception as error:  # whatever it is, it is this check's alone
            metrics.measured_outside = Measurement(text=f"it could not be computed: {type(error).__name__}: {error}")

    def _ready_for_custom_checks(self) -> bool:
        enough = self._state.exhausted or max(self._state.replayed, self._state.copied) >= self._task.analysis.min_requests
        return enough or time.monotonic() - self._began > self._seconds * _CUSTOM_AFTER

    async def _custom_check(self, check: CustomCheck) -> Measurement:
        await _until(lambda: self._state.candidate.urls)
        try:
            code = await asyncio.to_thread(_code_of, self._task.candidate)
            return await custom_checks.run(check, self._task, self._state.endpoints, tuple(self._state.samples), code)
        except Exception as error:  # whatever it is, it is this check's alone
            return Measurement(verdict=Verdict.INCONCLUSIVE, text=f"it could not be run: {type(error).__name__}: {error}")


def _code_of(version: Version) -> Path:
    return code_packages.fetch(version.code_uri, open_store(version.store))


def sends_too_few(copied: int, seconds: float, left: float, least: int) -> bool:
    """Whether copies stay below `least` where `copied` came so far, and more come as fast for what is `left` of `seconds`."""
    gone = seconds - left
    return copied + (copied / gone * left if gone > 0 else 0.0) < least


async def _until(condition: Callable[[], object]) -> None:
    """Until it holds; some of what is waited for is nothing but time."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_SECONDS)


def _read_lines(heard: Callable[[bytes | None], object]) -> None:
    """Lines of stdin, then None. Read past Python's buffer, whose lock a thread must not hold when the process ends."""
    left = b""
    with contextlib.suppress(RuntimeError):  # the loop is over already
        while chunk := os.read(0, 65_536):
            *lines, left = (left + chunk).split(b"\n")
            for line in filter(None, lines):
                heard(line)
        heard(None)
