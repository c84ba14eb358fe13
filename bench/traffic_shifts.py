"""How fast and how exactly traffic moves, and what clients notice of it: under a load of a constant rate."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from bench.answers import Answers
from bench.commands import MeasurementError
from bench.release_driver import ReleaseDriver, entered, in_phase
from bench.rows import BY_NAME, Result
from bench.session import Session
from heliostat.spec.rollouts import Phase
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep

RATE = 600
"""Requests a second."""
_ROUNDS = 3
_STEADY_S = 2.0
_WEIGHT = 25.0
_STEP_REQUESTS = 40_000
_STEP_S = 1.05 * _STEP_REQUESTS / RATE
_BEFORE_S = 20.0


def blue_green(session: Session) -> Iterable[Result]:
    """From the decision until all new requests are on the new version: as the controller has it, and as clients do."""
    driver, told, seen = ReleaseDriver(session.stack), [], []
    for _ in range(_ROUNDS):
        desired = driver.next(BlueGreen(retention_seconds=_STEADY_S))
        old = driver.serving().version.label
        with session.arrivals(RATE) as load:
            time.sleep(_STEADY_S)
            number = driver.begin(desired)
            driver.until(number, in_phase(Phase.RETAINING), "all traffic is on the new version")
            time.sleep(_STEADY_S)
            answers = load.finish()
        rollout = driver.ends_well(number)
        decided = driver.shifts(number)[-1].at
        last = answers.last(old)
        if last is None or answers.last(desired.version.label) is None:
            raise MeasurementError(f"not both versions answered: {answers.by_version()}")
        told.append(float(rollout.figures["shift_milliseconds"]))
        seen.append(1e3 * (last - decided))
        session.tell(f"the controller says {told[-1]:.1f} ms, clients {seen[-1]:.1f} ms")
    # Below 0, the last request on the old version was sent that long before the decision: a request is due each 1.7 ms.
    yield BY_NAME["rollouts/shift"].result(max(0.0, *seen), milliseconds=seen, requests_per_second=RATE)
    yield BY_NAME["rollouts/shift-controller"].result(max(told), milliseconds=told)


def canary(session: Session) -> Iterable[Result]:
    """One canary: a step of a weight and of many requests, then all of the traffic; the load lasts from before to after."""
    driver = ReleaseDriver(session.stack)
    desired = driver.next(Canary(steps=(CanaryStep(weight=_WEIGHT, pause_seconds=_STEP_S),), retention_seconds=_STEADY_S))
    with session.arrivals(RATE) as load:
        began = time.time()
        time.sleep(_BEFORE_S)
        number = driver.begin(desired)
        declared = time.time()
        rollout = driver.ends_well(number)
        time.sleep(_STEADY_S)
        answers = load.finish()
    first = driver.shifts(number)[0].at
    paused = entered(rollout, Phase.PAUSED)
    step = answers.between(paused, entered(rollout, Phase.SHIFTING, after=paused))
    before, after = answers.between(began, declared), answers.between(first)
    figures = {name: part.figures() for name, part in (("all", answers), ("before", before), ("after", after))}
    session.tell(f"{figures}")
    yield _weight(step, desired.version.label)
    yield BY_NAME["rollouts/canary"].result(answers.failed, load=figures["all"], generator_behind_ms=answers.behind_ms(RATE))
    yield BY_NAME["rollouts/p99"].result(after.quantile_ms(0.99) / before.quantile_ms(0.99), **figures)


def _weight(step: Answers, label: str) -> Result:
    if step.requests < _STEP_REQUESTS:
        raise MeasurementError(f"the step had {step.requests:,} requests: at least {_STEP_REQUESTS:,} are needed")
    measured = 100 * step.share(label)
    figures: dict[str, Any] = {"asked": _WEIGHT, "measured": round(measured, 3), "requests": step.requests}
    return BY_NAME["rollouts/weight"].result(abs(measured - _WEIGHT), **figures)
