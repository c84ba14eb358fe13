"""A rollback looks for what it needs for seconds, and what is declared meanwhile is not rolled away unseen."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest
from rollouts_in_memory import World, quick, world
from test_controller import bring, desired

from heliostat.controller import rollback_targets
from heliostat.rollout.refusals import as_judged
from heliostat.spec.rollouts import Declaration, Phase, RollbackRequest, Status, Version
from heliostat.spec.strategies import BlueGreen
from heliostat.systems.controller_api import ConflictError

__all__ = ["quick", "world"]


async def rolled_back(world: World, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], Awaitable[object]]) -> Status:
    """What a rollback from version 2 to 1 answers where `meanwhile` happens while it looks for what it needs."""
    looking, found = threading.Event(), threading.Event()

    def missing(version: Version, access: object) -> tuple[str, ...]:
        looking.set()
        found.wait(10)
        return ()

    await bring(world.client, desired(2))
    monkeypatch.setattr(rollback_targets, "missing", missing)
    going = asyncio.create_task(world.client.rollback("flights", RollbackRequest(by="ada")))
    try:
        assert await asyncio.to_thread(looking.wait, 10)
        await meanwhile()
    finally:
        found.set()
    return await going


async def test_what_is_declared_while_a_rollback_looks_for_what_it_needs_is_not_superseded_or_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def another() -> None:
        await world.declare(3, BlueGreen(retention_seconds=600))

    with pytest.raises(ConflictError, match=r"3-fine was declared while .* nothing was rolled back.*run it again"):
        await rolled_back(world, monkeypatch, another)
    found = await world.client.read("flights")
    assert found is not None
    assert found.desired is not None
    assert (found.desired.version, found.refused) == (desired(3).version, ())
    assert found.rollout is not None
    assert found.rollout.phase is not Phase.SUPERSEDED


async def test_a_rollback_of_what_is_deleted_meanwhile_is_a_conflict(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = asyncio.Event()

    async def hang(name: str) -> None:
        await hangs.wait()

    async def gone() -> None:
        # Serve takes its time, so that it is known still.
        monkeypatch.setattr(world.cluster.serve, "delete", hang)
        await world.client.delete("flights")

    with pytest.raises(ConflictError, match="it was deleted while"):
        await rolled_back(world, monkeypatch, gone)


async def test_a_rollback_that_nothing_came_between_goes_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing() -> None:
        await world.client.read("flights")
        await world.client.declare("flights", Declaration(desired=desired(2)))

    await rolled_back(world, monkeypatch, nothing)
    found = await world.until(lambda each: each.serving == desired(1).version)
    assert [each.fingerprint for each in found.refused] == [as_judged(desired(2))]
