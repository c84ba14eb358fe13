"""`python -m bench timelines`: the pictures of docs/rollouts.md, each drawn from a real rollout under a steady load."""

from __future__ import annotations

import time

from bench.release_driver import ReleaseDriver, in_phase
from bench.session import SOURCE, Session
from heliostat.spec.analysis import Analysis, Check, Disagreement, Latency, SuccessRate
from heliostat.spec.rollouts import Phase
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep, Recreate, Rolling, Shadow, Strategy

FOLDER = SOURCE / "docs" / "rollouts"
_RATE = 150
_REST_S = 5.0
_APPROVED_AFTER_S = 6.0
_SEEN: tuple[Check, ...] = (SuccessRate(at_least=0.99), Latency(quantile=0.5, times=3))
_SAME: tuple[Check, ...] = (Disagreement(at_most=0.01, field="late"), SuccessRate(at_least=0.99))
_RETENTION_S = 10.0

STRATEGIES: tuple[Strategy, ...] = (
    Recreate(),
    Rolling(analysis=Analysis(checks=_SEEN, seconds=8)),
    BlueGreen(
        before=Analysis(checks=_SAME, seconds=6),
        after=Analysis(checks=_SEEN, seconds=8),
        retention_seconds=_RETENTION_S,
    ),
    Canary(
        steps=(
            CanaryStep(weight=10),
            CanaryStep(weight=30, pause_seconds=10),
            CanaryStep(weight=60, approval=True),
        ),
        analysis=Analysis(checks=_SEEN, seconds=8),
        retention_seconds=_RETENTION_S,
    ),
    Shadow(
        analysis=Analysis(checks=_SAME, seconds=15),
        after=Analysis(checks=_SEEN, seconds=8),
        retention_seconds=_RETENTION_S,
    ),
)
"""As docs/rollouts.md describes them, with times that fit into a picture."""


def draw(session: Session) -> None:
    """Ship a version by each strategy, and draw what the controller kept of it."""
    from heliostat.cli.rollouts import drawing

    driver = ReleaseDriver(session.stack)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for strategy in STRATEGIES:
        with session.arrivals(_RATE) as load:
            time.sleep(_REST_S)
            number = driver.begin(driver.next(strategy))
            if isinstance(strategy, Canary):
                driver.until(number, in_phase(Phase.WAITING), "it waits for a person")
                time.sleep(_APPROVED_AFTER_S)
                driver.api.approve("flights")
            driver.ends_well(number)
            time.sleep(_REST_S)
            load.finish()
        path = FOLDER / f"{strategy.kind}.svg"
        path.write_text(drawing.draw(driver.api.record("flights", number)))
        session.tell(f"wrote {path.relative_to(SOURCE)}")
