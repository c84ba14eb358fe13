"""A controller with a cluster and a traffic plane in memory, for tests of its rollouts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from fake_cluster import TOKEN, FakeCluster
from prometheus_client.parser import text_string_to_metric_families
from test_controller import bring, desired

from heliostat.controller import requeueing
from heliostat.controller.ledger import newest_first
from heliostat.spec.analysis import Analysis, Latency, SuccessRate
from heliostat.spec.ledger import Entry
from heliostat.spec.rollouts import ActionRequest, Declaration, Phase, Status
from heliostat.spec.strategies import Canary, CanaryStep
from heliostat.systems.controller_api import ControllerClient
from heliostat.systems.objects import Directory

WELL = Analysis(checks=(SuccessRate(at_least=0.99), Latency(at_most_ms=100)), seconds=0.5, min_requests=50)
ADA = ActionRequest(by="ada")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requeueing, "BUSY_SECONDS", 0.02)
    monkeypatch.setattr(requeueing, "WATCH_SECONDS", 0.05)
    monkeypatch.setattr(requeueing, "IDLE_SECONDS", 0.1)


class World:
    """A cluster with clients, whose controller runs."""

    def __init__(self, cluster: FakeCluster, client: ControllerClient) -> None:
        self.cluster = cluster
        self.client = client

    async def declare(self, number: int, strategy: object = None, **said: object) -> Status:
        wanted = desired(number, strategy=strategy)  # type: ignore[arg-type]
        return await self.client.declare("flights", Declaration(desired=wanted, **said))  # type: ignore[arg-type]

    async def until(self, holds: Callable[[Status], bool]) -> Status:
        async with asyncio.timeout(60):
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


def has_value(status: Status, value: float) -> bool:
    analyses = status.rollout.analyses if status.rollout is not None else ()
    return bool(analyses) and analyses[-1].findings[0].candidate == value
