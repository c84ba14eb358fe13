"""Which cells a sitting measures, how often, and what becomes of its world."""

import pytest
from filelock import Timeout

from bench.commands import MeasurementError
from tests.faults.fake_steps import CELL, Steps
from tests.faults.fake_world import fake
from tests.faults.options import Which
from tests.faults.records import Records, markdown
from tests.faults.sitting import Sitting
from tests.faults.table import Cell, Kind, State

OTHER = Cell(Kind.REPLICA, "canary", State.WAITING)
THIRD = Cell(Kind.REPLICA, "canary", State.RETAINING)


@pytest.fixture
def tries(monkeypatch, tmp_path):
    return fake(monkeypatch, tmp_path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "results.json"


def through(path, *cells, which=Which.NEW, minutes=1):
    """A sitting that has been through `cells`."""
    sitting = Sitting(Records(path), which, minutes)
    with sitting.opened():
        for cell in cells:
            sitting.verdict(cell)
    return sitting


def test_what_broke_its_promise_is_not_measured_again(tries, path):
    tries.left += [Steps("end"), Steps()]
    found = through(path, CELL).records.any(CELL)
    assert len(tries.left) == 1
    assert (found["holds"], found["why"]) == (False, ["end went wrong"])


def test_what_was_not_seen_in_its_state_is_tried_again_once_and_says_so(tries, path):
    tries.left += [Steps("come"), Steps(), Steps()]
    records = through(path, CELL).records
    found = records.any(CELL)
    assert len(tries.left) == 1
    assert found["holds"]
    assert [each["error"] for each in found["attempts"]] == ["come went wrong"]
    assert "1 were tried again, as the state had not been seen: replica/canary/paused" in markdown(records.all())


def test_what_is_never_seen_in_its_state_does_not_hold(tries, path):
    tries.left += [Steps("come"), Steps("come"), Steps()]
    found = through(path, CELL).records.any(CELL)
    assert (len(tries.left), found["holds"], found["error"]) == (1, False, "come went wrong")


def test_what_is_known_of_these_sources_is_not_measured_again(tries, path):
    tries.left += [Steps("end"), Steps()]
    through(path, CELL)
    sitting = through(path, CELL, OTHER)
    assert list(sitting.measured) == [OTHER.name]
    assert sitting.verdict(CELL)["why"] == ["end went wrong"]


@pytest.mark.parametrize(
    ("which", "measured"),
    [
        (Which.NEW, ["paused", "waiting"]),
        (Which.OPEN, ["waiting", "retaining"]),
        (Which.ALL, ["paused", "waiting", "retaining"]),
    ],
)
def test_which_cells_are_open_can_be_chosen(tries, path, which, measured):
    """The first one is known to hold of other sources, the second is not known, the third does not hold of these."""
    tries.left += [Steps(), Steps("end"), *(Steps() for _ in measured)]
    through(path, CELL, THIRD)
    records = Records(path)
    records.put({**records.any(CELL), "sources": "other"})
    assert list(through(path, CELL, OTHER, THIRD, which=which).measured) == [f"replica/canary/{state}" for state in measured]


def test_one_world_serves_cell_after_cell_and_ends_with_the_sitting(tries, path):
    tries.left += [Steps(), Steps(), Steps()]
    sitting = Sitting(Records(path), Which.NEW, 1)
    with sitting.opened():
        for cell in (CELL, OTHER, THIRD):
            assert sitting.verdict(cell)["holds"]
        assert (tries.world.started, tries.world.ended) == (1, 0)
    assert tries.world.ended == 1


def test_after_a_cell_that_does_not_hold_the_world_is_made_anew(tries, path):
    tries.left += [Steps("end"), Steps()]
    through(path, CELL, OTHER)
    assert (tries.world.started, tries.world.ended) == (2, 2)


def test_an_interrupt_ends_the_world_and_leaves_no_record(tries, path):
    tries.left += [KeyboardInterrupt()]
    sitting = Sitting(Records(path), Which.NEW, 1)
    with sitting.opened():
        with pytest.raises(KeyboardInterrupt):
            sitting.verdict(CELL)
        assert tries.world.ended == 1
    assert not path.exists()


def test_a_world_that_does_not_come_up_is_no_verdict(tries, path):
    tries.world.error = MeasurementError("no port is free")
    with pytest.raises(MeasurementError, match="no port is free"):
        through(path, CELL)
    assert tries.world.ended == 1
    assert not path.exists()


def test_where_the_time_is_over_nothing_is_begun_and_what_is_known_counts(tries, path):
    tries.left += [Steps()]
    through(path, CELL)
    sitting = through(path, CELL, OTHER, minutes=0)
    assert (sitting.measured, sitting.left) == ({}, [OTHER])
    assert tries.world.started == 1


def test_two_sittings_of_a_checkout_exclude_each_other(tries, path):
    tries.left += [Steps()]
    with Sitting(Records(path), Which.NEW, 1).opened(), pytest.raises(Timeout):
        through(path, CELL)
    through(path, CELL)


def test_what_another_sitting_has_kept_meanwhile_is_known(tries, path):
    tries.left += [Steps()]
    late = Sitting(Records(path), Which.NEW, 1)
    through(path, CELL)
    with late.opened():
        assert late.verdict(CELL)["holds"]
    assert late.measured == {}
