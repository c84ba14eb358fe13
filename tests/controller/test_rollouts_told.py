"""What the controller tells of its rollouts: the ledger, the records and the metrics."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import httpx
import pytest
from rollouts_in_memory import WELL, World, canary, has_value, quick, world
from test_controller import desired

from heliostat.spec.ledger import EntryKind
from heliostat.spec.rollouts import Declaration, Origin, Phase

__all__ = ["quick", "world"]


# The ledger and the records


async def test_the_ledger_is_told_every_shift_and_every_end(world: World) -> None:
    await world.declare(2, canary(10, 50), origin=Origin(by="ada", commit="abc", dirty=True))
    await world.phase(Phase.SUCCEEDED)
    await world.client.delete("flights")
    async with asyncio.timeout(60):
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
    await world.until(lambda found: has_value(found, 1.0))
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
    requests = found["heliostat_requests_total", "flights", "/predict", "1-fine"]
    assert requests > 0
    assert found["heliostat_request_duration_seconds_bucket", "flights", "+Inf", "/predict", "1-fine"] == requests
    assert found["heliostat_request_duration_seconds_count", "flights", "/predict", "1-fine"] == requests
    told = found["heliostat_request_duration_seconds_sum", "flights", "/predict", "1-fine"]
    assert told == pytest.approx(requests * 0.005, rel=0.2)
    assert found["heliostat_rejected_requests_total", "flights", "/predict", "1-fine"] == 0


async def test_counters_never_go_back_over_restarts_of_haproxy_and_of_the_controller(world: World) -> None:
    before = await world.metrics()
    world.cluster.traffic.restart()
    await world.cluster.reconciler.reconcile()
    between = await world.metrics()
    world.cluster.start()
    key = ("heliostat_requests_total", "flights", "/predict", "1-fine")
    assert key not in await world.metrics(), "nothing is told before a look"
    await world.cluster.reconciler.reconcile()
    after = await world.metrics()
    for key in before:
        if key[0].endswith(("_total", "_count", "_bucket")):
            assert before[key] <= between[key] <= after[key], key


async def test_metrics_need_the_token(world: World) -> None:
    async with world.cluster.raw() as raw:
        assert (await raw.get("/metrics")).status_code == httpx.codes.UNAUTHORIZED
