"""Rollouts through the controller's API, with a cluster and a traffic plane in memory: what is judged, said, kept and told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from fake_cluster import TOKEN, FakeCluster
from prometheus_client.parser import text_string_to_metric_families
from test_controller import bring, desired

from heliostat.controller import capacity, going_back, pacing
from heliostat.controller.ledger import newest_first
from heliostat.rollout.model import Colour
from heliostat.spec.analysis import Analysis, Custom, Latency, SuccessRate, Verdict
from heliostat.spec.ledger import Entry, EntryKind
from heliostat.spec.rollouts import Declaration, GoBack, Origin, Phase, Status, Word
from heliostat.spec.strategies import Affinity, BlueGreen, Canary, CanaryStep
from heliostat.systems.controller_api import ConflictError, ControllerClient
from heliostat.systems.objects import Directory
from heliostat.systems.ray_capacity import NodeTotals

WELL = Analysis(checks=(SuccessRate(at_least=0.99), Latency(at_most_ms=100)), seconds=0.5, min_requests=50)
ADA = Word(by="ada")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pacing, "BUSY_SECONDS", 0.02)
    monkeypatch.setattr(pacing, "WATCH_SECONDS", 0.05)
    monkeypatch.setattr(pacing, "IDLE_SECONDS", 0.1)


class World:
    """A cluster with clients, whose controller runs."""

    def __init__(self, cluster: FakeCluster, client: ControllerClient) -> None:
        self.cluster = cluster
        self.client = client

    async def declare(self, number: int, strategy: object = None, **said: object) -> Status:
        wanted = desired(number, strategy=strategy)  # type: ignore[arg-type]
        return await self.client.declare("flights", Declaration(desired=wanted, **said))  # type: ignore[arg-type]

    async def until(self, holds: Callable[[Status], bool]) -> Status:
        async with asyncio.timeout(10):
            while True:
                status = await self.client.read("flights")
                assert status is not None
                if holds(status):
                    return status
                await self.cluster.reconciler.news(0.05)

    async def phase(self, *phases: Phase) -> Status:
        return await self.until(lambda found: found.rollout is not None and found.rollout.phase in phases)

    async def entries(self) -> list[Entry]:
        await self.cluster.ledger.flush()
        return list(reversed(list(newest_first(Directory(self.cluster.directory / "objects"), "flights"))))

    async def metrics(self) -> dict[tuple[str, ...], float]:
        async with self.cluster.raw() as raw:
            answer = await raw.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200
        samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
        found = {(each.name, *(value for _, value in sorted(each.labels.items()))): each.value for each in samples}
        assert len(found) == len(samples), "two samples with the same labels break a scrape"
        return found


@pytest_asyncio.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    cluster = FakeCluster(tmp_path)
    cluster.traffic.requests_per_look = 400
    async with cluster.running() as client:
        found = World(cluster, client)
        await bring(client, desired(1))
        yield found


def canary(*weights: float, analysis: Analysis | None = WELL, **more: object) -> Canary:
    steps = tuple(CanaryStep(weight=weight) for weight in weights)
    return Canary(steps=steps, analysis=analysis, retention_seconds=0, **more)  # type: ignore[arg-type]


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


async def test_an_analyst_is_at_work_while_what_it_measures_is_judged(world: World) -> None:
    check = Custom(name="own", command=("true",), at_most=0.5)
    analysis = Analysis(checks=(check,), seconds=60.0)
    await world.declare(2, canary(10, analysis=analysis))
    status = await world.until(lambda found: _has_value(found, 0.25))
    assert status.rollout is not None
    assert status.rollout.phase is Phase.ANALYSING
    await world.client.abort("flights", ADA)
    await world.phase(Phase.FAILED)
    assert world.cluster.reconciler.analysts._running == {}


def _has_value(status: Status, value: float) -> bool:
    analyses = status.rollout.analyses if status.rollout is not None else ()
    return bool(analyses) and analyses[-1].findings[0].candidate == value


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
        await world.client.approve("flights", Word(by="ada", rollout=7))
    await world.client.approve("flights", Word(by="ada", reason="looks good"))
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
    await world.client.abort("flights", Word(by="ada", reason="wrong branch"))
    status = await world.phase(Phase.FAILED)
    assert "ada aborted it: wrong branch" in (status.rollout.error or "" if status.rollout else "")
    assert world.cluster.traffic.shifts == [1_000, 0]


# Rollbacks


async def test_a_rollback_inside_the_window_is_warm_and_refuses_what_it_leaves(world: World) -> None:
    await world.declare(2, BlueGreen(retention_seconds=600))
    await world.phase(Phase.RETAINING)
    deployed = list(world.cluster.serve.deploys)
    found = await world.client.rollback("flights", GoBack(by="ada", reason="users complain"))
    assert [each.label for each in found.refused] == ["2-fine"]
    status = await world.until(lambda each: each.serving == desired(1).version)
    assert world.cluster.serve.deploys == deployed, "nothing had to start"
    assert status.rollout is not None
    assert status.rollout.origin == Origin(by="ada")


async def test_a_rollback_to_an_entry_starts_exactly_what_served_then(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gone: list[str] = []
    monkeypatch.setattr(going_back, "missing", lambda version: tuple(gone))
    for number in (2, 3):
        await bring(world.client, desired(number))
    served = {each.number: max(each.weights, key=lambda digest: each.weights[digest]) for each in await world.entries()}
    first = next(number for number, digest in served.items() if digest == desired(1).version.digest)
    gone.append("its code package file:///a.zip")
    with pytest.raises(ConflictError, match=r"1-fine cannot serve again: its code package file:///a.zip is gone"):
        await world.client.rollback("flights", GoBack(by="ada", to=first))
    gone.clear()
    await world.client.rollback("flights", GoBack(by="ada", to=first))
    await world.until(lambda each: each.serving == desired(1).version)
    # Not back to the third one, which was rolled away from.
    await world.phase(Phase.SUCCEEDED)
    await world.client.rollback("flights", GoBack(by="ada"))
    await world.until(lambda each: each.serving == desired(2).version)


async def test_a_rollback_to_what_never_was_is_a_conflict(world: World) -> None:
    with pytest.raises(ConflictError, match="no entry 99: it has 1 to"):
        await world.entries()
        await world.client.rollback("flights", GoBack(by="ada", to=99))
    with pytest.raises(ConflictError, match="no version that served before"):
        await world.client.rollback("flights", GoBack(by="ada"))


# The ledger and the records


async def test_the_ledger_is_told_every_shift_and_every_end(world: World) -> None:
    await world.declare(2, canary(10, 50), origin=Origin(by="ada", commit="abc", dirty=True))
    await world.phase(Phase.SUCCEEDED)
    await world.client.delete("flights")
    async with asyncio.timeout(5):
        while await world.client.read("flights") is not None:  # noqa: ASYNC110 - it is what a client does
            await asyncio.sleep(0.02)
    entries = await world.entries()
    one, two = desired(1).version.digest, desired(2).version.digest
    assert [each.number for each in entries] == list(range(1, len(entries) + 1))
    assert len({each.id for each in entries}) == len(entries)
    told = [(each.kind, each.weights) for each in entries if each.rollout == 2]
    assert told == [
        (EntryKind.SHIFT, {one: 0.9, two: 0.1}),
        (EntryKind.SHIFT, {one: 0.5, two: 0.5}),
        (EntryKind.SHIFT, {two: 1.0}),
        (EntryKind.END, {two: 1.0}),
        (EntryKind.REMOVED, {}),
    ]
    end = next(each for each in entries if each.rollout == 2 and each.kind is EntryKind.END)
    assert end.phase is Phase.SUCCEEDED
    assert end.origin == Origin(by="ada", commit="abc", dirty=True)
    assert end.previous == desired(1)
    assert len(end.analyses) == 2


async def test_a_record_has_the_weights_and_rates_over_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heliostat.controller.metering.SAMPLE_SECONDS", 0.1)
    await world.declare(2, canary(10, 50))
    await world.phase(Phase.SUCCEEDED)
    listed = await world.client.rollouts("flights")
    assert [(each.number, each.to_version, each.events) for each in listed] == [(2, "2-fine", ()), (1, "1-fine", ())]
    assert listed[1].ended_at is not None
    record = await world.client.record("flights", 2)
    assert record is not None
    assert record.rollout.events[0].phase is Phase.PENDING
    weights = [each.candidate_weight for each in record.samples]
    assert sorted(set(weights)) == [0.0, 0.1, 0.5, 1.0]
    assert all(a <= b for a, b in pairwise(weights))
    assert any(each.candidate and each.candidate.requests_per_second > 0 and each.candidate.p99_ms for each in record.samples)
    assert await world.client.record("flights", 77) is None
    assert await world.client.rollouts("trains") == ()


async def test_every_application_is_listed(world: World) -> None:
    await world.client.declare("boats", Declaration(desired=desired(1)))
    assert [each.name for each in await world.client.list()] == ["boats", "flights"]


async def test_a_shift_says_how_long_it_took(world: World) -> None:
    await world.declare(2)
    await world.phase(Phase.SUCCEEDED)
    took = world.cluster.reconciler.observed["flights"].shift_milliseconds
    assert took is not None
    assert 0 < took < 100
    assert (await world.metrics())["heliostat_shift_seconds", "flights"] == took / 1000


# Metrics


async def test_metrics_tell_what_serves_and_what_was_measured(world: World) -> None:
    await world.declare(2, canary(10, analysis=WELL.model_copy(update={"seconds": 60.0})))
    await world.until(lambda found: _has_value(found, 1.0))
    found = await world.metrics()
    assert found["heliostat_traffic_weight", "flights", "2-fine"] == 0.1
    assert found["heliostat_replicas", "flights", "asked", "1-fine"] == 2
    assert found["heliostat_replicas", "flights", "healthy", "2-fine"] == 2
    assert found["heliostat_rollout_phase", "flights", "analysing"] == 1
    assert found["heliostat_rollout_phase", "flights", "failed"] == 0
    assert found["heliostat_rollouts_total", "flights", "succeeded", "blue-green"] == 1
    assert found["heliostat_traffic_plane_up",] == 1
    assert found["heliostat_cluster_answers",] == 1
    assert ("heliostat_analysis_value", "flights", "success rate", "candidate") in found
    requests = found["heliostat_requests_total", "flights", "1-fine"]
    assert requests > 0
    assert found["heliostat_request_duration_seconds_bucket", "flights", "+Inf", "1-fine"] == requests
    assert found["heliostat_request_duration_seconds_count", "flights", "1-fine"] == requests
    assert found["heliostat_request_duration_seconds_sum", "flights", "1-fine"] == pytest.approx(requests * 0.005, rel=0.2)


async def test_counters_never_go_back_over_restarts_of_haproxy_and_of_the_controller(world: World) -> None:
    before = await world.metrics()
    world.cluster.traffic.restart()
    await world.cluster.reconciler.look()
    between = await world.metrics()
    world.cluster.start()
    assert ("heliostat_requests_total", "flights", "1-fine") not in await world.metrics(), "nothing is told before a look"
    await world.cluster.reconciler.look()
    after = await world.metrics()
    for key in before:
        if key[0].endswith(("_total", "_count", "_bucket")):
            assert before[key] <= between[key] <= after[key], key


async def test_metrics_need_the_token(world: World) -> None:
    async with world.cluster.raw() as raw:
        assert (await raw.get("/metrics")).status_code == httpx.codes.UNAUTHORIZED


# The cluster and the traffic plane


async def test_a_surge_that_the_cluster_cannot_hold_is_a_conflict(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nodes(address: object) -> tuple[NodeTotals, ...]:
        return (NodeTotals("a", "only", 1.0, 0.0),)

    monkeypatch.setattr(capacity, "read_nodes", nodes)
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
        await reconciler.look()
        await asyncio.sleep(0.005)
    rollout = reconciler.states["flights"].rollout
    assert rollout is not None
    assert rollout.phase is Phase.FAILED
    assert reconciler.states["flights"].slot(Colour.GREEN).desired is None
