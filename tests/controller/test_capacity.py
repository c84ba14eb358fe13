"""What nodes have left is what no replica holds; what is not known is not made up."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from test_serve_config import SETTINGS

from heliostat.controller.backends import ray_serve
from heliostat.controller.backends.ray_serve import RayServe
from heliostat.controller.backends.serve_capacity import free, held
from heliostat.rollout.capacity import Held, Node
from heliostat.rollout.model import Colour
from heliostat.spec.addresses import RayAddress, TokenFile
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.ray_capacity import NodeTotals, parse, read_nodes
from heliostat.systems.ray_serve import Holding, ServeInstance

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
