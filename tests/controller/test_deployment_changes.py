"""Changes of Serve that hang, fail or come too late hold up nobody, and no two of them overtake each other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_cluster import FakeCluster, FakeServe
from rollouts_in_memory import WELL, World, canary, quick
from test_controller import bring, desired

from heliostat.controller.backends.serving import Deployment, Deployments, starting
from heliostat.controller.observer import BackendObserver
from heliostat.rollout.model import Colour, Condition, DeployColour
from heliostat.spec.analysis import Analysis, CustomCheck
from heliostat.spec.endpoints import TrafficSnapshot
from heliostat.spec.rollouts import ActionRequest, Declaration, Phase
from heliostat.systems.errors import PermanentError, RetryableError

__all__ = ["quick"]


class SlowServe(FakeServe):
    """Hangs in the changes of the applications in `hangs` until they are let go, and fails those in `fails`."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs: dict[str, asyncio.Event] = {}
        self.fails: dict[str, Exception] = {}
        self.begun: list[tuple[str, str]] = []
        self.at_once = 0
        self.most_at_once = 0

    def hang(self, name: str) -> asyncio.Event:
        self.hangs[name] = asyncio.Event()
        return self.hangs[name]

    async def deploy(self, application: dict[str, Any]) -> None:
        await self._wait("deploy", application["name"])
        await super().deploy(application)

    async def delete(self, name: str) -> None:
        await self._wait("delete", name)
        await super().delete(name)

    async def _wait(self, what: str, name: str) -> None:
        self.begun.append((what, name))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if name in self.hangs:
                await self.hangs[name].wait()
            if name in self.fails:
                raise self.fails[name]
        finally:
            self.at_once -= 1


@pytest.fixture
def cluster(tmp_path: Path) -> FakeCluster:
    found = FakeCluster(tmp_path)
    found.serve = SlowServe()
    found.start()
    found.traffic.requests_per_look = 400
    return found


def slow(cluster: FakeCluster) -> SlowServe:
    assert isinstance(cluster.serve, SlowServe)
    return cluster.serve


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - what is in memory has no events
            await asyncio.sleep(0.005)


async def test_a_verdict_on_one_application_does_not_wait_for_a_change_of_serve_that_hangs(cluster: FakeCluster) -> None:
    serve = slow(cluster)
    async with cluster.running() as client:
        world = World(cluster, client)
        await bring(client, desired(1))
        await world.declare(2, canary(10, analysis=WELL.model_copy(update={"seconds": 60.0})))
        await world.phase(Phase.ANALYSING)
        let_go = serve.hang("trains-blue")
        await client.declare("trains", Declaration(desired=desired(1)))
        await until(lambda: ("deploy", "trains-blue") in serve.begun)
        cluster.traffic.failing["flights-green"] = 0.05
        await until(lambda: cluster.traffic.shares["flights"] == 0)
        assert "trains-blue" not in serve.apps, "the change hangs still"
        assert serve.begun.count(("deploy", "trains-blue")) == 1
        let_go.set()
        await world.phase(Phase.FAILED)
        await cluster.reconciler.changes.quiet()
        assert set(serve.apps) == {"flights-blue", "trains-blue"}
        assert serve.most_at_once == 1


