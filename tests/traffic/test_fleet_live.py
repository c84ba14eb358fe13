"""Real members come, go, are killed and are left alone by their controller, while clients ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from fleet_plane import Agent, Controller, plane
from traffic_plane import FakeReplica, ask, client

from heliostat.controller.backends.fleet import FleetRouter
from heliostat.rollout.model import Colour
from heliostat.spec.controller import TRAFFIC_SERVICE
from heliostat.spec.endpoints import backend_name, route_prefix
from heliostat.spec.routes import PREDICT
from heliostat.systems import processes
from heliostat.systems.errors import RetryableError
from heliostat.traffic.routes import ApplicationRoute, ColourRoute

pytestmark = [pytest.mark.local_stack, pytest.mark.asyncio(loop_scope="module")]

Plane = tuple[Controller, dict[str, Agent]]

BLUE, GREEN = Colour.BLUE, Colour.GREEN


@pytest_asyncio.fixture(loop_scope="module")
async def replicas() -> AsyncIterator[dict[Colour, FakeReplica]]:
    found = {colour: await FakeReplica(colour, route_prefix("flights", colour)).start() for colour in Colour}
    yield found
    for replica in found.values():
        replica.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Plane]:
    async with plane(tmp_path_factory.mktemp("fleet"), "one", "two") as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def two(shared: Plane) -> Plane:
    """Two members that route nothing, whatever the test before did to them."""
    controller, agents = shared
    for name in list(agents):
        if name not in ("one", "two"):
            await agents.pop(name).kill()
        elif not agents[name].runs:
            await agents[name].start()
    controller.clock.passed += 20
    await controller.members("one", "two")
    await controller.fleet.apply({}, await controller.fleet.snapshot())
    await controller.until(lambda fleet: all(not each.snapshot.shares for each in fleet.members()))
    return shared


def route(replicas: dict[Colour, FakeReplica], share: int) -> ApplicationRoute:
    def of(colour: Colour) -> ColourRoute:
        server = replicas[colour].server
        return ColourRoute((server,), frozenset({server.name}))

    return ApplicationRoute(share, of(BLUE), of(GREEN))


async def routed(controller: Controller, replicas: dict[Colour, FakeReplica], share: int = 0) -> None:
    """Both colours are used by all members."""
    fleet = controller.fleet
    await fleet.apply({"flights": route(replicas, share)}, await fleet.snapshot())
    await controller.until(lambda fleet: all(uses(each.snapshot.backends) for each in fleet.members()))


def uses(backends: dict[str, dict[str, object]]) -> bool:
    states = [backends.get(backend_name("flights", colour), {}).get(colour.value) for colour in Colour]
    return all(state is not None and state.usable for state in states)  # type: ignore[attr-defined]


def counted(fleet: FleetRouter) -> int:
    """Predictions of all that is told of."""
    return sum(
        routes[PREDICT].requests for part in fleet._counts.values() for routes in part.counts.values() if PREDICT in routes
    )


class Load:
    """Clients that keep their connections, and open another where they are told to."""

    def __init__(self, agent: Agent, connections: int = 4) -> None:
        self.agent, self.connections = agent, connections
        self.lost: list[str] = []
        self.answered: dict[str, int] = {}
        self.came = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        tasks = [asyncio.create_task(self._ask(stop)) for _ in range(self.connections)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks)

    async def more(self, count: int) -> None:
        """Wait for so many more answers."""
        enough = sum(self.answered.values()) + count
        async with asyncio.timeout(60):
            while sum(self.answered.values()) < enough:
                self.came.clear()
                await self.came.wait()

    async def _ask(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                async with client(self.agent) as connected:  # type: ignore[arg-type]
                    while not stop.is_set():
                        answer = await connected.ask("/flights/predict")
                        key = answer.body["label"] if answer.status == 200 else str(answer.status)
                        self.answered[key] = self.answered.get(key, 0) + 1
                        self.came.set()
                        if answer.status != 200:
                            self.lost.append(str(answer.status))
                        if answer.headers.get("connection") == "close":
                            break
            except (OSError, asyncio.IncompleteReadError) as error:
                self.lost.append(repr(error))
                await asyncio.sleep(0.02)


async def test_a_member_that_is_killed_under_load_costs_the_others_nothing(
    two: Plane, replicas: dict[Colour, FakeReplica]
) -> None:
    controller, agents = two
    await routed(controller, replicas)
    load = Load(agents["one"])
    async with load.running():
        await load.more(50)
        await agents["two"].kill()
        await controller.fleet.set_share("flights", 10_000)
        assert {each.name: each.snapshot.shares for each in controller.fleet.members()}["one"] == {"flights": 10_000}
        found = await controller.fleet.snapshot()
        assert found.shares == {"flights": 0}, "what nobody heard of for a moment only may still route as before"
        await load.more(50)
        controller.clock.passed += 20
        await controller.members("one")
        assert (await controller.fleet.snapshot()).shares == {"flights": 10_000}
    assert load.lost == []
    assert load.answered.keys() == {"blue", "green"}


async def test_a_member_that_ends_in_order_sends_its_clients_away_and_loses_none(
    two: Plane, replicas: dict[Colour, FakeReplica]
) -> None:
    controller, agents = two
    await routed(controller, replicas)
    one, before = agents["one"], counted(controller.fleet)
    async with client(one) as kept:  # type: ignore[arg-type]
        await kept.ask("/flights/predict")
        replicas[BLUE].hold.clear()
        working = asyncio.create_task(kept.ask("/flights/predict"))
        ending = asyncio.create_task(one.end())
        await controller.until(lambda fleet: not next(each for each in fleet.members() if each.name == "one").report.ready)
        assert await one.ready() == "it ends"
        assert not ending.done()
        replicas[BLUE].hold.set()
        answer = await working
    assert (answer.status, answer.headers.get("connection")) == (200, "close")
    assert await ending == 0
    assert [each.name for each in controller.fleet.members()] == ["two"], "it said goodbye"
    await controller.until(lambda fleet: counted(fleet) == before + 2)
    assert processes.find(one.directory, TRAFFIC_SERVICE) is None


async def test_members_go_on_while_the_controller_is_away_and_it_finds_them_as_they_are(
    two: Plane, replicas: dict[Colour, FakeReplica]
) -> None:
    controller, agents = two
    await routed(controller, replicas, 10_000)
    wanted = controller.fleet.wanted
    load = Load(agents["one"])
    async with load.running():
        await controller.stop()
        await load.more(100)
        fleet = await controller.start()
        with pytest.raises(RetryableError, match="one, two of the traffic plane did not report"):
            await fleet.snapshot()
        assert fleet.wanted == wanted
        await controller.members("one", "two")
        assert (await fleet.snapshot()).shares == {"flights": 10_000}
        assert {each.report.revision for each in fleet.members()} == {wanted.revision}
    assert (load.lost, load.answered.keys()) == ([], {"green"})


async def test_an_agent_and_its_haproxy_that_were_killed_come_back_with_what_they_had_although_nobody_tells_them(
    two: Plane, replicas: dict[Colour, FakeReplica]
) -> None:
    controller, agents = two
    await routed(controller, replicas, 10_000)
    await controller.stop()
    for agent in agents.values():
        await agent.kill()
    await agents["one"].start()
    async with asyncio.timeout(60):
        while True:
            try:
                answer = await ask(agents["one"], "/flights/predict")  # type: ignore[arg-type]
                break
            except OSError:
                await asyncio.sleep(0.05)
    assert (answer.status, answer.body["label"]) == (200, "green")
    await agents["one"].says("ready")
    await controller.start()


async def test_members_come_and_go_in_the_middle_of_a_shift(
    two: Plane, replicas: dict[Colour, FakeReplica], tmp_path: Path
) -> None:
    controller, agents = two
    await routed(controller, replicas, 2_500)
    third = Agent("three", tmp_path, controller.port)
    agents["three"] = await third.start()
    await controller.fleet.set_share("flights", 5_000)
    await controller.members("one", "three", "two")
    found = {each.name: each for each in controller.fleet.members()}
    assert found["three"].snapshot.shares == {"flights": 5_000}
    assert uses(found["three"].snapshot.backends), "it was not ready before it had replicas"
    assert (await controller.fleet.snapshot()).shares == {"flights": 5_000}
    await controller.fleet.set_share("flights", 7_500)
    assert (await controller.fleet.snapshot()).shares == {"flights": 7_500}
    assert [await agents[name].end() for name in ("one", "two")] == [0, 0]
    await controller.fleet.set_share("flights", 10_000)
    assert [each.name for each in controller.fleet.members()] == ["three"]
    assert (await controller.fleet.snapshot()).shares == {"flights": 10_000}
    assert (await ask(third, "/flights/predict")).body["label"] == "green"  # type: ignore[arg-type]


async def test_a_haproxy_that_dies_counts_anew_and_nothing_is_counted_twice(
    two: Plane, replicas: dict[Colour, FakeReplica]
) -> None:
    controller, agents = two
    await routed(controller, replicas)
    one, told = agents["one"], counted(controller.fleet)
    for _ in range(5):
        await ask(one, "/flights/predict")  # type: ignore[arg-type]
    await controller.until(lambda fleet: counted(fleet) == told + 5)
    before = {each.name: each.snapshot.worker for each in controller.fleet.members()}
    process = processes.find(one.directory, TRAFFIC_SERVICE)
    assert process is not None
    process.kill()
    await controller.until(
        lambda fleet: all(
            each.snapshot.worker != before["one"] and uses(each.snapshot.backends)
            for each in fleet.members()
            if each.name == "one"
        )
    )
    for _ in range(3):
        await ask(one, "/flights/predict")  # type: ignore[arg-type]
    await controller.until(lambda fleet: counted(fleet) == told + 8)
    assert len([name for name in controller.fleet._counts if name.startswith("one/")]) >= 2


async def test_a_member_that_alone_does_not_hear_from_the_controller_sends_its_clients_to_those_that_do(
    two: Plane, replicas: dict[Colour, FakeReplica], tmp_path: Path
) -> None:
    controller, agents = two
    await routed(controller, replicas)
    # The way of one member to the controller, which is cut.
    relay = await asyncio.start_server(lambda reader, writer: _relay(reader, writer, controller.port), "127.0.0.1", 0)
    cut_off = Agent("three", tmp_path, relay.sockets[0].getsockname()[1])
    agents["three"] = await cut_off.start()
    await controller.members("one", "three", "two")
    relay.close()
    for writer in list(_RELAYED):
        writer.transport.abort()
    await cut_off.says("it does not hear from the controller, and another member does")
    answer = await ask(cut_off, "/flights/predict")  # type: ignore[arg-type]
    assert (answer.status, answer.headers.get("connection")) == (200, "close"), "who comes is answered, and sent away"
    await agents["one"].says("ready")
    await controller.stop()
    await cut_off.says("ready")
    await agents["one"].says("ready")  # where nobody hears from it, all go on
    await controller.start()


_RELAYED: set[asyncio.StreamWriter] = set()


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    there, back = await asyncio.open_connection("127.0.0.1", port)
    _RELAYED.update((writer, back))

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                sink.write(data)
        except OSError:
            pass
        finally:
            sink.close()

    await asyncio.gather(pump(reader, back), pump(there, writer))
