"""Rollouts through the controller's API, with a cluster and a traffic plane in memory: what is judged, said and undone."""

from __future__ import annotations

import asyncio

import pytest
from rollouts_in_memory import ADA, WELL, World, canary, has_value, quick, world
from test_controller import bring, desired

from heliostat.controller import changes, rollback_targets
from heliostat.controller.backends import ray_serve
from heliostat.rollout.model import Colour
from heliostat.rollout.orders import fingerprint
from heliostat.spec.addresses import Access, KubernetesProxy
from heliostat.spec.analysis import Analysis, CustomCheck, Latency, Source, Verdict
from heliostat.spec.rollouts import ActionRequest, Declaration, Origin, Phase, RollbackRequest
from heliostat.spec.strategies import Affinity, BlueGreen, Canary, CanaryStep
from heliostat.systems.controller_api import ConflictError
from heliostat.systems.errors import RetryableError
from heliostat.systems.objects import ObjectStore
from heliostat.systems.ray_capacity import NodeTotals

__all__ = ["quick", "world"]


# Analyses


async def test_a_canary_that_does_well_goes_through_its_steps(world: World) -> None:
    await world.declare(2, canary(10, 50))
    status = await world.phase(Phase.SUCCEEDED, Phase.FAILED)
    assert status.rollout is not None
    assert status.rollout.phase is Phase.SUCCEEDED, status.rollout.error
    assert world.cluster.traffic.shifts == [1_000, 5_000, 10_000]
    assert [each.verdict for each in status.rollout.analyses] == [Verdict.PASS, Verdict.PASS]
    assert status.serving == desired(2).version


async def test_a_canary_that_begins_to_fail_loses_its_traffic_first_and_is_refused(world: World) -> None:
    slow = WELL.model_copy(update={"seconds": 60.0})
    await world.declare(2, canary(10, analysis=slow), origin=Origin(by="ada", commit="abc"))
    await world.phase(Phase.ANALYSING)
    world.cluster.traffic.failing["flights-green"] = 0.05
    status = await world.phase(Phase.FAILED)
    assert world.cluster.traffic.shifts == [1_000, 0]
    assert status.rollout is not None
    assert status.rollout.analyses[-1].verdict is Verdict.FAIL
    assert "success" in (status.rollout.error or "")
    assert status.rollout.origin == Origin(by="ada", commit="abc")
    assert [each.label for each in status.refused] == ["2-fine"]
    with pytest.raises(ConflictError, match=r"2-fine was rolled back .*`--retry-refused`"):
        await world.declare(2, canary(10, analysis=slow))
    plan = await world.client.plan("flights", Declaration(desired=desired(2, strategy=canary(10, analysis=slow))))
    assert plan.refused is not None


async def test_what_was_refused_is_shipped_when_somebody_says_so(world: World) -> None:
    strategy = canary(10, analysis=WELL.model_copy(update={"seconds": 60.0}))
    world.cluster.traffic.failing["flights-green"] = 1.0
    await world.declare(2, strategy)
    await world.phase(Phase.FAILED)
    world.cluster.traffic.failing.clear()
    found = await world.declare(2, strategy, retry_refused=True)
    assert found.rollout is not None
    assert found.rollout.number == 3
    assert found.refused == ()


async def test_an_analysis_runner_is_at_work_while_what_it_measures_is_judged(world: World) -> None:
    check = CustomCheck(name="own", command=("true",), at_most=0.5)
    analysis = Analysis(checks=(check,), seconds=60.0)
    await world.declare(2, canary(10, analysis=analysis))
    status = await world.until(lambda found: has_value(found, 0.25))
    assert status.rollout is not None
    assert status.rollout.phase is Phase.ANALYSING
    await world.client.abort("flights", ADA)
    await world.phase(Phase.FAILED)
    assert world.cluster.reconciler.analysis_runners._running == {}


async def test_a_new_version_declared_within_the_window_of_another_is_judged_all_the_same(world: World) -> None:
    await world.declare(2, BlueGreen(retention_seconds=600))
    await world.phase(Phase.RETAINING)
    await world.declare(3, canary(10))
    await world.until(lambda found: found.serving == desired(3).version)
    assert world.cluster.traffic.shifts == [10_000, 9_000, 0]


