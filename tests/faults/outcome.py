"""What came of a cell: what counts as trouble before the kill, what as the cell's own failure, and what is promised there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from bench.commands import MeasurementError
from heliostat.systems.errors import PermanentError, RetryableError
from tests.faults.load import Noticed
from tests.faults.table import Cell, promise, unhurt
from tests.faults.victims import Nothing

TROUBLE = (MeasurementError, RetryableError, PermanentError, OSError)
"""What goes wrong around a cell."""
_OF_AN_ATTEMPT = ("error", "why", "requests", "failed", "gap_seconds", "ends")


@dataclass
class Outcome:
    """What came of a cell."""

    cell: str
    holds: bool = False
    why: list[str] = field(default_factory=list)
    """What is wrong."""
    nothing: str = ""
    """Why there was nothing to kill; such a cell is neither good nor bad."""
    killed: str = ""
    at: str = ""
    """Where the rollout was at the kill, as the controller said just before."""
    end: str = ""
    requests: int = 0
    failed: int = 0
    gap_seconds: float = 0.0
    ends: dict[str, int] = field(default_factory=dict)
    settled_seconds: float = 0.0
    """From the kill until all agreed."""
    seconds: float = 0.0
    promised: str = ""
    error: str = ""
    """Why nothing was killed: the rollout was not seen in its state."""
    attempts: list[dict[str, Any]] = field(default_factory=list)
    """The tries before this one, in none of which anything was killed."""

    def record(self) -> dict[str, Any]:
        """For the file."""
        return asdict(self)


class Steps(Protocol):
    """What a cell is made of. Each step raises MeasurementError where it does not come to its end."""

    def begin(self) -> None:
        """Declare the next version."""

    def come(self) -> None:
        """Wait until the rollout is in the state."""

    def hurt(self) -> None:
        """Kill; raises Nothing where there is nothing to kill."""

    def end(self) -> None:
        """Wait for the rollout's end."""

    def agree(self, killed: float) -> None:
        """Wait until all say the same."""

    def let_end(self) -> None:
        """Where nothing was killed: the rollout ends by itself."""


def run(steps: Steps, outcome: Outcome) -> None:
    """Go through the steps: trouble before the kill is an `error`, trouble from the kill on is a reason not to hold."""
    try:
        steps.begin()
        steps.come()
    except TROUBLE as error:
        outcome.error = str(error)
        return
    killed = time.monotonic()
    try:
        _hurt(steps, outcome, killed)
    except TROUBLE as error:
        outcome.why.append(str(error))


def _hurt(steps: Steps, outcome: Outcome, killed: float) -> None:
    try:
        steps.hurt()
    except Nothing as nothing:
        steps.let_end()
        outcome.nothing = str(nothing)
        return
    steps.end()
    steps.agree(killed)


def retried(outcome: Outcome, earlier: Sequence[Outcome]) -> Outcome:
    """An outcome with the tries before it: what clients noticed in those counts, although nothing was killed."""
    for number, each in enumerate(earlier, 1):
        outcome.attempts.append({key: value for key, value in each.record().items() if key in _OF_AN_ATTEMPT})
        outcome.why += [f"try {number}, in which nothing was killed: {text}" for text in each.why]
    if outcome.error:
        outcome.why.append(f"not measured: {outcome.error}")
    _judge(outcome)
    return outcome


def weigh(cell: Cell, outcome: Outcome, found: Noticed) -> None:
    """Hold what clients noticed against what is promised there, or where nothing was killed."""
    outcome.requests, outcome.failed = found.requests, found.failed
    outcome.gap_seconds, outcome.ends = found.gap_seconds, found.ends
    promised = unhurt(cell) if outcome.error or outcome.nothing else promise(cell)
    if promised.failed is not None and found.failed > promised.failed:
        outcome.why.append(f"{found.failed} of {found.requests} requests failed {found.ends}: promised are {promised.failed}")
    if found.gap_seconds > promised.gap_seconds:
        outcome.why.append(f"{found.gap_seconds:.1f} s without a good answer: {promised.gap_seconds:g} s are promised")
    _judge(outcome)


def _judge(outcome: Outcome) -> None:
    if outcome.why and outcome.nothing:  # something is wrong, so it is not that nothing was there to be seen
        outcome.why.append(f"there was nothing to kill: {outcome.nothing}")
        outcome.nothing = ""
    outcome.holds = not (outcome.why or outcome.nothing or outcome.error)
