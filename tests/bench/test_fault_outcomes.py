"""What a cell shows where something goes wrong, before and after the kill."""

import pytest
from rich.console import Console

import bench.faults.__main__ as table
from bench.commands import MeasurementError
from bench.faults.load import Noticed
from bench.faults.outcome import Outcome, retried, run, weigh
from bench.faults.records import Records, markdown, short
from bench.faults.table import Cell, Kind, State
from bench.faults.victims import Nothing
from heliostat.systems.errors import PermanentError

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


def test_a_cell_in_which_all_goes_well_holds():
    steps = Steps()
    assert through(steps).holds
    assert steps.done == ["begin", "come", "hurt", "end", "agree"]


@pytest.mark.parametrize("step", ["begin", "come"])
def test_trouble_before_the_kill_is_an_error_that_may_be_tried_again(step):
    outcome = through(Steps(step))
    assert (outcome.error, outcome.why, outcome.holds) == (f"{step} went wrong", [], False)


@pytest.mark.parametrize("step", ["hurt", "end", "agree"])
@pytest.mark.parametrize("kind", [MeasurementError, PermanentError, ConnectionResetError])
def test_trouble_after_the_kill_is_what_the_cell_shows(step, kind):
    outcome = through(Steps(step, kind("not within 90 s")))
    assert (outcome.error, outcome.why, outcome.holds) == ("", ["not within 90 s"], False)


def test_where_nothing_was_there_to_kill_the_rollout_ends_by_itself():
    steps = Steps("hurt", Nothing("there is no replica"))
    outcome = through(steps)
    assert steps.done[-1] == "let_end"
    assert (outcome.nothing, outcome.why, outcome.holds) == ("there is no replica", [], False)


def test_a_rollout_that_does_not_end_although_nothing_was_killed_does_not_hold():
    class Hanging(Steps):
        def let_end(self):
            raise MeasurementError("not within 90 s")

    outcome = through(Hanging("hurt", Nothing("there is no replica")))
    assert (outcome.nothing, outcome.why, outcome.holds) == ("", ["not within 90 s"], False)


def test_requests_that_fail_where_nothing_was_killed_are_a_failure():
    outcome = through(Steps("hurt", Nothing("there is no replica")), LOST)
    assert outcome.nothing == ""
    assert any("2 of 400 requests failed" in text for text in outcome.why)
    assert any("there is no replica" in text for text in outcome.why)


def test_a_try_before_the_kill_is_recorded_and_its_lost_requests_count():
    quiet, lost = through(Steps("come")), through(Steps("come"), LOST)
    outcome = retried(through(Steps()), [quiet])
    assert outcome.holds
    assert outcome.attempts == [
        {"error": "come went wrong", "why": [], "requests": 400, "failed": 0, "gap_seconds": 0.1, "ends": {"200": 400}}
    ]
    outcome = retried(through(Steps()), [lost])
    assert not outcome.holds
    assert "try 1, in which nothing was killed: 2 of 400 requests failed" in outcome.why[0]


def test_a_recreation_may_have_its_gap_before_anything_is_killed():
    cell = Cell(Kind.CANDIDATE, "recreate", State.TESTING)
    assert through(Steps("come"), Noticed(400, 300, 12.0, {"503": 300}), cell).why == []


def test_a_cell_that_could_not_be_measured_says_so():
    outcome = retried(through(Steps("come")), [through(Steps("come"))])
    assert (outcome.holds, outcome.why) == (False, ["not measured: come went wrong"])
    assert short(outcome.record()) == "✗ not measured"


@pytest.fixture
def sitting(tmp_path, monkeypatch):
    """A sitting without a world, and what its tries will show."""
    shown = []
    monkeypatch.setattr(table, "measure", lambda cell, world, project: through(shown.pop(0)))
    monkeypatch.setattr(table.Sitting, "_whole_world", lambda self: setattr(self, "_project", None))
    records = Records(tmp_path / "faults.json")
    sitting = table.Sitting(Console(quiet=True), records, [], [])
    sitting.shown, sitting.records = shown, records
    return sitting


def test_what_broke_its_promise_is_not_measured_again(sitting):
    sitting.shown += [Steps("end"), Steps()]
    sitting.fill([CELL], 1)
    assert len(sitting.shown) == 1
    assert not sitting.records.any(CELL)["holds"]
    assert sitting.records.any(CELL)["why"] == ["end went wrong"]


def test_what_was_not_seen_in_its_state_is_tried_again_once_and_says_so(sitting):
    sitting.shown += [Steps("come"), Steps(), Steps()]
    sitting.fill([CELL], 1)
    found = sitting.records.any(CELL)
    assert len(sitting.shown) == 1
    assert found["holds"]
    assert [each["error"] for each in found["attempts"]] == ["come went wrong"]
    assert "1 were tried again, as the state had not been seen: replica/canary/paused" in markdown(sitting.records.all())


def test_what_is_never_seen_in_its_state_does_not_hold(sitting):
    sitting.shown += [Steps("come"), Steps("come"), Steps()]
    sitting.fill([CELL], 1)
    found = sitting.records.any(CELL)
    assert (len(sitting.shown), found["holds"], found["error"]) == (1, False, "come went wrong")
