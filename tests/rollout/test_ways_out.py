"""Where the usual way out is closed: nobody to go back to, a request that never ends, words that cross."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rollout_world import World, desired
from stage_world import RATE, error_of, serving_one, shipped, until_phase

from heliostat.rollout import orders
from heliostat.rollout.actions import DRAIN_SECONDS, actions
from heliostat.rollout.model import Colour, ColourStatus, Condition, Phase, RetireColour
from heliostat.spec.analysis import Analysis, Disagreement
from heliostat.spec.rollouts import RollbackRequest
from heliostat.spec.strategies import BlueGreen, Shadow

SHADOW = Shadow(analysis=Analysis(checks=(Disagreement(at_most=0.1),), seconds=60), retention_seconds=0)


@pytest.mark.parametrize("way", [SHADOW, BlueGreen(before=RATE, retention_seconds=0)])
def test_a_candidate_without_a_share_answers_nobody_even_where_nobody_else_is(way: Shadow | BlueGreen) -> None:
    world = until_phase(shipped(desired(2, way)), Phase.ANALYSING)
    world.cluster.colours[Colour.BLUE].replicas.clear()
    for _ in range(3):
        world.reconcile()
        assert world.usable(Colour.GREEN) == []
        world.advance()
    world.settle()
    assert world.state.live is Colour.GREEN, "and once it has passed, it gets all traffic"
    assert world.share == 10_000


def test_a_candidate_that_dies_in_the_shadow_is_rolled_back() -> None:
    world = until_phase(shipped(desired(2, SHADOW)), Phase.ANALYSING)
    world.cluster.colours[Colour.GREEN].failed = True
    world.cluster.colours[Colour.GREEN].replicas.clear()
    world.settle()
    assert "2-fine died" in error_of(world)
    assert world.state.live is Colour.BLUE


def never_comes_back(world: World, colour: Colour) -> None:
    app = world.cluster.colours[colour]
    app.failed = True
    app.replicas.clear()


def test_where_the_old_version_does_not_come_back_the_candidate_keeps_the_traffic_and_it_is_said() -> None:
    world = until_phase(shipped(desired(2, BlueGreen(retention_seconds=600))), Phase.RETAINING)
    never_comes_back(world, Colour.BLUE)
    world.abort()
    while world.state.rollout is not None and not world.state.rollout.ended:
        world.reconcile()
        assert world.serving(), world.story[-5:]
        world.advance()
    world.settle()
    assert "1-fine did not come back; 2-fine keeps the traffic" in error_of(world)
    assert world.state.live is Colour.GREEN
    assert world.share == 10_000
    assert len(world.usable(Colour.GREEN)) == 2
    assert world.ends[2] == [Phase.FAILED]
    world.declare(desired(3, BlueGreen(retention_seconds=0)))
    world.settle()
    assert world.state.slot(Colour.BLUE).desired == desired(3, BlueGreen(retention_seconds=0))


def test_a_request_that_never_ends_does_not_keep_what_is_to_go() -> None:
    world = until_phase(shipped(desired(2, BlueGreen(after=RATE), behaviour="fails")), Phase.ROLLING_BACK)
    while world.state.slot(Colour.GREEN).desired is not None:
        world.reconcile()
        world.advance()
    rollout = world.state.rollout
    assert rollout is not None
    held = ColourStatus(condition=Condition.RUNNING, in_flight=1)
    observed = replace(world.observe(), green=held)
    gone = RetireColour(Colour.GREEN)
    assert gone not in actions(world.state, observed, rollout.since + DRAIN_SECONDS - 1)
    assert gone in actions(world.state, observed, rollout.since + DRAIN_SECONDS)
    assert gone in actions(world.state, replace(observed, green=replace(held, in_flight=0)), rollout.since)


def test_a_rollback_that_has_not_begun_is_not_undone_by_the_next_up() -> None:
    world = until_phase(shipped(desired(2, BlueGreen(retention_seconds=600))), Phase.RETAINING)
    first, second = world.state.slot(Colour.BLUE).desired, world.state.slot(Colour.GREEN).desired
    assert first is not None
    assert second is not None
    world.state = orders.roll_back(world.state, first, world.observe(), RollbackRequest(by="ada"), world.clock)
    with pytest.raises(orders.RefusedError, match="2-fine was rolled back"):
        world.declare(second)
    world.settle()
    assert world.state.live is Colour.BLUE


def test_a_second_change_of_replicas_goes_back_to_what_served_before_the_first() -> None:
    world = serving_one(replicas=2)
    world.declare(desired(1, BlueGreen(), replicas=50))
    for _ in range(2):
        world.reconcile()
    world.declare(desired(1, BlueGreen(), replicas=40))
    for _ in range(2):
        world.reconcile()
    world.abort()
    world.settle()
    assert "somebody aborted it" in error_of(world)
    assert world.cluster.colours[Colour.BLUE].asked == 2


def grown_in_its_window(replicas_come: bool) -> World:
    """Two more replicas are declared as the window of five seconds begins."""
    world = until_phase(shipped(desired(2, BlueGreen(retention_seconds=5))), Phase.RETAINING)
    world.declare(desired(2, BlueGreen(retention_seconds=5), replicas=4))
    world.reconcile()
    world.advance(0)
    for replica in world.cluster.colours[Colour.GREEN].replicas[2:]:
        replica.ready_at = world.now + 12 if replicas_come else float("inf")
    return world


@pytest.mark.parametrize(("replicas_come", "seconds"), [(True, 12), (False, 25)])
def test_the_window_stays_open_for_replicas_that_are_declared_in_it_as_long_as_they_may_take(
    replicas_come: bool, seconds: float
) -> None:
    world = grown_in_its_window(replicas_come)
    began = world.clock
    until_phase(world, Phase.RETIRING)
    assert world.clock - began == pytest.approx(seconds, abs=2)
    assert len(world.usable(Colour.GREEN)) == (4 if replicas_come else 2)