# People


async def test_a_step_that_waits_for_a_person_goes_on_when_one_says_so(world: World) -> None:
    steps = (CanaryStep(weight=10, approval=True),)
    await world.declare(2, Canary(steps=steps, retention_seconds=0))
    status = await world.phase(Phase.WAITING)
    assert status.rollout is not None
    assert status.rollout.until is not None
    with pytest.raises(ConflictError, match="rollout 7 is not on its way"):
        await world.client.approve("flights", ActionRequest(by="ada", rollout=7))
    await world.client.approve("flights", ActionRequest(by="ada", reason="looks good"))
    status = await world.phase(Phase.SUCCEEDED)
    assert status.rollout is not None
    assert any("ada lets it go on: looks good" in event.message for event in status.rollout.events)


async def test_an_approval_or_an_abort_of_nothing_is_a_conflict(world: World) -> None:
    for call in (world.client.approve, world.client.abort):
        with pytest.raises(ConflictError, match=r"no rollout is on its way; the last one, 1, ended: succeeded"):
            await call("flights", ADA)


async def test_an_abort_takes_the_traffic_back_and_says_by_whom(world: World) -> None:
    await world.declare(2, canary(10, analysis=WELL.model_copy(update={"seconds": 60.0})))
    await world.phase(Phase.ANALYSING)
    await world.client.abort("flights", ActionRequest(by="ada", reason="wrong branch"))
    status = await world.phase(Phase.FAILED)
    assert "ada aborted it: wrong branch" in (status.rollout.error or "" if status.rollout else "")
    assert world.cluster.traffic.shifts == [1_000, 0]


# Rollbacks


def away(*_: object) -> ObjectStore:
    raise RetryableError("the object store does not answer")


async def test_a_rollback_inside_the_window_is_warm_and_refuses_what_it_leaves_while_the_object_store_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.declare(2, BlueGreen(retention_seconds=600))
    await world.phase(Phase.RETAINING)
    deployed = list(world.cluster.serve.deploys)
    shown = await world.client.way_back("flights")
    assert (shown.desired, shown.warm, shown.entry) == (desired(1), True, None)
    monkeypatch.setattr(changes, "open_store", away)
    assert await world.client.way_back("flights") == shown, "a look changes nothing"
    order = RollbackRequest(by="ada", expected=shown.fingerprint, reason="users complain")
    await world.client.rollback("flights", order)
    status = await world.until(lambda each: each.serving == desired(1).version)
    assert [each.label for each in status.refused] == ["2-fine"]
    assert world.cluster.serve.deploys == deployed, "nothing had to start"
    assert status.rollout is not None
    assert status.rollout.origin == Origin(by="ada")


