"""A disk that is full, or read only, keeps nobody's traffic from moving; what was decided is written later."""

from __future__ import annotations

import asyncio
import logging
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rollouts_in_memory import ADA, WELL, World, canary, quick, world
from test_controller import bring, desired

from heliostat.controller.clock import Clock
from heliostat.controller.store import Store
from heliostat.rollout.model import State
from heliostat.spec.rollouts import Phase
from heliostat.spec.strategies import Canary, CanaryStep
from heliostat.systems import faults
from heliostat.systems.errors import RetryableError

__all__ = ["quick", "world"]

LONG = WELL.model_copy(update={"seconds": 60.0})


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "_CALM_SECONDS", 0.1)


def full(store: Store, is_full: bool = True) -> None:
    """SQLite refuses every write, or none."""
    store._db.execute(f"PRAGMA query_only = {'ON' if is_full else 'OFF'}")


async def at_ten_percent(world: World) -> Store:
    await world.declare(2, canary(10, analysis=LONG))
    await world.phase(Phase.ANALYSING)
    return world.cluster.reconciler.store


def kept(store: Store) -> Phase | None:
    rollout = store.states()["flights"].rollout
    return rollout.phase if rollout is not None else None


async def test_a_canary_that_fails_loses_its_traffic_and_that_is_written_down_once_it_can_be(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = await at_ten_percent(world)
    full(store)
    world.cluster.traffic.failing["flights-green"] = 1.0
    await world.phase(Phase.ROLLING_BACK)
    assert world.cluster.traffic.shares == {"flights": 0}
    assert kept(store) is Phase.ANALYSING
    for _ in range(5):
        await world.cluster.reconciler.reconcile()
    # What gives nobody's traffic back waits.
    assert set(world.cluster.serve.apps) == {"flights-blue", "flights-green"}
    assert "readonly" in (await world.client.health()).store_error
    assert (await world.metrics())["heliostat_store_writes",] == 0
    full(store, False)
    status = await world.phase(Phase.FAILED)
    assert kept(store) is Phase.FAILED
    assert world.cluster.traffic.shifts == [1_000, 0]
    assert status.rollout is not None
    assert [event.phase for event in status.rollout.events][-2:] == [Phase.ROLLING_BACK, Phase.FAILED]
    async with asyncio.timeout(60):
        while (await world.client.health()).store_error:  # noqa: ASYNC110 - nothing tells that it is over
            await asyncio.sleep(0.02)
    assert (await world.metrics())["heliostat_store_writes",] == 1
    assert caplog.text.count("cannot write down") == 1
    assert caplog.text.count("is written down again") == 1


async def test_a_canary_that_does_well_gets_no_more_until_that_can_be_written_down(world: World) -> None:
    await world.declare(2, canary(10))
    await world.phase(Phase.ANALYSING)
    store = world.cluster.reconciler.store
    full(store)
    await asyncio.sleep(WELL.seconds + 0.1)
    for _ in range(3):
        await world.cluster.reconciler.reconcile()
    assert world.cluster.traffic.shifts == [1_000]
    full(store, False)
    await world.phase(Phase.SUCCEEDED)
    assert world.cluster.traffic.shifts == [1_000, 10_000]


async def test_an_abort_is_taken_at_once(world: World) -> None:
    store = await at_ten_percent(world)
    full(store)
    await world.client.abort("flights", ADA)
    await world.phase(Phase.ROLLING_BACK)
    assert world.cluster.traffic.shares == {"flights": 0}
    full(store, False)
    status = await world.phase(Phase.FAILED)
    assert status.rollout is not None
    assert any("ada aborted it" in event.message for event in status.rollout.events)


async def test_what_else_people_say_is_refused_with_the_reason_and_can_be_tried_again(world: World) -> None:
    await world.declare(2, Canary(steps=(CanaryStep(weight=10, approval=True),), retention_seconds=0))
    await world.phase(Phase.WAITING)
    store, before = world.cluster.reconciler.store, world.cluster.reconciler.states["flights"]
    full(store)
    with pytest.raises(RetryableError, match=r"nothing was changed: it cannot be written down: .*free some space"):
        await world.client.approve("flights", ADA)
    with pytest.raises(RetryableError, match="nothing was changed"):
        await world.declare(3)
    assert world.cluster.reconciler.states["flights"] == before
    full(store, False)
    await world.client.approve("flights", ADA)
    await world.phase(Phase.SUCCEEDED)


async def test_an_application_that_is_gone_is_forgotten_once_that_can_be_written_down(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, serve, gone = world.cluster.reconciler.store, world.cluster.serve, asyncio.Event()

    async def delete(name: str) -> None:
        serve.apps.pop(name)
        full(store)
        gone.set()

    monkeypatch.setattr(serve, "delete", delete)
    await world.client.delete("flights")
    await asyncio.wait_for(gone.wait(), 5)
    for _ in range(3):
        await world.cluster.reconciler.reconcile()
    assert await world.client.read("flights") is not None
    full(store, False)
    async with asyncio.timeout(60):
        while await world.client.read("flights") is not None:  # noqa: ASYNC110 - it is what a client does
            await asyncio.sleep(0.01)


async def test_figures_and_metrics_go_on_and_are_kept_afterwards(world: World) -> None:
    store = await at_ten_percent(world)
    full(store)
    before = await world.metrics()
    await world.cluster.reconciler.reconcile()
    after = await world.metrics()
    key = ("heliostat_requests_total", "flights", "/predict", "1-fine")
    assert after[key] > before[key]
    assert await world.client.record("flights", 2) is not None
    full(store, False)
    world.cluster.reconciler.meter.save("flights")
    assert store.points("flights", 2)


async def test_golden_answers_count_although_they_cannot_be_kept(world: World) -> None:
    store = world.cluster.reconciler.store
    golden = world.cluster.reconciler._golden
    full(store)
    before = len(golden.of("flights"))
    world.cluster.reconciler._tested("flights", world.cluster.reconciler.states["flights"].live, "another", None)  # type: ignore[arg-type]
    assert len(golden.of("flights")) == before + 1


async def test_a_disk_that_is_well_has_nothing_to_tell(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await bring(world.client, desired(2))
    assert (await world.client.health()).store_error == ""
    assert "write" not in caplog.text


def test_the_clock_goes_on(tmp_path: Path) -> None:
    store, at = Store(tmp_path), [100.0]
    full(store)
    clock = Clock(store, lambda: "a", lambda: at[0], lambda: 5_000.0 + at[0])
    assert clock.now() == 5_100.0
    full(store, False)
    at[0] += 1
    assert clock.now() == 5_101.0
    assert store.clock() == ("a", 5_000.0)


@contextmanager
def no_space(path: Path) -> Iterator[None]:
    """No file of this process grows beyond what `path` has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_runs_out_of_space_half_way_leaves_the_store_as_it_was_and_usable(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(State(name="flights"))
    with no_space(tmp_path / "controller.sqlite-wal"):
        for _ in range(3):
            with pytest.raises(sqlite3.Error):
                store.save(State(name="trains"))
            assert not store.faults.attempt(store.probe)
            assert set(store.states()) == {"flights"}
    assert store.faults.attempt(store.probe)
    store.save(State(name="trains"))
    assert set(Store(tmp_path).states()) == {"flights", "trains"}
