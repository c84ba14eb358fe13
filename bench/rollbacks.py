"""What a bad version does to clients before its traffic is gone, and how fast a good one is back."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.answers import Answers
from bench.commands import MeasurementError
from bench.release_driver import ReleaseDriver, in_phase, packaged
from bench.rows import BY_NAME, Result
from bench.session import Session
from bench.traffic_shifts import RATE
from heliostat.spec.analysis import Analysis, SuccessRate
from heliostat.spec.rollouts import Desired, Phase
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep

_ROUNDS = 5
_WEIGHT = 10.0
_FAILING = 0.05
_WELL_S = 12.0
"""How long the candidate is well before it fails: what it did well must not hide what it does now."""
_LATEST_S = 60.0
_AFTER_S = 3.0
_RETENTION_S = 60.0
_CONTRACT = "workloads.flights.contract:CONTRACT"
_FAULT = """

# From here on: the bench's. It fails that share of its requests which the file says, from when the file is there.
import dataclasses as _dataclasses
import random as _random
import time as _time
from pathlib import Path as _Path

_FILE = _Path({file!r})
_known = [0.0, 0.0]


def _failing(score: float) -> Lateness:
    if _time.monotonic() > _known[0]:
        _known[:] = [_time.monotonic() + 0.02, float(_FILE.read_text()) if _FILE.exists() else 0.0]
    if _random.random() < _known[1]:
        raise RuntimeError("as the bench has it")
    return respond(score)


CONTRACT = _dataclasses.replace(CONTRACT, respond=_failing)
"""


def bad_candidate(session: Session) -> Iterable[Result]:
    """A canary at 10 % that is well, and then fails one in twenty of its requests: until no client meets it any more."""
    driver, seconds, meanwhile = ReleaseDriver(session.stack), [], []
    for number in range(1, _ROUNDS + 1):
        took, found = _fails(session, driver, number)
        seconds.append(took)
        meanwhile.append(found)
        session.tell(
            f"all traffic was back after {took:.2f} s; {100 * found.failed_share:.2f} % of all requests failed meanwhile"
        )
    figures = {"failing": _FAILING, "weight": _WEIGHT, "requests_per_second": RATE}
    yield BY_NAME["rollouts/bad-candidate"].result(max(seconds), seconds=seconds, **figures)
    percent = [100 * found.failed_share for found in meanwhile]
    counted = {"percent": percent, "worst": max(percent), "requests": sum(found.requests for found in meanwhile)}
    yield BY_NAME["rollouts/bad-candidate-failed"].result(pooled_percent(meanwhile), **counted, **figures)


def pooled_percent(rounds: Sequence[Answers]) -> float:
    """The percentage that failed of the requests of all rounds together.

    Some ten requests fail in a round: how many is chance, so what is judged is all that failed of all that were sent.
    """
    return 100 * sum(found.failed for found in rounds) / max(1, sum(found.requests for found in rounds))


def rollback(session: Session) -> Iterable[Result]:
    """Back to the version of before, while it is still there: from the call until all new requests are on it."""
    driver, seconds, rounds = ReleaseDriver(session.stack), [], []
    for _ in range(_ROUNDS):
        desired = driver.next(BlueGreen(retention_seconds=_RETENTION_S))
        with session.arrivals(RATE) as load:
            number = driver.begin(desired)
            driver.until(number, in_phase(Phase.RETAINING), "all traffic is on the new version")
            time.sleep(_AFTER_S)
            called = time.time()
            driver.api.rollback("flights")
            time.sleep(_AFTER_S)
            answers = load.finish()
        driver.serving()
        last = answers.last(desired.version.label)
        if last is None:
            raise MeasurementError(f"{desired.version.label} never answered: {answers.by_version()}")
        if last > called + _AFTER_S - 1:
            raise MeasurementError(f"{desired.version.label} still answered {_AFTER_S - 1:g} s after the rollback")
        seconds.append(max(0.0, last - called))
        rounds.append(answers)
        session.tell(f"{1e3 * seconds[-1]:.0f} ms, {answers.failed} of {answers.requests} requests failed")
    yield BY_NAME["rollouts/rollback"].result(max(seconds), seconds=seconds, requests_per_second=RATE)
    yield BY_NAME["rollouts/rollback-failed"].result(
        sum(found.failed for found in rounds),
        requests=sum(found.requests for found in rounds),
        failed_by_kind=[found.failed_by_kind() for found in rounds],
    )


def _fails(session: Session, driver: ReleaseDriver, number: int) -> tuple[float, Answers]:
    """Seconds until all traffic is back, and what came of all requests meanwhile."""
    file = session.folder / "fault" / f"share-{number}"
    desired = _faulty(session, driver, file)
    old, label = driver.serving().version.label, desired.version.label
    with session.arrivals(RATE) as load:
        rollout = driver.begin(desired)
        driver.until(rollout, in_phase(Phase.ANALYSING), "the canary is analysed")
        time.sleep(_WELL_S)
        file.write_text(str(_FAILING))
        began = time.time()
        driver.until(rollout, in_phase(Phase.ROLLING_BACK, Phase.FAILED), "it is rolled back", _LATEST_S)
        time.sleep(_AFTER_S)
        answers = load.finish()
    if (serving := driver.serving().version.label) != old:
        raise MeasurementError(f"{serving} serves, {old} should")
    last, early = answers.last(label), answers.between(end=began).failed
    if last is None or early:
        raise MeasurementError(f"{early} requests failed before the fault; the candidate's last answer was at {last}")
    return last - began, answers.between(began, last + 1e-6)


def _faulty(session: Session, driver: ReleaseDriver, file: Path) -> Desired:
    """The application's next version, with a contract that fails once `file` says so."""
    root = file.parent / "code"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(session.workspace.root / "workloads", root / "workloads", ignore=shutil.ignore_patterns("__pycache__"))
    contract = root / "workloads" / "flights" / "contract.py"
    contract.write_text(contract.read_text() + _FAULT.format(file=str(file)))
    analysis = Analysis(checks=(SuccessRate(at_least=0.99),), seconds=3600, min_requests=100)
    strategy = Canary(steps=(CanaryStep(weight=_WEIGHT, analysis=analysis),), retention_seconds=1)
    return driver.next(strategy, code_uri=packaged(root, _CONTRACT, driver.store))
