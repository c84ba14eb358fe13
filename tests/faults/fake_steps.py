"""A rollout whose steps go well, but for one."""

from __future__ import annotations

from bench.commands import MeasurementError
from tests.faults.load import Noticed
from tests.faults.outcome import Outcome, run, weigh
from tests.faults.table import Cell, Kind, State

CELL = Cell(Kind.REPLICA, "canary", State.PAUSED)
QUIET = Noticed(400, 0, 0.1, {"200": 400})
LOST = Noticed(400, 2, 0.1, {"200": 398, "ReadError": 2})


class Steps:
    """A rollout in which one step fails."""

    def __init__(self, fails: str = "", error: Exception | None = None) -> None:
        self._fails, self._error = fails, error or MeasurementError(f"{fails} went wrong")
        self.done: list[str] = []

    def begin(self):
        self._do("begin")

    def come(self):
        self._do("come")

    def hurt(self):
        self._do("hurt")

    def end(self):
        self._do("end")

    def agree(self, killed):
        self._do("agree")

    def let_end(self):
        self._do("let_end")

    def _do(self, step):
        self.done.append(step)
        if step == self._fails:
            raise self._error


def through(steps, noticed=QUIET, cell=CELL):
    outcome = Outcome(cell.name)
    run(steps, outcome)
    weigh(cell, outcome, noticed)
    return outcome
