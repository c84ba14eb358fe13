"""What a cell shows where something goes wrong, before and after the kill."""

import pytest

from bench.commands import MeasurementError
from heliostat.systems.errors import PermanentError
from tests.faults.fake_steps import LOST, Steps, through
from tests.faults.load import Noticed
from tests.faults.outcome import retried
from tests.faults.records import short
from tests.faults.table import Cell, Kind, State
from tests.faults.victims import Nothing


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
