"""What a preview says before anything is done."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rollout_world import World, desired

from heliostat.rollout.capacity import Held, Node
from heliostat.rollout.model import Colour, State
from heliostat.rollout.plan import plan
from heliostat.rollout.shares import problem
from heliostat.spec.analysis import Analysis, Latency, OnInconclusive, SuccessRate
from heliostat.spec.controller import DRAIN_SECONDS
from heliostat.spec.groups import Placement
from heliostat.spec.rollouts import Plan
from heliostat.spec.strategies import Affinity, BlueGreen, Canary, CanaryStep, Recreate, Rolling, Shadow, Strategy


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


RATE = Analysis(checks=(SuccessRate(at_least=0.99), Latency(times=1.5)), seconds=30)


def lines(strategy: Strategy, replicas: int = 2, state: State | None = None) -> str:
    return "\n".join(plan(state or serving(), desired(2, strategy, replicas), (8.0, 3), None).lines)


def test_a_canary_tells_its_steps_checks_people_and_who_stays_where() -> None:
    steps = (CanaryStep(weight=10, pause_seconds=300), CanaryStep(weight=50, approval=True))
    text = lines(Canary(steps=steps, analysis=RATE, affinity=Affinity(cookie="sid"), approval_timeout_seconds=3600))
    for part in (
        "starts 2 replicas of 2-fine, one first, beside 2 replicas of 1-fine, about 16 s as measured before; no gap",
        "canary: 10 % -> 50 % -> all",
        "step 1: 10 % of the traffic, analysed for 30 s, for 5 min at least",
        "step 2: 50 % of the traffic, analysed for 30 s, until a person approves",
        "30 s, at least 100 requests: success rate: at least 99 %; latency p99: at most 1.5 times what serves",
        "gives the traffic back to 1-fine first; so does one that finds too little to judge by",
        "a person has to approve step 2 (heliostat rollout approve), within 1 h, or it is rolled back",
        "clients stay on one version by the cookie sid",
        "needs 2 replicas on top (2 CPUs) for about 6.3 min, and for as long as people take, until 30 s after the last step",
        "golden requests",
    ):
        assert part in text, text


def test_a_header_and_a_shadow_and_a_blue_green_are_told_too() -> None:
    way = Canary(steps=(CanaryStep(weight=10),), affinity=Affinity(header="x-user"))
    assert "requests with the same header x-user stay on one version; without it chance decides" in lines(way)
    waits = RATE.model_copy(update={"on_inconclusive": OnInconclusive.WAIT})
    shadow = lines(Shadow(analysis=waits, sampling_percentage=25, approval=True, after=RATE))
    assert "shadow: shadow -> all" in shadow
    assert "checked at copies of 25 % of the requests" in shadow
    assert "waits for a person, or goes back, as its step says" in shadow
    both = lines(BlueGreen(before=RATE, after=RATE))
    assert "blue-green: no traffic -> all" in both
    assert "checked at each analysis" in both


def test_rolling_tells_its_batches_and_what_each_has_to_pass() -> None:
    text = lines(Rolling(percentage=50, max_surge=2, analysis=RATE), 4)
    assert "rolling: 2 -> 4 of 4 replicas" in text
    assert "checked at each batch: 30 s" in text
    assert "(4 CPUs)" in text


def test_what_is_kept_comes_back_without_steps() -> None:
    world = World()
    way = Canary(steps=(CanaryStep(weight=10),), analysis=RATE, retention_seconds=600)
    for number in (1, 2):
        world.declare(desired(number, way))
        for _ in range(60):
            world.reconcile()
            world.advance()
    found = plan(world.state, desired(1, way), (8.0, 3), None)
    assert "moves all traffic back to 1-fine at once, without analysis" in found.lines[0]
    assert not any("checked" in line for line in found.lines)


def test_what_is_on_its_way_is_told() -> None:
    world = World()
    world.declare(desired(1, BlueGreen()))
    world.settle()
    world.declare(desired(2, BlueGreen()))
    world.reconcile()
    for wanted, text in (
        (desired(2, BlueGreen()), "its rollout goes on"),
        (desired(2, BlueGreen(), 3), "goes on as now declared"),
        (desired(3, BlueGreen()), "ends the rollout to 2-fine"),
    ):
        assert text in plan(world.state, wanted, None, None).lines[0]


def moving(*ways: Strategy) -> State:
    """The first of `ways` serves version 1, and each other one has just begun to bring version 2."""
    world = World()
    world.declare(desired(1, ways[0]))
    world.settle()
    for way in ways[1:]:
        world.declare(desired(2, way))
        world.reconcile()
    return world.state


def test_a_revert_to_what_serves_tells_that_it_ends_what_is_on_its_way() -> None:
    found = plan(moving(BlueGreen(), BlueGreen()), desired(1, BlueGreen()), None, None)
    assert (found.changes, found.extra_replicas) == (True, 0)
    assert found.lines == ("ends the rollout to 2-fine that is on its way",)
    grown = plan(moving(BlueGreen(), BlueGreen()), desired(1, BlueGreen(), 3), None, None)
    assert grown.lines[:2] == (found.lines[0], "replicas: 2 -> 3; no replica restarts")
    assert plan(serving(), desired(1, BlueGreen()), None, None).lines == (), "nothing is on its way"


def test_a_change_in_place_that_is_on_its_way_is_told_as_one() -> None:
    world = World()
    world.declare(desired(1, BlueGreen()))
    world.settle()
    world.declare(desired(1, BlueGreen(), 3))
    world.reconcile()
    same = plan(world.state, desired(1, BlueGreen(), 3), None, None)
    assert (same.changes, same.lines) == (False, ("1-fine is on its way already; its rollout goes on",))
    back = plan(world.state, desired(1, BlueGreen()), None, None)
    assert (back.changes, back.lines[0]) == (True, "ends the change in place of 1-fine that is on its way")


def test_another_kind_of_strategy_for_what_is_on_its_way_is_told_as_a_new_beginning() -> None:
    for before, after in ((BlueGreen(), Rolling()), (Rolling(), BlueGreen()), (BlueGreen(), Recreate())):
        told = plan(moving(BlueGreen(), before), desired(2, after), None, None).lines[0]
        assert told.endswith(f"by {before.kind} that is on its way; it begins anew by {after.kind}")
    gentler = plan(moving(BlueGreen(), BlueGreen()), desired(2, Canary(steps=(CanaryStep(weight=1),))), None, None)
    assert gentler.lines[0] == "2-fine is on its way already; its rollout goes on as now declared"


def test_what_is_declared_while_it_goes_back_begins_after_that() -> None:
    world = World()
    world.declare(desired(1, BlueGreen()))
    world.settle()
    world.declare(desired(2, BlueGreen()))
    world.reconcile()
    world.abort()
    world.reconcile()
    for number in (1, 2, 3):
        told = plan(world.state, desired(number, BlueGreen()), None, None).lines[0]
        assert told == "the rollout to 2-fine is being rolled back; this begins once it has ended"


def test_in_the_gap_of_a_recreate_the_preview_tells_what_it_ends() -> None:
    world = World()
    world.declare(desired(1, Recreate()))
    world.settle()
    world.declare(desired(2, Recreate()))
    world.reconcile()
    found = plan(world.state, desired(3, BlueGreen()), None, None)
    assert found.lines[0] == "ends the rollout to 2-fine that is on its way"
    assert "nothing serves now" in found.lines[1]


def test_every_way_to_new_replicas_tells_what_they_need_and_what_each_is_asked_first() -> None:
    asked = "each new replica must be healthy and answer the golden requests rightly before it gets traffic"
    for strategy in (Recreate(), Rolling(), BlueGreen(), Shadow(analysis=RATE)):
        assert plan(serving(), desired(2, strategy), None, None).lines[-1] == asked
    wanted = desired(1, BlueGreen(), 5).model_copy(update={"gpus_per_replica": 0.5})
    first = plan(State(name="flights"), wanted, (8.0, 3), None)
    assert first.lines == (
        "starts 5 replicas of 1-fine, about 8 s as measured before; nothing serves now; "
        "needs 5 replicas on top (5 CPUs, 2.5 GPUs)",
        asked,
    )
    more = plan(serving(), desired(1, BlueGreen(), 5), None, None)
    assert more.lines == ("replicas: 2 -> 5; no replica restarts", "needs 3 replicas on top (3 CPUs)")
    fewer = plan(serving(), desired(1, BlueGreen(), 1), None, None)
    assert fewer.lines == ("replicas: 2 -> 1; no replica restarts",)


def test_what_was_rolled_back_is_told_in_the_preview() -> None:
    world = World()
    world.declare(desired(1, BlueGreen()))
    world.settle()
    bad = desired(2, BlueGreen(), behaviour="crashes")
    assert plan(world.state, bad, None, None).refused is None
    world.declare(bad)
    world.settle()
    refused = plan(world.state, bad, None, None).refused
    assert refused is not None
    assert "did not start" in refused.reason


HELD = (Held(Colour.BLUE, "head", 2),)


def short(strategy: Strategy, free: float, replicas: int = 2, state: State | None = None) -> str | None:
    nodes = (Node("head", free / 2), Node("worker-1", free / 2))
    return plan(state or serving(), desired(2, strategy, replicas), None, None, nodes, HELD).shortage


def test_a_surge_that_the_cluster_cannot_hold_is_told_with_what_there_is_and_what_to_do() -> None:
    text = short(BlueGreen(), 2, replicas=3)
    assert text is not None
    assert "3 replicas of 2-fine with 1 CPU each" in text
    assert "room for 2 (free: head: 1 CPU, worker-1: 1 CPU)" in text
    assert "`rolling` or `recreate`" in text
    assert short(BlueGreen(), 4, replicas=3) is None
    assert "maxSurge" in (short(Rolling(max_surge=1), 0) or "")
    assert short(Rolling(max_surge=0), 0) is None, "one goes before one comes"
    assert short(Recreate(), 0) is None, "the old ones make room"
    assert "5 replicas" in (short(Recreate(), 2, replicas=5) or "")


def test_each_replica_has_to_fit_on_one_node() -> None:
    wanted = desired(2, BlueGreen(), 2).model_copy(update={"cpus_per_replica": 2.0})
    spread = tuple(Node(f"n{number}", 1.5) for number in range(4))
    found = plan(serving(), wanted, None, None, spread, HELD)
    assert "room for 0" in (found.shortage or "")
    assert found.extra_cpus == 4
    assert plan(serving(), wanted, None, None, (Node("big", 4),), HELD).shortage is None


def test_accelerators_are_counted() -> None:
    wanted = desired(2, BlueGreen(), 2).model_copy(update={"gpus_per_replica": 0.5, "cpus_per_replica": 0.0})
    assert plan(serving(), wanted, None, None, (Node("a", 0, 1),), HELD).shortage is None
    found = plan(serving(), wanted, None, None, (Node("a", 8, 0.5),), HELD)
    assert "0.5 GPUs each" in (found.shortage or "")
    assert found.extra_gpus == 1
    assert "(1 GPU)" in " ".join(found.lines)


def test_what_is_there_already_needs_no_room_and_what_leaves_gives_it() -> None:
    world = World()
    world.declare(desired(1, BlueGreen()))
    world.settle()
    world.declare(desired(2, BlueGreen()))
    for _ in range(2):
        world.reconcile()
    held = (*HELD, Held(Colour.GREEN, "worker-1", 2))
    full = (Node("head", 0), Node("worker-1", 0))
    assert plan(world.state, desired(2, BlueGreen()), None, None, full, held).shortage is None
    assert plan(world.state, desired(3, BlueGreen()), None, None, full, held).shortage is None
    assert plan(world.state, desired(3, BlueGreen(), 3), None, None, full, held).shortage is not None


def test_more_replicas_in_place_and_a_first_version_have_to_fit_too() -> None:
    nodes = (Node("head", 1),)
    assert plan(serving(), desired(1, BlueGreen(), 3), None, None, nodes, HELD).shortage is None
    assert "2 replicas" in (plan(serving(), desired(1, BlueGreen(), 4), None, None, nodes, HELD).shortage or "")
    assert plan(State(name="flights"), desired(1, BlueGreen()), None, None, nodes).shortage is not None
    assert plan(serving(), desired(1, BlueGreen()), None, None, (), ()).shortage is None, "nothing changes"


@pytest.mark.parametrize(
    ("strategy", "text"),
    [
        (Canary(steps=(CanaryStep(weight=100),), affinity=Affinity(cookie="a")), "step below 100"),
        (BlueGreen(after=Analysis(checks=(Latency(at_most_ms=60_000),))), "beyond what is measured"),
        (Canary(steps=(CanaryStep(weight=5, analysis=Analysis(checks=(Latency(at_most_ms=20_000),))),)), "20000 ms"),
        (Rolling(max_surge=0, min_healthy_percentage=100), "none can move"),
    ],
)
def test_what_cannot_work_is_said_with_the_fix(strategy: Strategy, text: str) -> None:
    assert text in (problem(desired(1, strategy)) or "")


def test_what_can_work_is_no_problem() -> None:
    for strategy in (Recreate(), Rolling(analysis=RATE), BlueGreen(before=RATE), Shadow(analysis=RATE)):
        assert problem(desired(1, strategy)) is None


GROUPED = Placement(accelerator_type="A10G", resources={"heliostat-group:a10": 0.001})
NO_NODES = (Node("head", 0, group=""),)


def on_group(replicas: int, *nodes: Node, strategy: Strategy | None = None, placement: Placement | None = GROUPED) -> Plan:
    wanted = desired(2, strategy or BlueGreen(), replicas).model_copy(update={"gpus_per_replica": 1.0, "placement": placement})
    return plan(serving(), wanted, None, None, (*NO_NODES, *nodes), HELD)


def test_nodes_that_may_still_come_are_room_and_the_preview_says_what_it_waits_for() -> None:
    coming = Node("a10", 7, 1, group="a10", to_come=3)
    found = on_group(3, coming)
    assert found.shortage is None
    assert "waits for a node of group a10: the autoscaler brings it" in found.lines
    there = Node("worker", 7, 3, group="a10")
    assert not any("waits for a node" in line for line in on_group(3, there, coming).lines)


def test_two_versions_beside_each_other_are_held_against_the_group_s_maximum() -> None:
    found = on_group(4, Node("worker", 0, 0, group="a10"), Node("a10", 7, 1, group="a10", to_come=3))
    assert found.shortage is not None
    assert "the group a10 has room for 3" in found.shortage
    assert "worker: 0 CPUs, 3 more nodes of group a10, each: 7 CPUs, 1 GPU)" in found.shortage
    assert "raise `max` of the group a10, ask for fewer replicas, or choose `rolling` or `recreate`" in found.shortage
    assert on_group(3, Node("a10", 7, 1, group="a10", to_come=3)).shortage is None


def test_a_version_that_names_a_group_has_no_room_in_another_and_one_that_names_none_has_it_everywhere() -> None:
    other = Node("t4", 8, 4, group="t4")
    assert "the group a10 has room for 0 (free: it has no node)" in (on_group(2, other).shortage or "")
    assert on_group(2, other, placement=None).shortage is None
    full = on_group(5, other, placement=None).shortage or ""
    assert "the cluster has room for 4" in full
    assert "raise `max` of a group, ask for fewer" in full


def test_a_replica_on_tpus_takes_all_chips_of_its_host() -> None:
    chips = Placement(resources={"heliostat-group:v6e": 0.001, "TPU": 4.0})
    wanted = desired(2, BlueGreen(), 2).model_copy(update={"placement": chips})
    host = Node("v6e", 40, tpus=4, group="v6e", to_come=1)
    found = plan(serving(), wanted, None, None, (*NO_NODES, host), HELD)
    assert "1 CPU and 4 TPU chips each" in (found.shortage or "")
    assert plan(serving(), wanted, None, None, (*NO_NODES, replace(host, to_come=2)), HELD).shortage is None


def test_where_the_controller_knows_no_groups_every_node_counts_as_ever() -> None:
    wanted = desired(2, BlueGreen(), 2).model_copy(update={"placement": GROUPED})
    assert plan(serving(), wanted, None, None, (Node("a", 2),), HELD).shortage is None
    text = plan(serving(), wanted, None, None, (Node("a", 1),), HELD).shortage or ""
    assert "the cluster has room for 1 (free: a: 1 CPU): give the cluster another node, ask for fewer replicas" in text
