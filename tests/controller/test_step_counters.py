"""What the controller tells Prometheus of post-processing steps, counted by replicas that come and go."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fake_cluster import FakeCluster
from rollouts_in_memory import World, quick
from test_controller import bring, desired

from heliostat.spec.postprocessing import PostprocessingStep

__all__ = ["quick"]


class Replicas(FakeCluster):
    """Replicas that tell what steps did, each by its port."""

    told: dict[int, dict[str, Any] | None]
    default: dict[str, Any]

    def _golden(self, call: httpx.Request) -> httpx.Response:
        if not call.url.path.endswith("/-/postprocessing"):
            return super()._golden(call)
        port = call.url.port or 0
        self.asked: set[int] = getattr(self, "asked", set()) | {port}
        found = self.told.get(port, counts(f"replica {port}", 0, 0))
        if found is None:
            raise httpx.ConnectError("gone")
        return httpx.Response(200, json=found)


def counts(tally: str, answers: int, removed: int) -> dict[str, Any]:
    changed = {"step": "legal", "outcome": "changed", "reason": "withdrawn", "answers": answers, "removed": removed}
    return {"tally": tally, "counts": [changed]}


@pytest.fixture
async def world(tmp_path):
    cluster = Replicas(tmp_path)
    cluster.told = {}
    async with cluster.running() as client:
        step = PostprocessingStep(name="legal", function="a:b")
        plain = desired(1)
        version = plain.version.model_copy(update={"postprocessing": (step,)})
        await bring(client, plain.model_copy(update={"version": version}))
        yield World(cluster, client)


async def found(world: World) -> tuple[float, float]:
    async with world.cluster.raw() as client:
        text = (await client.get("/metrics", headers={"Authorization": "Bearer secret-token"})).text
    values = {
        line.partition("{")[0]: float(line.rpartition(" ")[2])
        for line in text.splitlines()
        if line.startswith("heliostat_postprocess") and 'step="legal"' in line and "_created" not in line
    }
    return values["heliostat_postprocessed_answers_total"], values["heliostat_postprocessing_removed_total"]


async def test_counters_go_on_where_replicas_begin_anew_or_are_silent_for_a_while(world):
    assert await found(world) == (0, 0)
    port, *others = sorted(world.cluster.asked)
    world.cluster.told[port] = counts("first", 10, 25)
    assert await found(world) == (10, 25)
    assert await found(world) == (10, 25)
    world.cluster.told[port] = None
    assert await found(world) == (10, 25)
    world.cluster.told[port] = counts("first", 12, 25)
    assert await found(world) == (12, 25)
    world.cluster.told[port] = counts("started again", 3, 1)
    assert await found(world) == (15, 26)
    for other in others:
        world.cluster.told[other] = counts(f"other {other}", 1, 1)
    assert await found(world) == (15 + len(others), 26 + len(others))


async def test_replicas_without_steps_are_not_asked(tmp_path):
    cluster = Replicas(tmp_path)
    cluster.told = {}
    async with cluster.running() as client:
        await bring(client, desired(1))
        async with cluster.raw() as raw:
            text = (await raw.get("/metrics", headers={"Authorization": "Bearer secret-token"})).text
    assert not hasattr(cluster, "asked")
    assert "heliostat_postprocessed_answers_total{" not in text
