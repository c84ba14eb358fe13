"""What nodes have left is what no replica holds; what is not known is not made up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from test_serve_config import SETTINGS

from heliostat.controller.backends import ray_serve
from heliostat.controller.backends.node_watch import NodeWatch
from heliostat.controller.backends.ray_serve import RayServe
from heliostat.controller.backends.serve_capacity import free, held, waits_for
from heliostat.rollout.capacity import Held, Node
from heliostat.rollout.model import Colour
from heliostat.rollout.observed import AwaitedNodes
from heliostat.spec.addresses import RayAddress, TokenFile
from heliostat.spec.groups import WorkerGroup, resource_of
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.ray_capacity import NodeTotals, parse, read_nodes
from heliostat.systems.ray_serve import Holding, ServeApplication, ServeInstance, ServeStatus

HEAD, WORKER = NodeTotals("aaaaaaaaaaaa", "127.0.0.1", 2.0, 0.0), NodeTotals("bbbbbbbbbbbb", "127.0.0.1", 4.0, 1.0)
HOLDINGS = (
    Holding("flights-blue", HEAD.node_id, 1.0, 0.0),
    Holding("flights-blue", WORKER.node_id, 1.0, 0.0),
    Holding("trains-green", WORKER.node_id, 0.5, 1.0),
    Holding("flights-blue", "a node that died", 1.0, 0.0),
)


class Serve:
    async def read(self) -> ServeInstance:
        return ServeInstance({}, HOLDINGS)


def node(state: str = "ALIVE", **resources: float) -> dict[str, object]:
    """As Ray 2.60 answers."""
    return {
        "node_id": "55b5c6a2", "node_ip": "127.0.0.1", "is_head_node": False, "state": state, "state_message": None,
        "node_name": "worker", "resources_total": {"node:127.0.0.1": 1.0, "memory": 24031477760.0, **resources},
    }  # fmt: skip


def body(*nodes: dict[str, object]) -> dict[str, object]:
    return {"result": True, "msg": "", "data": {"result": {"total": len(nodes), "result": list(nodes)}}}


def test_a_node_has_what_no_replica_holds() -> None:
    one, two = free((HEAD, WORKER), HOLDINGS, {})
    assert (one.cpus, one.gpus) == (1.0, 0.0)
    assert (two.cpus, two.gpus) == (2.5, 0.0)
    assert one.name != two.name
    assert free((HEAD,), (), {}) == (Node("127.0.0.1", 2.0, 0.0),)


def test_an_applications_own_replicas_are_told_by_colour_and_node() -> None:
    assert held("flights", (HEAD,), HOLDINGS) == (Held(Colour.BLUE, "127.0.0.1", 1),)
    assert held("boats", (HEAD, WORKER), HOLDINGS) == ()


def test_only_nodes_that_are_alive_count() -> None:
    found = parse(body(node(CPU=4.0, GPU=2.0), node("DEAD", CPU=8.0), node()))
    assert [(each.cpus, each.gpus) for each in found] == [(4.0, 2.0), (0.0, 0.0)]


@pytest.fixture
def token(tmp_path: Path) -> Path:
    found = tmp_path / "token"
    found.write_text("secret\n")
    return found


async def test_the_nodes_are_asked_with_the_clusters_token(token: Path) -> None:
    asked: list[str] = []

    def answer(call: httpx.Request) -> httpx.Response:
        asked.append(call.headers["authorization"])
        return httpx.Response(200, json=body(node(CPU=1.0)))

    address = RayAddress(url="http://ray", credential=TokenFile(path=str(token)))
    (found,) = await read_nodes(address, httpx.MockTransport(answer))
    assert found.cpus == 1.0
    assert asked == ["Bearer secret"]


@pytest.mark.parametrize("answer", [httpx.Response(500), httpx.Response(200, json={"data": None}), httpx.Response(200)])
async def test_an_answer_that_says_nothing_may_be_tried_again(answer: httpx.Response) -> None:
    with pytest.raises(RetryableError, match="which nodes it has"):
        await read_nodes(RayAddress(url="http://ray"), httpx.MockTransport(lambda call: answer))


async def test_what_the_cluster_does_not_say_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = RayServe(Serve(), SETTINGS)  # type: ignore[arg-type]
    assert await backend.room("flights") is None

    async def nodes(address: RayAddress) -> tuple[NodeTotals, ...]:
        return (HEAD,)

    monkeypatch.setattr(ray_serve, "read_nodes", nodes)
    found = await backend.room("flights")
    assert found == ((Node("127.0.0.1", 1.0, 0.0),), (Held(Colour.BLUE, "127.0.0.1", 1),))


async def test_what_the_cluster_refuses_to_say_is_not_known_either(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        async def read(self) -> ServeInstance:
            raise PermanentError("Ray Serve refused the GET (401)")

    async def nodes(address: RayAddress) -> tuple[NodeTotals, ...]:
        return (HEAD,)

    monkeypatch.setattr(ray_serve, "read_nodes", nodes)
    assert await RayServe(Refusing(), SETTINGS).room("flights") is None  # type: ignore[arg-type]


GROUPS = {
    "a10": WorkerGroup(kind="gpu", cpus=7, memory_gib=28, accelerator="A10G", accelerators=1, max=3),
    "v6e": WorkerGroup(kind="tpu", cpus=40, memory_gib=160, accelerator="TPU-V6E", accelerators=4, hosts=4, max=2),
}
RAY_HEAD, A10 = NodeTotals("head", "head", 0.0, 0.0), NodeTotals("n1", "n1", 7.0, 1.0, group="a10")


def test_a_node_s_group_and_chips_are_read() -> None:
    (found,) = parse(body(node(CPU=4.0, TPU=4.0, **{resource_of("v6e"): 1.0})))
    assert (found.group, found.tpus) == ("v6e", 4.0)
    (plain,) = parse(body(node(CPU=4.0)))
    assert (plain.group, plain.tpus) == ("", 0.0)


def test_what_groups_may_still_come_to_is_room_beside_what_is_there() -> None:
    head, worker, more, hosts = free((RAY_HEAD, A10), (Holding("x-blue", "n1", 2.0, 1.0),), GROUPS)
    assert (head.group, worker) == ("", Node("n1", 5.0, 0.0, group="a10"))
    assert (more.cpus, more.gpus, more.group, more.to_come) == (7.0, 1.0, "a10", 2)
    assert (hosts.cpus, hosts.tpus, hosts.group, hosts.to_come) == (40.0, 4.0, "v6e", 8)


def test_a_group_at_its_maximum_brings_no_more() -> None:
    full = tuple(NodeTotals(f"n{number}", f"n{number}", 7.0, 1.0, group="a10") for number in range(4))
    assert [each.name for each in free(full, (), {"a10": GROUPS["a10"]})] == ["n0", "n1", "n2", "n3"]


def application(status: ServeStatus = ServeStatus.DEPLOYING, asked: int = 3, **arguments: object) -> ServeApplication:
    where = {"resources": {resource_of("a10"): 0.001}}
    config = {"args": {"cpusPerReplica": 1.0, "gpusPerReplica": 1.0, "placement": where, **arguments}}
    return ServeApplication("flights-blue", status, "", config, {"model": asked}, (), 0)


def waited(found: ServeApplication, nodes: tuple[NodeTotals, ...], *holdings: Holding) -> str:
    return waits_for(found, nodes, ServeInstance({found.name: found}, holdings), GROUPS)


def test_replicas_that_have_no_place_yet_wait_for_nodes_of_their_group() -> None:
    assert waited(application(), (RAY_HEAD,)) == "a10"
    assert waited(application(), (RAY_HEAD, A10)) == "a10"
    assert waited(application(asked=1), (RAY_HEAD, A10)) == ""
    placed = Holding("flights-blue", "n1", 1.0, 1.0)
    assert waited(application(asked=1), (RAY_HEAD, A10), placed) == ""
    assert waited(application(asked=2), (RAY_HEAD, A10), placed) == "a10"


def test_what_runs_or_has_failed_or_could_never_come_waits_for_nothing() -> None:
    assert waited(application(ServeStatus.RUNNING), (RAY_HEAD,)) == ""
    assert waited(application(ServeStatus.DEPLOY_FAILED), (RAY_HEAD,)) == ""
    assert waited(application(placement={"resources": {resource_of("gone"): 0.001}}), (RAY_HEAD,)) == ""
    assert waited(application(cpusPerReplica=8.0), (RAY_HEAD,)) == ""
    assert waited(application(cpusPerReplica=None), (RAY_HEAD,)) == ""


async def test_what_waits_for_nodes_is_told_with_how_long_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    read = asyncio.Event()

    async def nodes(address: RayAddress) -> tuple[NodeTotals, ...]:
        read.set()
        return (RAY_HEAD,)

    class Starting:
        async def read(self) -> ServeInstance:
            return ServeInstance({"flights-blue": application()})

        async def close(self) -> None:
            return

    monkeypatch.setattr(ray_serve, "read_nodes", nodes)
    settings = SETTINGS.model_copy(update={"groups": GROUPS, "node_timeout_seconds": 90.0})
    backend = RayServe(Starting(), settings)  # type: ignore[arg-type]
    before = (await backend.observe()).of("flights", Colour.BLUE)
    await read.wait()
    after = (await backend.observe()).of("flights", Colour.BLUE)
    await backend.close()
    assert before is not None and after is not None
    assert (before.awaits, after.awaits) == (None, AwaitedNodes("a10", 90.0))
    ungrouped = RayServe(Starting(), SETTINGS)  # type: ignore[arg-type]
    read.clear()
    found = (await ungrouped.observe()).of("flights", Colour.BLUE)
    assert found is not None and found.awaits is None
    assert not read.is_set()


async def test_nodes_are_read_beside_and_count_no_more_once_they_are_old() -> None:
    now, answers = [0.0], [(A10,), RetryableError("away")]
    read = asyncio.Event()

    async def reading() -> tuple[NodeTotals, ...]:
        read.set()
        found = answers.pop(0)
        if isinstance(found, RetryableError):
            raise found
        return found

    watch = NodeWatch(reading, lambda: now[0])
    assert watch.nodes() is None
    await read.wait()
    assert watch.nodes() == (A10,)
    read.clear()
    now[0] = 5.0
    assert watch.nodes() == (A10,), "what was read stands until the next answer"
    await read.wait()
    now[0] = 31.0
    assert answers == []
    answers.append((A10,))
    assert watch.nodes() is None
    await watch.close()
