"""What each strategy does, step by step, in a world where nothing goes wrong but the candidate."""

from __future__ import annotations

import pytest
from rollout_world import STARTUP_SECONDS, World, desired, version

from heliostat.rollout.decide import decide
from heliostat.rollout.model import ENDS, SHARES, Admission, Colour, ColourStatus, Observed, Phase, State
from heliostat.rollout.rolling import advance, move
from heliostat.rollout.shares import problem
from heliostat.spec.strategies import BlueGreen, Recreate, Rolling, Strategy


def serving(strategy: Strategy, replicas: int = 2) -> World:
    world = World()
    world.declare(desired(1, strategy, replicas))
    world.settle()
    return world


def phases(world: World) -> list[str]:
    number = world.state.rollout.number if world.state.rollout else 0
    return [line.split()[2].rstrip(":") for line in world.story if f"#{number} " in line]


def test_a_first_version_is_started_tested_and_let_in() -> None:
    world = serving(BlueGreen())
    assert phases(world) == ["pending", "starting", "testing", "shifting", "succeeded"]
    assert len(world.serving()) == 2


def test_declaring_what_serves_changes_nothing() -> None:
    world = serving(BlueGreen())
    before = world.state
    world.declare(desired(1, BlueGreen()))
    world.settle()
    assert world.state == before


def test_blue_green_keeps_the_old_version_for_its_window_and_then_puts_it_away() -> None:
    world = serving(BlueGreen())
    world.declare(desired(2, BlueGreen(retention_seconds=30)))
    while world.state.rollout is None or world.state.rollout.phase is not Phase.RETAINING:
        world.reconcile()
        world.advance()
        assert len(world.serving()) == 2
    assert set(world.cluster.colours) == {Colour.BLUE, Colour.GREEN}
    assert world.share == SHARES
    world.settle()
    assert set(world.cluster.colours) == {Colour.GREEN}
    assert phases(world)[-3:] == ["retaining", "retiring", "succeeded"]


def asked(world: World, colour: Colour) -> list[int]:
    """How many replicas Serve was asked for until the rollout ends, each number once."""
    found: list[int] = []
    world.reconcile()
    while world.state.rollout is not None and world.state.rollout.phase not in ENDS:
        app = world.cluster.colours.get(colour)
        if app is not None and found[-1:] != [app.asked]:
            found.append(app.asked)
        world.reconcile()
        world.advance()
    return found


@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_beside_what_serves_one_replica_starts_and_then_the_others(replicas: int) -> None:
    world = serving(BlueGreen(), replicas)
    world.declare(desired(2, BlueGreen(), replicas))
    assert asked(world, Colour.GREEN) == ([1] if replicas == 1 else [1, replicas])
    assert world.state.rollout is not None
    assert world.state.rollout.phase is Phase.SUCCEEDED


def test_where_nothing_serves_all_replicas_start_at_once() -> None:
    world = World()
    world.declare(desired(1, BlueGreen(), 4))
    assert asked(world, Colour.BLUE) == [4]


def test_a_version_that_does_not_start_never_has_a_second_replica() -> None:
    world = serving(BlueGreen(), 4)
    world.declare(desired(2, BlueGreen(), 4, behaviour="never_healthy"))
    assert asked(world, Colour.GREEN) == [1]
    assert world.state.rollout is not None
    assert world.state.rollout.phase is Phase.FAILED


def test_what_serves_again_after_a_way_back_starts_all_replicas_at_once() -> None:
    world = serving(BlueGreen(), 4)
    world.declare(desired(2, BlueGreen(), 4))
    world.settle()
    world.roll_back(desired(1, BlueGreen(), 4))
    assert asked(world, Colour.BLUE) == [4]


def test_each_start_has_its_own_time_and_the_longest_is_what_is_measured() -> None:
    world = serving(BlueGreen())
    world.declare(desired(2, BlueGreen(), timeout=STARTUP_SECONDS + 2))
    world.settle()
    assert world.state.rollout is not None
    assert world.state.rollout.phase is Phase.SUCCEEDED
    assert STARTUP_SECONDS <= world.state.rollout.figures["startup_seconds"] < 2 * STARTUP_SECONDS


