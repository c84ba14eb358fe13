"""An application that is deleted, and what is left of a colour that is to go."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rollout_world import World, desired
from stage_world import RATE, SAME, TENTH, serving_one, shipped, until_phase

from heliostat.rollout.actions import DRAIN_SECONDS
from heliostat.rollout.decide import decide
from heliostat.rollout.model import Colour, Observed, Phase, RetireColour, State
from heliostat.spec.ledger import EntryKind
from heliostat.spec.strategies import BlueGreen, Recreate, Rolling, Shadow, Strategy

SHADOW = Shadow(analysis=SAME, approval=True, approval_timeout_seconds=600)
SURGELESS = Rolling(percentage=50, max_surge=0, min_healthy_percentage=0)


def deleted_half_way(way: Strategy, phase: Phase) -> World:
    world = until_phase(shipped(desired(2, way)), phase)
    world.delete()
    for _ in range(2):
        world.reconcile()
    assert not world.gone
    return world


@pytest.mark.parametrize("way", [SHADOW, BlueGreen(before=RATE, after=RATE), TENTH, Rolling(analysis=RATE)])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_what_is_declared_while_the_application_goes_starts_as_a_first_version_does(way: Strategy, number: int) -> None:
    world = deleted_half_way(TENTH, Phase.ANALYSING)
    world.declare(desired(number, way))
    world.settle()
    rollout = world.state.rollout
    assert rollout is not None
    assert (rollout.number, rollout.phase, rollout.previous, rollout.analyses) == (3, Phase.SUCCEEDED, None, ())
    assert [app.wanted.version.label for app in world.cluster.colours.values()] == [f"{number}-fine"]
    assert len(world.serving()) == 2
    shifts = [record.weights for _, record in world.ledger if record.kind is EntryKind.SHIFT]
    assert shifts[-2:] == [{}, {f"{number:064x}": 1.0}], "the ledger knows that nothing served in between"


def test_a_candidate_that_crashes_does_not_bring_a_deleted_version_back() -> None:
    world = deleted_half_way(TENTH, Phase.ANALYSING)
    world.declare(desired(3, TENTH, behaviour="crashes"))
    world.settle()
    assert world.ends[3] == [Phase.FAILED]
    assert world.state.live is None
    assert not world.cluster.colours


def test_a_rollout_that_was_superseded_just_before_the_deletion_is_not_carried_either() -> None:
    world = until_phase(shipped(desired(2, TENTH)), Phase.ANALYSING)
    world.declare(desired(3, TENTH))
    world.reconcile()
    assert world.ends[2] == [Phase.SUPERSEDED]
    world.delete()
    world.reconcile()
    world.declare(desired(3, SHADOW))
    world.settle()
    assert world.state.rollout is not None
    assert world.state.rollout.previous is None
    assert len(world.serving()) == 2


def test_a_deletion_in_the_gap_of_a_recreate_is_not_undone_by_what_comes_after_it() -> None:
    world = serving_one(Recreate())
    world.declare(desired(2, Recreate()))
    until_phase(world, Phase.STARTING)
    world.delete()
    world.reconcile()
    world.declare(desired(2, Recreate(), behaviour="crashes"))
    world.settle()
    assert world.state.live is None
    assert not world.cluster.colours


def busy(world: World) -> Observed:
    """A look in which each colour that is there still answers a request, and gets no other one where it is closed."""
    seen = world.observe()
    return replace(seen, blue=replace(seen.blue, in_flight=1), green=replace(seen.green, in_flight=1))


def look_busily(world: World) -> tuple[RetireColour, ...]:
    decision = decide(world.state, busy(world), world.clock)
    world.state = decision.state
    world.route()
    return tuple(action for action in decision.actions if isinstance(action, RetireColour))


def test_a_removal_long_after_the_last_rollout_lets_the_requests_on_their_way_end() -> None:
    world = serving_one()
    world.advance(DRAIN_SECONDS * 10)
    world.delete()
    for _ in range(5):
        assert look_busily(world) == ()
        world.advance()
    assert world.state.blue.closed_at is not None
    world.now = world.state.blue.closed_at + DRAIN_SECONDS - 1
    assert look_busily(world) == ()
    world.now += 1
    assert look_busily(world) == (RetireColour(Colour.BLUE),), "a client that never ends its request keeps nothing"


def test_the_last_old_replica_of_a_slow_rolling_update_may_answer_what_it_has() -> None:
    world = serving_one(SURGELESS, 2)
    world.declare(desired(2, SURGELESS, 2, timeout=3600))
    until_phase(world, Phase.SHIFTING)
    world.now += DRAIN_SECONDS * 2
    while world.state.blue.desired is not None:
        assert look_busily(world) == ()
        for app in world.cluster.colours.values():
            app.asked = world.state.slot(Colour.BLUE if app is world.cluster.colours[Colour.BLUE] else Colour.GREEN).replicas
        world.share = world.state.share
        world.advance(DRAIN_SECONDS)
    assert world.state.blue.closed_at == world.now - DRAIN_SECONDS
    world.now -= 1
    assert look_busily(world) == ()


def test_when_a_colour_was_closed_is_forgotten_once_it_is_gone_and_never_lies_ahead() -> None:
    world = serving_one()
    assert world.state.blue.closed_at is None
    world.delete()
    for _ in range(3):
        look_busily(world)
    world.clock_skew -= 1e6
    look_busily(world)
    assert world.state.blue.closed_at == world.clock
    world.declare(desired(2, TENTH))
    world.settle()
    assert (world.state.blue.closed_at, world.state.green.closed_at) == (None, None)


def test_a_state_that_was_kept_without_the_time_counts_from_the_first_look() -> None:
    world = serving_one()
    world.delete()
    for _ in range(3):
        look_busily(world)
    kept = world.state.model_dump(mode="json", by_alias=True)
    for colour in ("blue", "green"):
        del kept[colour]["closedAt"]
    del kept["rollout"]["deleted"]
    world.state = State.model_validate(kept)
    world.advance(DRAIN_SECONDS * 10)
    assert look_busily(world) == ()
    world.advance(DRAIN_SECONDS)
    assert look_busily(world) == (RetireColour(Colour.BLUE),)