@pytest.mark.parametrize("error", [RetryableError("Ray does not answer"), PermanentError("no"), KeyError("applications")])
async def test_a_change_that_fails_in_whatever_way_is_told_once_and_stops_no_other(
    cluster: FakeCluster, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    serve = slow(cluster)
    serve.fails["a-blue"] = error
    async with cluster.running() as client:
        await client.declare("a", Declaration(desired=desired(1)))
        await until(lambda: serve.begun.count(("deploy", "a-blue")) >= 2)
        assert (await bring(client, desired(1))).serving == desired(1).version
        assert sum(str(error) in each.getMessage() for each in caplog.records) == 1
        assert len(serve.begun) < 10, "it is not asked again and again without a pause"
        del serve.fails["a-blue"]
        await until(lambda: "a-blue" in serve.apps)


async def test_an_analysis_runner_that_cannot_be_begun_is_told_once_and_stops_no_other_application(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    def ask(*_: object) -> None:
        asked.append(1)
        raise OSError("no space left")

    async with cluster.running() as client:
        world = World(cluster, client)
        await bring(client, desired(1))
        monkeypatch.setattr(cluster.reconciler.analysis_runners, "ask", ask)
        check = CustomCheck(name="own", command=("true",), at_most=0.5)
        await world.declare(2, canary(10, analysis=Analysis(checks=(check,), seconds=60.0)))
        await until(lambda: len(asked) > 2)
        await client.declare("trains", Declaration(desired=desired(1)))
        # It is let in by the traffic plane, which comes last in each look.
        await until(lambda: bool((rollout := cluster.reconciler.states["trains"].rollout) and rollout.phase == "succeeded"))
        assert sum("cannot be begun" in each.getMessage() for each in caplog.records) == 1


async def test_what_is_being_taken_away_gets_no_traffic_back(cluster: FakeCluster) -> None:
    serve = slow(cluster)
    async with cluster.running() as client:
        await bring(client, desired(1))
        let_go = serve.hang("flights-blue")
        await client.declare("flights", Declaration(desired=desired(2)))
        await until(lambda: ("delete", "flights-blue") in serve.begun)
        # Its replicas answer still, and somebody wants that version back.
        await client.declare("flights", Declaration(desired=desired(1)))
        await until(lambda: cluster.reconciler.observed["flights"].blue.condition == "stopping")
        for _ in range(5):
            await cluster.reconciler.news(0.05)
        assert cluster.traffic.shares["flights"] == 10_000
        assert "flights-blue" in serve.apps
        serve.hangs.clear()
        let_go.set()
        status = await bring(client, desired(1))
        assert status.serving == desired(1).version
        assert serve.begun.index(("delete", "flights-blue")) < len(serve.begun) - 1


async def test_an_application_that_is_deleted_while_it_is_being_put_there_is_taken_away_after_that(
    cluster: FakeCluster,
) -> None:
    serve = slow(cluster)
    async with cluster.running() as client:
        let_go = serve.hang("flights-blue")
        await client.declare("flights", Declaration(desired=desired(1)))
        await until(lambda: bool(serve.begun))
        await client.delete("flights")
        for _ in range(5):
            await cluster.reconciler.news(0.05)
        assert await client.read("flights") is not None, "nobody knows yet that nothing of it is left"
        let_go.set()
        await until(lambda: "flights" not in cluster.reconciler.states)
        assert serve.begun == [("deploy", "flights-blue"), ("delete", "flights-blue")]
        assert serve.apps == {}


async def test_what_is_no_longer_wished_when_its_turn_comes_is_not_begun(cluster: FakeCluster) -> None:
    serve = slow(cluster)
    async with cluster.running() as client:
        let_go = serve.hang("a-blue")
        await client.declare("a", Declaration(desired=desired(1)))
        await until(lambda: bool(serve.begun))
        await client.declare("flights", Declaration(desired=desired(1)))
        await client.abort("flights", ActionRequest(by="ada"))
        await until(lambda: bool((rollout := cluster.reconciler.states["flights"].rollout) and rollout.ended))
        let_go.set()
        await until(lambda: "a-blue" in serve.apps)
        await cluster.reconciler.changes.quiet()
        assert serve.begun == [("deploy", "a-blue")]


async def test_what_gives_capacity_back_comes_before_what_needs_it(cluster: FakeCluster) -> None:
    serve = slow(cluster)
    async with cluster.running() as client:
        await client.declare("a", Declaration(desired=desired(1)))
        await until(lambda: "a-blue" in serve.apps)
        await bring(client, desired(1))
        let_go = serve.hang("b-blue")
        await client.declare("b", Declaration(desired=desired(1)))
        await until(lambda: ("deploy", "b-blue") in serve.begun)
        await client.declare("a", Declaration(desired=desired(2)))
        await client.delete("flights")
        await until(lambda: len(cluster.reconciler.changes._waiting) == 2)
        let_go.set()
        await until(lambda: "a-green" in serve.apps)
        assert serve.begun[-2:] == [("delete", "flights-blue"), ("deploy", "a-green")]


async def test_no_change_begins_while_a_look_decides(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    serve, snapshot, looks = slow(cluster), cluster.traffic.snapshot, asyncio.Event()
    async with cluster.running() as client:
        let_go = serve.hang("a-blue")
        await client.declare("a", Declaration(desired=desired(1)))
        await until(lambda: bool(serve.begun))
        await client.declare("flights", Declaration(desired=desired(1)))
        await until(lambda: bool(cluster.reconciler.changes._waiting))
        looking = asyncio.Event()

        async def late() -> TrafficSnapshot:
            looking.set()
            await looks.wait()
            return await snapshot()

        monkeypatch.setattr(cluster.traffic, "snapshot", late)
        await looking.wait()
        let_go.set()
        await cluster.reconciler.changes.quiet()
        assert serve.begun == [("deploy", "a-blue")]
        looks.set()
        await until(lambda: "flights-blue" in serve.apps)


async def test_what_serves_and_is_broken_is_made_anew_as_soon_as_serve_takes_changes_again(cluster: FakeCluster) -> None:
    serve = slow(cluster)
    async with cluster.running() as client:
        await bring(client, desired(1))
        let_go = serve.hang("a-blue")
        await client.declare("a", Declaration(desired=desired(1)))
        await until(lambda: ("deploy", "a-blue") in serve.begun)
        config = serve.apps["flights-blue"]
        version = {**config["args"]["version"], "contract": "app:crashes"}
        serve.apps["flights-blue"] = {**config, "args": {**config["args"], "version": version}}
        cluster.reconciler._observer.expire()
        await until(lambda: cluster.reconciler.states["flights"].heal_after > 0)
        for _ in range(5):
            await cluster.reconciler.news(0.05)
        let_go.set()
        await until(lambda: serve.begun[-1] == ("deploy", "flights-blue"))
        assert serve.begun[-2:] == [("delete", "flights-blue"), ("deploy", "flights-blue")]


async def test_a_controller_that_stops_ends_the_change_that_hangs(cluster: FakeCluster) -> None:
    serve = slow(cluster)
    async with cluster.running() as client:
        serve.hang("flights-blue")
        await client.declare("flights", Declaration(desired=desired(1)))
        await until(lambda: bool(serve.begun))
    assert serve.at_once == 0
    assert serve.apps == {}
    await cluster.reconciler.changes.quiet()


async def test_what_was_observed_before_a_change_was_made_is_not_believed_after_it() -> None:
    class Late:
        def __init__(self) -> None:
            self.reads = 0
            self.asked = asyncio.Event()
            self.answers = asyncio.Event()

        async def observe(self) -> Deployments:
            self.reads += 1
            self.asked.set()
            await self.answers.wait()
            return Deployments()

    backend = Late()
    observer = BackendObserver(backend, lambda: 1.0)  # type: ignore[arg-type]
    reading = asyncio.create_task(observer.read())
    await backend.asked.wait()
    changed = observer.expire()
    backend.answers.set()
    await reading
    assert observer.knows < changed
    await observer.read()
    assert (observer.knows, backend.reads) == (changed, 2)
    await observer.read()
    assert backend.reads == 2, "what is fresh is not read again"


def test_changes_on_their_way_are_seen_as_made() -> None:
    running = Deployment(Condition.RUNNING, "v", 2, 8)
    blue, green = Colour.BLUE, Colour.GREEN
    found = Deployments({("a", blue): running, ("b", blue): running, ("b", green): Deployment(Condition.STOPPING)})
    wanted = DeployColour(blue, desired(1), 9)
    changes = {("a", blue): None, ("b", blue): wanted, ("b", green): wanted, ("c", blue): wanted, ("d", blue): None}
    seen = found.with_changes(changes)
    assert seen.of("a", blue) == Deployment(Condition.STOPPING)
    assert seen.of("b", blue) == running, "nobody asks it for replicas that it has not yet"
    assert seen.of("b", green) == seen.of("c", blue) == starting(wanted)
    assert (starting(wanted).condition, starting(wanted).replicas) == (Condition.STARTING, 9)
    assert seen.of("d", blue) is None
    assert found.with_changes({}) == found
