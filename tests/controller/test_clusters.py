"""Applications on two clusters: they move by their strategies, what serves stays until then, and a cluster may go any time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from fake_cluster import TOKEN, FakeServe
from prometheus_client.parser import text_string_to_metric_families
from rollouts_in_memory import canary, quick
from test_controller import bring, desired
from test_serve_config import SETTINGS
from two_clusters import NEW, OLD, TwoClusters

from heliostat.controller import moving
from heliostat.controller.backends import clusters as clusters_module
from heliostat.controller.backends.clusters import Clusters
from heliostat.controller.backends.ray_serve import RayServe
from heliostat.rollout.model import Colour, DeployColour, identity
from heliostat.spec.addresses import RayAddress
from heliostat.spec.analysis import Analysis, CustomCheck, SuccessRate
from heliostat.spec.rollouts import ActionRequest, Declaration, Desired, Phase, RollbackRequest, Status
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep, Recreate, Rolling, Shadow, Strategy
from heliostat.systems.controller_api import ConflictError, ControllerClient
from heliostat.testing.conformance import ServingBackendConformance

__all__ = ["quick"]

JUDGED = Analysis(checks=(SuccessRate(at_least=0.5),), seconds=0.2, min_requests=1)
COMPARED = Analysis(checks=(CustomCheck(name="own", command=("true",), at_most=0.5),), seconds=0.2, min_requests=1)
STRATEGIES: tuple[Strategy, ...] = (
    BlueGreen(retention_seconds=0),
    canary(20, 60, analysis=JUDGED),
    Rolling(),
    Rolling(max_surge=0, min_healthy_percentage=50),
    Recreate(),
    Shadow(analysis=COMPARED, retention_seconds=0),
)


def on(wanted: Desired, cluster: str) -> Desired:
    return wanted.model_copy(update={"cluster": cluster})


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TwoClusters:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.setattr(clusters_module, "_AGAIN_SECONDS", 0.01)
    found = TwoClusters(tmp_path)
    found.traffic.requests_per_look = 100
    return found


async def served_by_old(two: TwoClusters, *wanted: Desired) -> None:
    async with two.running() as client:
        for each in wanted or (on(desired(1), OLD),):
            await bring(client, each)


async def until_forgotten(two: TwoClusters, client: ControllerClient) -> None:
    async with asyncio.timeout(60):
        while (await client.health()).former_ray_urls:
            await two.reconciler.news(0.02)


class TestClusters(ServingBackendConformance):
    """Over two Serves in memory."""

    @pytest.fixture
    async def backend(self) -> Clusters:
        serves = {url: RayServe(FakeServe(), SETTINGS) for url in (OLD, NEW)}  # type: ignore[arg-type]
        addresses = [RayAddress(url=NEW), RayAddress(url=OLD)]
        return Clusters(addresses, lambda address: serves[address.url], lambda _: True)

    def desired(self, number: int = 1, *, starts: bool = True) -> Desired:
        return on(desired(number, "fine" if starts else "crashes"), NEW)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda each: each.kind)
async def test_an_application_moves_by_its_own_strategy_and_leaves_nothing_behind(
    two: TwoClusters, strategy: Strategy
) -> None:
    await served_by_old(two, on(desired(1, strategy=strategy), OLD))
    two.work_on(NEW)
    async with two.running() as client:
        assert (await client.health()).former_ray_urls == (OLD,)
        status = await bring(client, on(desired(1, strategy=strategy), NEW))
        assert status.rollout is not None
        assert status.rollout.phase is Phase.SUCCEEDED, status.rollout.events
        assert (status.rollout.number, status.rollout.moves, status.cluster) == (2, True, NEW)
        assert two.apps() == {OLD: set(), NEW: {"flights-green"}}
        await until_forgotten(two, client)


async def test_what_serves_stays_where_it_is_until_it_is_declared(two: TwoClusters) -> None:
    await served_by_old(two)
    two.work_on(NEW)
    async with two.running() as client:
        for _ in range(5):
            await two.reconciler.reconcile()
        status = await client.read("flights")
        assert status is not None
        assert (status.cluster, status.healthy_replicas) == (OLD, 2)
        assert two.apps() == {OLD: {"flights-blue"}, NEW: set()}
        assert two.serves[OLD].deploys == ["flights-blue"]


async def test_what_is_declared_without_a_cluster_or_for_one_that_is_left_comes_to_the_new_one(two: TwoClusters) -> None:
    await served_by_old(two, on(desired(1), OLD))
    two.work_on(NEW)
    async with two.running() as client:
        status = await bring(client, on(desired(1, replicas=3), OLD))
        assert (status.cluster, status.desired) == (NEW, on(desired(1, replicas=3), NEW))
        again = await bring(client, desired(1, replicas=3))
        assert (again.cluster, again.rollout) == (NEW, status.rollout)


async def test_a_cluster_that_nobody_knows_is_a_conflict_and_a_plan_tells_of_it_all_the_same(two: TwoClusters) -> None:
    await served_by_old(two)
    async with two.running() as client:
        with pytest.raises(ConflictError, match=f"the controller works on {OLD}: run `up`"):
            await client.declare("flights", Declaration(desired=on(desired(1), NEW)))
        plan = await client.plan("flights", Declaration(desired=on(desired(1), NEW)))
        assert plan.changes
        assert plan.lines[0] == f"moves from the cluster {OLD} to {NEW}"
        assert not (await client.plan("flights", Declaration(desired=on(desired(1), OLD)))).changes


async def test_a_move_that_fails_leaves_what_serves_on_the_old_cluster_and_is_refused_from_then_on(two: TwoClusters) -> None:
    await served_by_old(two)
    two.work_on(NEW)
    two.serves[NEW].failing = True
    async with two.running() as client:
        status = await bring(client, on(desired(1), NEW))
        assert status.rollout is not None
        assert (status.rollout.phase, status.cluster, status.healthy_replicas) == (Phase.FAILED, OLD, 2)
        assert two.apps() == {OLD: {"flights-blue"}, NEW: set()}
        assert (await client.health()).former_ray_urls == (OLD,)
        with pytest.raises(ConflictError, match="--retry-refused"):
            await client.declare("flights", Declaration(desired=on(desired(1), NEW)))
        two.serves[NEW].failing = False
        await client.declare("flights", Declaration(desired=on(desired(1), NEW), retry_refused=True))
        async for each in client.follow("flights", await client.read("flights")):  # type: ignore[arg-type]
            status = each
        assert status.cluster == NEW


async def test_a_version_that_was_refused_is_refused_on_every_cluster(two: TwoClusters) -> None:
    await served_by_old(two)
    async with two.running() as client:
        await bring(client, on(desired(2, "crashes"), OLD))
    two.work_on(NEW)
    async with two.running() as client:
        with pytest.raises(ConflictError, match="--retry-refused"):
            await client.declare("flights", Declaration(desired=on(desired(2, "crashes"), NEW)))


async def test_the_metrics_of_a_version_that_is_on_two_clusters_at_once_are_a_scrape(two: TwoClusters) -> None:
    await served_by_old(two)
    two.work_on(NEW)
    asks = Canary(steps=(CanaryStep(weight=10, approval=True),), retention_seconds=0)
    async with two.running() as client, two.raw() as raw:
        await client.declare("flights", Declaration(desired=on(desired(1, strategy=asks), NEW)))
        await until(two, client, lambda found: bool(found.rollout and found.rollout.phase is Phase.WAITING))
        answer = await raw.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
        keys = [(each.name, *sorted(each.labels.items())) for each in samples]
        assert len(set(keys)) == len(keys)
        assert [each.value for each in samples if each.name == "heliostat_traffic_weight"] == [1.0]
        await client.approve("flights", ActionRequest(by="ada"))
        await until(two, client, lambda found: found.cluster == NEW)


async def test_a_controller_that_is_killed_at_any_look_moves_it_all_the_same(two: TwoClusters) -> None:
    await served_by_old(two)
    two.work_on(NEW)
    two.reconciler.declare("flights", Declaration(desired=on(desired(1), NEW)))
    for _ in range(40):
        await two.start().reconcile()
        await two.reconciler.changes.quiet()
        await asyncio.sleep(0.01)  # for what the golden requests are answered
        if two.reconciler.backend.clusters == (NEW,):
            break
    assert two.apps() == {OLD: set(), NEW: {"flights-green"}}
    assert two.reconciler.backend.clusters == (NEW,)


async def test_a_program_that_goes_back_to_the_old_cluster_brings_back_what_had_moved(two: TwoClusters) -> None:
    await served_by_old(two, on(desired(1), OLD))
    async with two.running() as client:
        await client.declare("trains", Declaration(desired=on(desired(1), OLD)))
        async for _ in client.follow("trains", await client.read("trains")):  # type: ignore[arg-type]
            pass
    two.work_on(NEW)
    async with two.running() as client:
        await bring(client, on(desired(1), NEW))
    two.work_on(OLD)
    async with two.running() as client:
        trains = await client.declare("trains", Declaration(desired=on(desired(1), OLD)))
        assert trains.rollout is not None
        assert trains.rollout.number == 1, "it never left"
        assert (await bring(client, on(desired(1), OLD))).cluster == OLD
        await until_forgotten(two, client)
        assert two.apps() == {OLD: {"trains-blue", "flights-blue"}, NEW: set()}


async def test_a_rollback_within_the_window_goes_to_the_old_cluster_where_it_is_still_warm(two: TwoClusters) -> None:
    keeps = BlueGreen(retention_seconds=60)
    await served_by_old(two, on(desired(1, strategy=keeps), OLD))
    two.work_on(NEW)
    async with two.running() as client:
        await client.declare("flights", Declaration(desired=on(desired(1, strategy=keeps), NEW)))
        await until(two, client, lambda found: bool(found.rollout and found.rollout.phase is Phase.RETAINING))
        assert (await client.health()).former_ray_urls == (OLD,)
        await client.rollback("flights", RollbackRequest(by="ada"))
        status = await until(two, client, lambda found: found.cluster == OLD)
        assert status.healthy_replicas == 2
        assert two.serves[OLD].deploys == ["flights-blue"]


async def test_a_rollback_to_what_ran_on_a_cluster_that_is_gone_comes_to_the_one_that_is_there(
    two: TwoClusters, monkeypatch: pytest.MonkeyPatch
) -> None:
    from heliostat.controller import rollback_targets

    monkeypatch.setattr(rollback_targets, "missing", lambda *_: ())
    await served_by_old(two, on(desired(1), OLD), on(desired(2), OLD))
    two.work_on(NEW)
    async with two.running() as client:
        await bring(client, on(desired(2), NEW))
        await until_forgotten(two, client)
        await client.rollback("flights", RollbackRequest(by="ada"))
        status = await until(two, client, lambda found: bool(found.serving and found.serving.label == "1-fine"))
        assert status.cluster == NEW


async def until(two: TwoClusters, client: ControllerClient, holds: object) -> Status:
    async with asyncio.timeout(60):
        while True:
            status = await client.read("flights")
            assert status is not None
            if holds(status):  # type: ignore[operator]
                return status
            await two.reconciler.news(0.02)


# A former cluster that does not answer


async def test_a_former_cluster_that_is_silent_leaves_its_applications_as_they_are_and_stops_no_others(
    two: TwoClusters,
) -> None:
    await served_by_old(two)
    two.work_on(NEW)
    async with two.running() as client:
        await two.reconciler.reconcile()
        two.serves[OLD].away = True
        status = await client.declare("trains", Declaration(desired=on(desired(2), NEW)))
        async for each in client.follow("trains", status):
            status = each
        assert (status.cluster, status.healthy_replicas) == (NEW, 2)
        flights = await client.read("flights")
        assert flights is not None
        assert (flights.cluster, flights.healthy_replicas) == (OLD, 2)
        assert two.traffic.servers["flights-blue"].keys() == {"1-fine.30000", "1-fine.30001"}
        assert (await client.health()).ray
        two.serves[OLD].away = False
        moved = await bring(client, on(desired(1), NEW))
        assert moved.cluster == NEW


async def test_replicas_that_still_answer_keep_an_application_on_a_cluster_that_is_silent_for_long(
    two: TwoClusters, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "LOST_SECONDS", 0.0)
    await served_by_old(two)
    two.work_on(NEW)
    two.serves[OLD].away = True
    async with two.running() as client:
        for _ in range(5):
            await two.reconciler.reconcile()
        assert two.apps()[NEW] == set()
        flights = await client.read("flights")
        assert flights is not None
        assert flights.cluster == "" or flights.cluster == OLD
        assert two.traffic.servers["flights-blue"]


async def test_what_was_on_a_cluster_that_is_gone_starts_again_on_the_new_one(
    two: TwoClusters, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (moving, clusters_module):
        monkeypatch.setattr(module, "LOST_SECONDS", 0.0)
    await served_by_old(two)
    two.work_on(NEW)
    two.serves[OLD].make_anew()
    two.traffic.lose_replicas()
    async with two.running() as client:
        await until(two, client, lambda found: found.cluster == NEW and found.healthy_replicas == 2)
        assert two.apps() == {OLD: set(), NEW: {"flights-blue"}}
        await until_forgotten(two, client)
        again = await client.declare("flights", Declaration(desired=on(desired(1), NEW)))
        assert again.rollout is not None
        assert again.rollout.number == 1, "it is there"


async def test_what_is_kept_on_a_cluster_that_is_silent_for_a_moment_is_still_a_way_back(two: TwoClusters) -> None:
    keeps = BlueGreen(retention_seconds=60)
    await served_by_old(two, on(desired(1, strategy=keeps), OLD))
    two.work_on(NEW)
    async with two.running() as client:
        await client.declare("flights", Declaration(desired=on(desired(1, strategy=keeps), NEW)))
        await until(two, client, lambda found: bool(found.rollout and found.rollout.phase is Phase.RETAINING))
        two.serves[OLD].away = True
        two.reconciler._observer.expire()
        for _ in range(3):
            await two.reconciler.reconcile()
        two.serves[OLD].away = False
        await client.rollback("flights", RollbackRequest(by="ada"))
        await until(two, client, lambda found: found.cluster == OLD)
        assert two.serves[OLD].deploys == ["flights-blue"]


async def test_what_is_kept_on_a_cluster_that_is_gone_is_let_go_and_what_serves_is_looked_after(
    two: TwoClusters, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (moving, clusters_module):
        monkeypatch.setattr(module, "LOST_SECONDS", 0.0)
    keeps = BlueGreen(retention_seconds=60)
    await served_by_old(two, on(desired(1, strategy=keeps), OLD))
    two.work_on(NEW)
    async with two.running() as client:
        await client.declare("flights", Declaration(desired=on(desired(1, strategy=keeps), NEW)))
        await until(two, client, lambda found: bool(found.rollout and found.rollout.phase is Phase.RETAINING))
        two.serves[OLD].make_anew()
        two.reconciler._observer.expire()
        await until(two, client, lambda found: two.reconciler.states["flights"].blue.desired is None)
        status = await client.declare("flights", Declaration(desired=on(desired(1, strategy=keeps, replicas=3), NEW)))
        status = await until(two, client, lambda found: found.healthy_replicas == 3)
        assert status.cluster == NEW


async def test_what_comes_back_with_a_cluster_that_counted_as_gone_is_taken_away(tmp_path: Path) -> None:
    serves = {OLD: FakeServe(), NEW: FakeServe(40_000)}
    kept: list[tuple[str, ...]] = []

    def keep(found: tuple[RayAddress, ...]) -> bool:
        kept.append(tuple(each.url for each in found))
        return True

    backend = Clusters(
        [RayAddress(url=NEW), RayAddress(url=OLD)],
        lambda address: RayServe(serves[address.url], SETTINGS),  # type: ignore[arg-type]
        keep,
    )
    for cluster in (OLD, NEW):
        await backend.deploy("flights", DeployColour(Colour.BLUE, on(desired(1), cluster), 2))
    found = (await backend.observe()).colours["flights", Colour.BLUE]
    assert found.identity == identity(on(desired(1), NEW))
    await backend.release(frozenset({OLD}))
    assert serves[OLD].apps, "it is needed"
    await backend.release(frozenset())
    assert not serves[OLD].apps
    assert (kept, backend.clusters) == ([], (NEW, OLD)), "what is left there was not looked for again"
    await backend.observe()
    await backend.release(frozenset())
    assert (kept, backend.clusters) == ([(NEW,)], (NEW,))


# Of an earlier release


async def test_a_database_that_names_no_cluster_is_of_the_one_that_the_settings_name_and_nothing_moves(
    two: TwoClusters,
) -> None:
    await served_by_old(two, desired(1))
    forget_clusters(two)
    two.start()
    async with two.running() as client:
        status = await bring(client, on(desired(1), OLD))
        assert status.rollout is not None
        assert (status.rollout.number, status.cluster) == (1, OLD)
        assert two.serves[OLD].deploys == ["flights-blue"]


async def test_a_database_that_names_no_cluster_is_of_the_one_before_where_the_settings_changed_meanwhile(
    two: TwoClusters,
) -> None:
    await served_by_old(two, desired(1))
    forget_clusters(two)
    two.before = RayAddress(url=OLD)
    two.work_on(NEW)
    async with two.running() as client:
        status = await client.read("flights")
        assert status is not None
        await until(two, client, lambda found: found.cluster == OLD)
        assert (await bring(client, on(desired(1), NEW))).cluster == NEW
        assert two.apps() == {OLD: set(), NEW: {"flights-green"}}


def forget_clusters(two: TwoClusters) -> None:
    """Have the database be as a release before there were several clusters left it."""
    store = two.reconciler.store
    store._db.execute("DELETE FROM clusters")
    for state in store.states().values():
        text = state.model_dump_json().replace(f'"cluster":"{OLD}"', '"cluster":""')
        assert OLD not in text
        store._db.execute("REPLACE INTO applications VALUES (?, ?)", (state.name, text))