async def test_a_rollback_to_an_entry_starts_exactly_what_served_then(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gone: list[str] = []
    monkeypatch.setattr(rollback_targets, "missing", lambda version, access: tuple(gone))
    for number in (2, 3):
        await bring(world.client, desired(number))
    served = {each.number: max(each.weights, key=lambda digest: each.weights[digest]) for each in await world.entries()}
    first = next(number for number, digest in served.items() if digest == desired(1).version.digest)
    gone.append("its code package file:///a.zip")
    with pytest.raises(ConflictError, match=r"1-fine cannot serve again: its code package file:///a.zip is gone"):
        await world.client.rollback("flights", RollbackRequest(by="ada", to=first))
    gone.clear()
    await world.client.rollback("flights", RollbackRequest(by="ada", to=first))
    await world.until(lambda each: each.serving == desired(1).version)
    # Not back to the third one, which was rolled away from.
    await world.phase(Phase.SUCCEEDED)
    await world.client.rollback("flights", RollbackRequest(by="ada"))
    await world.until(lambda each: each.serving == desired(2).version)


async def test_what_a_rollback_would_go_back_to_is_told_with_the_entry_that_says_so_and_nothing_moves(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone: list[str] = []
    monkeypatch.setattr(rollback_targets, "missing", lambda version, access: tuple(gone))
    status = await bring(world.client, desired(2))
    entries = {each.number: each for each in await world.entries()}
    shown = await world.client.way_back("flights")
    assert (shown.desired, shown.fingerprint, shown.warm) == (desired(1), fingerprint(desired(1)), False)
    assert shown.entry is not None
    said = entries[shown.entry]
    assert (said.weights, said.at) == ({desired(1).version.digest: 1.0}, shown.at)
    assert await world.client.read("flights") == status
    gone.append("its code package")
    with pytest.raises(ConflictError, match="1-fine cannot serve again"):
        await world.client.way_back("flights")
    monkeypatch.setattr(changes, "open_store", away)
    with pytest.raises(RetryableError, match="the object store does not answer"):
        await world.client.way_back("flights")


async def test_a_rollback_never_goes_back_to_anything_else_than_what_was_shown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollback_targets, "missing", lambda version, access: ())
    await world.declare(2, BlueGreen(retention_seconds=600))
    await world.phase(Phase.RETAINING)
    shown = await world.client.way_back("flights")
    # While somebody thinks about it, another one ships.
    await world.declare(3, BlueGreen(retention_seconds=600))
    await world.until(lambda found: found.serving == desired(3).version)
    before = await world.phase(Phase.RETAINING)
    with pytest.raises(ConflictError, match=r"no longer what was shown: by now it is 2-fine with 2 replicas, blue-green"):
        await world.client.rollback("flights", RollbackRequest(by="ada", expected=shown.fingerprint))
    found = await world.client.read("flights")
    assert found is not None
    assert (found.desired, found.refused) == (before.desired, ())


async def test_a_rollback_asks_the_registry_in_the_way_that_leads_there_from_the_controller(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Access | None] = []
    monkeypatch.setattr(rollback_targets, "missing", lambda version, access: asked.append(access) or ())
    await world.declare(2, BlueGreen(retention_seconds=0))
    await world.phase(Phase.SUCCEEDED)
    settings, through = world.cluster.reconciler.settings, Access(proxy=KubernetesProxy())
    for uri, access in ((desired(1).version.tracking_uri, through), ("http://another", None)):
        inputs = settings.inputs.model_copy(update={"tracking_uri": uri, "tracking_access": through})
        monkeypatch.setattr(world.cluster.reconciler, "settings", settings.model_copy(update={"inputs": inputs}))
        await world.client.way_back("flights")
        assert asked[-1] == access, uri


async def test_what_was_shown_warm_and_went_away_meanwhile_is_started_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollback_targets, "missing", lambda version, access: ())
    await world.declare(2, BlueGreen(retention_seconds=600))
    await world.phase(Phase.RETAINING)
    shown = await world.client.way_back("flights")
    await world.declare(2, BlueGreen(retention_seconds=0))
    await world.phase(Phase.SUCCEEDED)
    await world.client.rollback("flights", RollbackRequest(by="ada", expected=shown.fingerprint))
    await world.until(lambda each: each.serving == desired(1).version)


async def test_a_rollback_while_a_rollout_is_on_its_way_is_a_conflict_before_anything_is_shown(world: World) -> None:
    await world.declare(2, canary(10, analysis=WELL.model_copy(update={"seconds": 60.0})))
    await world.phase(Phase.ANALYSING)
    with pytest.raises(ConflictError, match="`heliostat rollout abort` takes it back"):
        await world.client.way_back("flights")


async def test_what_is_being_taken_away_has_no_way_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollback_targets, "missing", lambda version, access: ())
    await bring(world.client, desired(2))
    await world.entries()
    world.cluster.serve.away = True
    await world.client.delete("flights")
    with pytest.raises(ConflictError, match="is being taken away"):
        await world.client.way_back("flights")


async def test_a_rollback_to_what_never_was_is_a_conflict(world: World) -> None:
    with pytest.raises(ConflictError, match="no entry 99: it has 1 to"):
        await world.entries()
        await world.client.rollback("flights", RollbackRequest(by="ada", to=99))
    with pytest.raises(ConflictError, match="no version that served before"):
        await world.client.rollback("flights", RollbackRequest(by="ada"))


