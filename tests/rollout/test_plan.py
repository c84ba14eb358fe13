"""What a preview says before anything is done."""

from __future__ import annotations

from rollout_world import World, desired

from heliostat.rollout.model import State
from heliostat.rollout.plan import plan
from heliostat.spec.controller import DRAIN_SECONDS
from heliostat.spec.strategies import BlueGreen, Recreate, Rolling


def serving() -> State:
    world = World()
    world.declare(desired(1, BlueGreen()))
    world.settle()
    return world.state


def test_recreate_tells_the_gap_that_was_measured() -> None:
    found = plan(serving(), desired(2, Recreate()), (8.0, 3), (12.4, 2))
    assert found.gap_seconds == 12.4
    assert found.extra_replicas == 0
    assert any("about 12 s (measured in 2 earlier starts)" in line for line in found.lines)


def test_before_the_first_recreate_the_gap_is_the_time_to_stop_and_to_start() -> None:
    found = plan(serving(), desired(2, Recreate()), (8.0, 3), None)
    assert found.gap_seconds == 8.0 + DRAIN_SECONDS


def test_recreate_says_so_where_nothing_was_measured() -> None:
    found = plan(serving(), desired(2, Recreate()), None, None)
    assert any("nothing was measured yet" in line for line in found.lines)


def test_blue_green_needs_all_replicas_on_top_and_has_no_gap() -> None:
    found = plan(serving(), desired(2, BlueGreen(), 3), (8.0, 1), None)
    assert found.gap_seconds is None
    assert found.extra_replicas == 3


def test_rolling_needs_its_surge_on_top() -> None:
    found = plan(serving(), desired(2, Rolling(max_surge=1)), None, None)
    assert found.extra_replicas == 1
    assert found.gap_seconds is None


def test_nothing_changes_where_the_same_is_declared() -> None:
    found = plan(serving(), desired(1, BlueGreen()), None, None)
    assert not found.changes
    assert found.lines == ()


def test_another_number_of_replicas_restarts_nothing() -> None:
    found = plan(serving(), desired(1, BlueGreen(), 5), None, None)
    assert found.changes
    assert found.extra_replicas == 3
    assert "no replica restarts" in found.lines[0]