def test_another_number_of_replicas_declared_while_the_first_starts_is_what_follows() -> None:
    world = serving(BlueGreen())
    world.declare(desired(2, BlueGreen(), 4))
    world.reconcile()
    world.reconcile()
    world.declare(desired(2, BlueGreen(), 3))
    assert asked(world, Colour.GREEN) == [1, 3]


def test_back_to_a_version_that_is_retained_needs_no_start() -> None:
    world = serving(BlueGreen(retention_seconds=600))
    world.declare(desired(2, BlueGreen(retention_seconds=600)))
    for _ in range(15):
        world.reconcile()
        world.advance()
    names = {replica.name for replica in world.cluster.colours[Colour.BLUE].replicas}
    before = world.now
    world.declare(desired(1, BlueGreen(retention_seconds=5)))
    while world.share != 0:
        world.reconcile()
    assert world.now == before, "no time had to pass"
    assert {replica.name for replica in world.serving()} == names
    assert world.state.rollout is not None
    assert "startup_seconds" not in world.state.rollout.figures


def test_rolling_moves_a_share_at_a_time_and_the_traffic_follows() -> None:
    world = serving(Rolling(percentage=25, max_surge=1), replicas=4)
    world.declare(desired(2, Rolling(percentage=25, max_surge=1, min_healthy_percentage=75), 4))
    shares, most = set(), 0
    for _ in range(60):
        world.reconcile()
        world.advance()
        shares.add(world.share)
        most = max(most, sum(app.asked for app in world.cluster.colours.values() if app.gone_at is None))
        assert len(world.serving()) >= 3
    world.settle()
    assert most <= 5, "one replica on top at most"
    assert len(shares) >= 4, "traffic moved in steps"
    assert world.state.live is Colour.GREEN


def test_rolling_without_surge_never_has_more_replicas_than_declared() -> None:
    strategy = Rolling(percentage=50, max_surge=0, min_healthy_percentage=50)
    world = serving(strategy, replicas=4)
    world.declare(desired(2, strategy, 4))
    for _ in range(80):
        world.reconcile()
        world.advance()
        assert sum(app.asked for app in world.cluster.colours.values() if app.gone_at is None) <= 4
        assert len(world.serving()) >= 2
    world.settle()
    assert phases(world)[-1] == "succeeded"


def test_rolling_stops_no_replica_while_too_few_of_the_others_are_healthy() -> None:
    way = move(Rolling(percentage=25, max_surge=1, min_healthy_percentage=75), Colour.GREEN, 4)
    state = State(name="flights", live=Colour.BLUE)
    state = state.with_slot(Colour.BLUE, desired=desired(1, Rolling(), 4), replicas=4, access=Admission.OPEN)
    state = state.with_slot(Colour.GREEN, desired=desired(2, Rolling(), 4), replicas=1, access=Admission.TESTED)
    new = ColourStatus(usable=frozenset({"n1"}), running=frozenset({"n1"}))
    ill = ColourStatus(usable=frozenset({"o1", "o2"}), running=frozenset({"o1", "o2", "o3", "o4"}))
    well = ColourStatus(usable=ill.running, running=ill.running)
    assert advance(state, way, Observed(ill, new)).blue.replicas == 4
    assert advance(state, way, Observed(well, new)).blue.replicas == 3


def test_rolling_that_cannot_move_is_refused_with_the_fix() -> None:
    text = problem(desired(1, Rolling(max_surge=0, min_healthy_percentage=100), 2))
    assert text is not None
    assert "maxSurge 1" in text
    assert problem(desired(1, Rolling(), 1)) is None


def test_recreate_stops_the_old_version_first_and_measures_the_gap() -> None:
    world = serving(Recreate())
    world.declare(desired(2, Recreate()))
    for _ in range(30):
        world.reconcile()
        world.advance()
        assert len([app for app in world.cluster.colours.values() if app.gone_at is None]) <= 1
    rollout = world.state.rollout
    assert rollout is not None
    assert rollout.phase is Phase.SUCCEEDED
    assert rollout.figures["gap_seconds"] > 0


@pytest.mark.parametrize("behaviour", ["crashes", "never_healthy", "wrong"])
@pytest.mark.parametrize("strategy", [BlueGreen(), Rolling()])
def test_a_bad_candidate_is_removed_and_the_old_version_never_stops_serving(strategy: Strategy, behaviour: str) -> None:
    world = serving(strategy)
    world.declare(desired(2, strategy, behaviour=behaviour))
    for _ in range(40):
        world.reconcile()
        world.advance()
        assert len(world.serving()) >= 1
    world.settle()
    rollout = world.state.rollout
    assert rollout is not None
    assert rollout.phase is Phase.FAILED
    assert rollout.error
    assert set(world.cluster.colours) == {Colour.BLUE}
    assert len(world.serving()) == 2


