"""A million requests at a steady rate, while one rollout follows another: blue-green, canary, rolling, and again.

A run of any length is kept in `soak.json`, a round a record, and the next one goes on; rounds count as long as what they
measured is unchanged. A rollout that did not succeed ends the run; its round stays with what it failed, and the row does not
hold as long as those sources are measured.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import report
from bench.answers import Answers
from bench.arrivals import Arrivals
from bench.commands import MeasurementError
from bench.release_driver import ReleaseDriver
from bench.rows import BY_NAME, Result
from bench.session import SOURCE, Session
from heliostat.spec.analysis import Analysis, SuccessRate
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep, Rolling, Strategy

REQUESTS = 1_000_000
RATE = 750
FILE = SOURCE / "bench" / "soak.json"
_REST_S = 2.0
_RETENTION_S = 3.0
_CHECK = Analysis(checks=(SuccessRate(at_least=0.999),), seconds=5, min_requests=20)
STRATEGIES: tuple[Strategy, ...] = (
    BlueGreen(after=_CHECK, retention_seconds=_RETENTION_S),
    Canary(steps=(CanaryStep(weight=10), CanaryStep(weight=50)), analysis=_CHECK, retention_seconds=_RETENTION_S),
    Rolling(analysis=_CHECK),
)
SUCCEEDED = "succeeded"
INTERRUPTED = "interrupted"
_MEASURED = ("controller", "rollout", "systems", "spec", "ml", "serving", "analysis", "jobs")


@dataclass(frozen=True)
class Round:
    """One rollout under load."""

    strategy: str
    requests: int
    failed: int
    p99_ms: float
    seconds: float
    began: float
    """Unix time."""
    commit: str
    sources: str
    end: str = SUCCEEDED
    """How the rollout ended: `SUCCEEDED`, `INTERRUPTED`, or what went wrong."""


def soak(session: Session) -> Iterable[Result]:
    """Rounds until there are enough requests, those of earlier runs with the same sources counted.

    Raises:
        KeyboardInterrupt: of a person; the round that it interrupted is kept where requests of it failed.
    """
    sources, commit = sources_digest(), report.commit(SOURCE)
    kept = load(FILE, sources)
    driver = ReleaseDriver(session.stack)
    while (sent := sum(each.requests for each in kept)) < REQUESTS:
        found = _round(session, driver, STRATEGIES[len(kept) % len(STRATEGIES)], commit, sources)
        if found.end != INTERRUPTED or found.failed:
            kept.append(found)
            save(FILE, kept)
        if found.end == INTERRUPTED:
            raise KeyboardInterrupt
        failed = sum(each.failed for each in kept)
        session.tell(
            f"{found.strategy}: {found.requests:,} requests, {found.failed} failed, p99 {found.p99_ms:.0f} ms; "
            f"{sent + found.requests:,} of {REQUESTS:,}, {failed} failed"
        )
        if found.end != SUCCEEDED:
            break
    yield judged(kept)


def judged(rounds: list[Round]) -> Result:
    """The row: its value are the failed requests of all rounds, and it holds only where every rollout succeeded."""
    row, failed = BY_NAME["soak/failed"], sum(each.failed for each in rounds)
    bad = [each for each in rounds if each.end != SUCCEEDED]
    if not bad:
        return row.result(failed, **summary(rounds))
    told = "\n".join(f"{each.strategy}, {each.failed} of {each.requests:,} requests failed: {each.end}" for each in bad)
    return row.failure(f"{len(bad)} of {len(rounds)} rollouts did not succeed:\n{told}", failed, **summary(rounds))


def summary(rounds: list[Round]) -> dict[str, object]:
    """Requests, failures and rollouts by strategy."""
    by_strategy = {
        kind: {
            "rollouts": sum(each.strategy == kind for each in rounds),
            "requests": sum(each.requests for each in rounds if each.strategy == kind),
            "failed": sum(each.failed for each in rounds if each.strategy == kind),
        }
        for kind in sorted({each.strategy for each in rounds})
    }
    return {
        "requests": sum(each.requests for each in rounds),
        "requests_per_second": RATE,
        "rollouts": len(rounds),
        "ends": dict(Counter(each.end.splitlines()[0] for each in rounds)),
        "hours": round(sum(each.seconds for each in rounds) / 3600, 2),
        "worst_p99_ms": max((each.p99_ms for each in rounds), default=None),
        "by_strategy": by_strategy,
    }


def load(path: Path, sources: str) -> list[Round]:
    """The rounds that are kept of these sources."""
    try:
        rounds = [Round(**each) for each in json.loads(path.read_text())["rounds"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [each for each in rounds if each.sources == sources]


def save(path: Path, rounds: list[Round]) -> None:
    """Keep the rounds, with what they come to by now."""
    whole = sum(each.requests for each in rounds) >= REQUESTS
    text = {"complete": whole, "of": REQUESTS, "summary": summary(rounds), "rounds": [asdict(each) for each in rounds]}
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(text, indent=1) + "\n")
    temporary.replace(path)


def sources_digest(root: Path = SOURCE) -> str:
    """Of the parts of the library that a round's figures come from."""
    digest = hashlib.sha256()
    for path in sorted(path for part in _MEASURED for path in (root / "heliostat" / part).rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _round(session: Session, driver: ReleaseDriver, strategy: Strategy, commit: str, sources: str) -> Round:
    """One rollout. Whatever came of it, the load is finished, and what it saw is told."""
    began, started, end = time.time(), time.monotonic(), SUCCEEDED
    with session.arrivals(RATE) as load_:
        try:
            time.sleep(_REST_S)
            driver.ends_well(driver.begin(driver.next(strategy)))
            time.sleep(_REST_S)
        except (MeasurementError, OSError) as error:
            end = str(error) or type(error).__name__
        except KeyboardInterrupt:
            end = INTERRUPTED
        answers, end = _finished(load_, end)
    p99 = round(answers.quantile_ms(0.99), 3) if answers.requests else 0.0
    seconds = round(time.monotonic() - started, 1)
    return Round(strategy.kind, answers.requests, answers.failed, p99, seconds, round(began, 3), commit, sources, end)


def _finished(load_: Arrivals, end: str) -> tuple[Answers, str]:
    """What the load saw. Where that cannot be told, a rollout that did not succeed is told all the same."""
    try:
        return load_.finish(), end
    except MeasurementError as error:
        if end in (SUCCEEDED, INTERRUPTED):
            raise
        return Answers.of([]), f"{end}\nand what its load saw is unknown: {error}"