# The cluster and the traffic plane


async def test_a_surge_that_the_cluster_cannot_hold_is_a_conflict(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nodes(address: object) -> tuple[NodeTotals, ...]:
        return (NodeTotals("a", "only", 1.0, 0.0),)

    monkeypatch.setattr(ray_serve, "read_nodes", nodes)
    plan = await world.client.plan("flights", Declaration(desired=desired(2)))
    assert plan.shortage is not None
    with pytest.raises(ConflictError, match="2 replicas of 2-fine"):
        await world.declare(2)
    # What serves may be declared all the same.
    await world.declare(1)


async def test_clients_are_dealt_by_the_candidates_digest_while_it_comes_into_place(world: World) -> None:
    affinity = Affinity(cookie="who")
    await world.declare(2, canary(10, analysis=WELL.model_copy(update={"seconds": 60.0}), affinity=affinity))
    await world.phase(Phase.ANALYSING)
    assert world.cluster.traffic.known["flights"] == (affinity, desired(2).version.digest)
    # Another candidate does not deal anew while there are clients on this one.
    await world.declare(3, canary(10, affinity=affinity))
    await world.until(lambda found: bool(found.rollout and found.rollout.to_version == "3-fine"))
    await world.phase(Phase.ANALYSING, Phase.SUCCEEDED)
    assert world.cluster.traffic.known["flights"] == (affinity, desired(3).version.digest)


async def test_a_controller_that_was_killed_while_it_analyses_goes_on(world: World) -> None:
    await world.declare(2, canary(10, analysis=WELL.model_copy(update={"seconds": 60.0})))
    await world.phase(Phase.ANALYSING)
    world.cluster.traffic.failing["flights-green"] = 0.5
    reconciler = world.cluster.start()
    for _ in range(200):
        await reconciler.reconcile()
        await asyncio.sleep(0.005)
    rollout = reconciler.states["flights"].rollout
    assert rollout is not None
    assert rollout.phase is Phase.FAILED
    assert reconciler.states["flights"].slot(Colour.GREEN).desired is None


async def test_after_the_switch_a_candidate_is_held_against_what_the_old_version_did_under_the_same_load(world: World) -> None:
    times = Analysis(checks=(Latency(quantile=0.9, times=2.0),), seconds=0.5, min_requests=50)
    world.cluster.traffic.milliseconds.update({"flights-blue": 20.0, "flights-green": 30.0})
    await world.declare(2, BlueGreen(after=times, retention_seconds=0))
    status = await world.phase(Phase.SUCCEEDED, Phase.FAILED)
    assert status.rollout is not None
    assert status.rollout.phase is Phase.SUCCEEDED, status.rollout.error
    (finding,) = status.rollout.analyses[0].findings
    assert (finding.source, finding.verdict) == (Source.TRAFFIC, Verdict.PASS)
    assert finding.serving is not None
    world.cluster.traffic.milliseconds["flights-blue"] = 90.0
    await world.declare(3, BlueGreen(after=times, retention_seconds=0))
    status = await world.phase(Phase.SUCCEEDED, Phase.FAILED)
    assert status.rollout is not None
    assert status.rollout.phase is Phase.FAILED
    assert "latency p90" in (status.rollout.error or "")


async def test_a_canary_that_fails_every_prediction_is_taken_back_however_many_probes_it_answers_well(world: World) -> None:
    world.cluster.traffic.requests_per_look, world.cluster.traffic.probes_per_look = 10, 1_000
    world.cluster.traffic.failing["flights-green"] = 1.0
    await world.declare(2, canary(50, analysis=WELL.model_copy(update={"seconds": 60.0})))
    status = await world.phase(Phase.FAILED)
    assert "success rate 0 %" in (status.rollout.error or "" if status.rollout is not None else "")
    told = await world.metrics()
    assert (
        told["heliostat_requests_total", "flights", "/healthz", "2-fine"]
        > told["heliostat_failed_requests_total", "flights", "/predict", "2-fine"]
    )
