"""What is declared just before or after a candidate is turned back, and before the next look at it, is held against it too."""

from __future__ import annotations

import pytest
from rollout_world import World, desired
from stage_world import RATE, TENTH, serving_one, shipped, until_phase

from heliostat.rollout.model import Phase
from heliostat.rollout.orders import RefusedError
from heliostat.spec.rollouts import Desired
from heliostat.spec.strategies import BlueGreen, Recreate, Rolling, Strategy

ALIKE: dict[str, tuple[Strategy, Strategy]] = {
    "the same": (TENTH, TENTH),
    "replicas that move otherwise": (
        Rolling(percentage=10, max_surge=1, min_healthy_percentage=50),
        Rolling(percentage=10, max_surge=1, min_healthy_percentage=0),
    ),
    "another window": (BlueGreen(after=RATE), BlueGreen(after=RATE, retention_seconds=0)),
    "recreate": (Recreate(), Recreate()),
}
both = pytest.mark.parametrize(("strategy", "alike"), ALIKE.values(), ids=ALIKE)


def on_its_way(wanted: Desired) -> World:
    world = shipped(wanted)
    world.reconcile()
    return world


def goes_back(world: World) -> None:
    """The candidate is put away, and nothing else is shipped."""
    world.settle()
    assert world.state.rollout is not None
    assert (world.state.rollout.number, world.state.rollout.phase) == (2, Phase.FAILED), world.story
    assert [each.label for each in world.state.refused] == ["2-fine"]


@both
def test_what_is_declared_after_an_abort_is_refused_before_the_abort_begins(strategy: Strategy, alike: Strategy) -> None:
    world = on_its_way(desired(2, strategy))
    world.abort()
    with pytest.raises(RefusedError, match="somebody aborted it"):
        world.declare(desired(2, alike))
    goes_back(world)


@both
def test_what_was_declared_before_an_abort_and_not_looked_at_yet_goes_with_it(strategy: Strategy, alike: Strategy) -> None:
    world = on_its_way(desired(2, strategy))
    world.declare(desired(2, alike, replicas=3))
    world.abort()
    goes_back(world)


@both
def test_what_is_retried_after_an_abort_is_shipped_once_the_way_back_has_ended(strategy: Strategy, alike: Strategy) -> None:
    world = on_its_way(desired(2, strategy))
    world.abort()
    world.declare(desired(2, alike), retry=True)
    world.settle()
    assert world.state.rollout is not None
    assert (world.state.rollout.number, world.state.rollout.phase) == (3, Phase.SUCCEEDED)
    assert (world.ends[2], world.state.refused) == ([Phase.FAILED], ())


def test_another_version_that_is_declared_around_an_abort_follows_it() -> None:
    for after in (False, True):
        world = on_its_way(desired(2, TENTH))
        if after:
            world.abort()
        world.declare(desired(3, TENTH))
        if not after:
            world.abort()
        world.settle()
        assert [each.label for each in world.state.refused] == ["2-fine"]
        assert world.state.rollout is not None
        assert (world.state.rollout.target.version.label, world.state.rollout.phase) == ("3-fine", Phase.SUCCEEDED)


def test_an_abort_within_the_window_is_held_against_what_serves_until_it_is_left() -> None:
    for after in (False, True):
        world = until_phase(shipped(desired(2, BlueGreen(retention_seconds=600))), Phase.RETAINING)
        if after:
            world.abort()
            with pytest.raises(RefusedError, match="somebody aborted it"):
                world.declare(desired(2, BlueGreen(retention_seconds=60), replicas=3))
        else:
            world.declare(desired(2, BlueGreen(retention_seconds=60), replicas=3))
            world.abort()
        goes_back(world)


def test_a_change_in_place_that_is_aborted_is_not_held_against_what_serves() -> None:
    world = serving_one()
    world.declare(desired(1, BlueGreen(), replicas=4))
    world.reconcile()
    world.abort()
    assert world.state.refused == ()
    world.declare(desired(1, BlueGreen(), replicas=3))
    world.settle()
    assert len(world.serving()) == 3


def test_a_way_back_that_is_aborted_is_not_held_against_what_served_before() -> None:
    world = serving_one()
    world.declare(desired(2, BlueGreen(retention_seconds=0)))
    world.settle()
    world.roll_back(desired(1, BlueGreen()))
    world.reconcile()
    world.abort()
    world.settle()
    assert "1-fine" not in [each.label for each in world.state.refused]


def test_an_abort_is_held_against_a_candidate_once() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    world.abort()
    said = world.state.refused
    world.settle()
    assert [each.reason for each in said] == ["somebody aborted it"]
    assert world.state.refused == said