def test_the_error_of_a_candidate_that_crashes_is_its_own() -> None:
    world = serving(BlueGreen())
    world.declare(desired(2, BlueGreen(), behaviour="crashes"))
    world.settle()
    assert world.state.rollout is not None
    assert "ValueError: no such column" in (world.state.rollout.error or "")


def test_after_a_recreate_that_failed_the_old_version_is_deployed_again() -> None:
    world = serving(Recreate())
    world.declare(desired(2, Recreate(), behaviour="crashes"))
    world.settle()
    rollout = world.state.rollout
    assert rollout is not None
    assert rollout.phase is Phase.FAILED
    assert "1-fine was deployed again and serves" in (rollout.error or "")
    assert len(world.serving()) == 2


def test_only_replicas_that_were_tested_get_traffic_in_a_rolling_update() -> None:
    world = serving(Rolling(), replicas=4)
    world.declare(desired(2, Rolling(percentage=50), 4))
    for _ in range(60):
        world.reconcile()
        app = world.cluster.colours.get(Colour.GREEN)
        for replica in app.replicas if app else []:
            assert not replica.usable or replica.name in world.golden
        world.advance()


def test_a_newer_version_takes_the_place_of_a_rollout_that_is_on_its_way() -> None:
    world = serving(BlueGreen())
    world.declare(desired(2, BlueGreen()))
    for _ in range(3):
        world.reconcile()
        world.advance()
    world.declare(desired(3, BlueGreen(retention_seconds=0)))
    world.settle()
    assert world.ends == {1: [Phase.SUCCEEDED], 2: [Phase.SUPERSEDED], 3: [Phase.SUCCEEDED]}
    assert [app.wanted.version for app in world.cluster.colours.values()] == [version(3)]


def test_more_replicas_of_the_same_version_start_in_place() -> None:
    world = serving(BlueGreen())
    names = {replica.name for replica in world.serving()}
    world.declare(desired(1, BlueGreen(), 3))
    world.settle()
    assert names < {replica.name for replica in world.serving()}
    assert len(world.serving()) == 3


def test_replicas_that_cannot_be_had_leave_the_number_as_it_was() -> None:
    world = serving(BlueGreen())
    world.declare(desired(1, BlueGreen(), 3, timeout=5))
    for _ in range(12):
        world.reconcile()
        for app in world.cluster.colours.values():
            app.replicas = app.replicas[:2]
        world.advance()
        for app in world.cluster.colours.values():
            app.replicas = app.replicas[:2]
    assert world.state.rollout is not None
    assert world.state.rollout.phase is Phase.FAILED
    assert "2 of 3 replicas" in (world.state.rollout.error or "")
    assert world.cluster.colours[Colour.BLUE].asked == 2


def test_what_serves_comes_back_after_the_cluster_lost_everything() -> None:
    world = serving(BlueGreen())
    world.lose_cluster()
    world.settle()
    assert len(world.serving()) == 2


def test_a_new_version_that_dies_while_the_old_one_is_retained_gives_the_traffic_back() -> None:
    world = serving(BlueGreen())
    world.declare(desired(2, BlueGreen(retention_seconds=600)))
    while world.state.rollout is None or world.state.rollout.phase is not Phase.RETAINING:
        world.reconcile()
        world.advance()
    for _ in range(30):
        world.reconcile()
        if Colour.GREEN in world.cluster.colours:
            world.cluster.colours[Colour.GREEN].replicas.clear()
        world.now += 1
    world.settle()
    assert world.state.rollout.phase is Phase.FAILED
    assert world.state.live is Colour.BLUE


def test_a_deleted_application_leaves_nothing() -> None:
    world = serving(BlueGreen())
    world.delete()
    for _ in range(10):
        world.reconcile()
        world.advance()
    assert world.gone
    assert not world.cluster.colours


def test_nothing_is_done_where_nothing_is_declared() -> None:
    world = World()
    decision = decide(world.state, world.observe(), 0.0)
    assert decision.state == world.state
    assert decision.actions == ()
