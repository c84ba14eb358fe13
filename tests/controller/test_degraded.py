"""While Serve is away, what clients get is still looked after: traffic goes home where it must, and nothing else moves."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from rollouts_in_memory import ADA, WELL, World, canary, quick, world
from test_controller import bring, desired

from heliostat.controller import changes, reconciler
from heliostat.rollout.model import Colour
from heliostat.spec.ledger import EntryKind
from heliostat.spec.rollouts import Phase, RollbackRequest
from heliostat.spec.strategies import BlueGreen, Rolling
from heliostat.systems.errors import RetryableError

__all__ = ["quick", "world"]

LONG = WELL.model_copy(update={"seconds": 60.0})


@pytest.fixture(autouse=True)
def impatient(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "AWAY_SECONDS", 0.02)
    monkeypatch.setattr(changes, "_LOOK_SECONDS", 0.5)


async def leave(world: World) -> None:
    """Serve answers no more, and that is known."""
    world.cluster.serve.away = True
    world.cluster.reconciler._observer.expire()
    async with asyncio.timeout(60):
        while world.cluster.reconciler.ray_answers:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)


async def looks(world: World, count: int) -> None:
    for _ in range(count):
        await world.cluster.reconciler.reconcile()


async def at_ten_percent(world: World) -> None:
    await world.declare(2, canary(10, analysis=LONG))
    await world.phase(Phase.ANALYSING)


async def moves(world: World) -> list[dict[str, float]]:
    """Shares of the traffic by version, as the ledger has them."""
    return [each.weights for each in await world.entries() if each.kind is EntryKind.SHIFT]


def kill(world: World, colour: Colour) -> None:
    """No replica of a colour answers its probe any more."""
    servers = world.cluster.traffic.servers[f"flights-{colour}"]
    servers.update({name: replace(state, usable=False, answers=False) for name, state in servers.items()})


async def test_a_canary_that_fails_loses_its_traffic_and_is_put_away_once_serve_answers(world: World) -> None:
    await at_ten_percent(world)
    await leave(world)
    deployed, apps = list(world.cluster.serve.deploys), set(world.cluster.serve.apps)
    world.cluster.traffic.failing["flights-green"] = 1.0
    status = await world.phase(Phase.ROLLING_BACK)
    assert world.cluster.traffic.shares == {"flights": 0}
    assert "success rate" in (status.rollout.error or "" if status.rollout else "")
    await looks(world, 5)
    # All that needs Serve waits for it, and so does the end.
    assert world.cluster.traffic.shifts == [1_000, 0]
    assert (world.cluster.serve.deploys, set(world.cluster.serve.apps)) == (deployed, apps)
    assert world.cluster.reconciler.states["flights"].slot(Colour.GREEN).desired == desired(
        2, strategy=canary(10, analysis=LONG)
    )
    assert (await world.phase(Phase.ROLLING_BACK)).refused
    world.cluster.serve.away = False
    status = await world.phase(Phase.FAILED)
    assert status.serving == desired(1).version
    assert set(world.cluster.serve.apps) == {"flights-blue"}
    assert world.cluster.traffic.shifts == [1_000, 0]


async def test_what_serves_fails_alike_so_the_cluster_may_be_to_blame(world: World) -> None:
    await at_ten_percent(world)
    await leave(world)
    world.cluster.traffic.failing.update({"flights-green": 1.0, "flights-blue": 0.9})
    status = await world.phase(Phase.ROLLING_BACK)
    assert not status.refused


async def test_an_abort_takes_the_traffic_home_at_the_next_look(world: World) -> None:
    await at_ten_percent(world)
    await leave(world)
    await world.client.abort("flights", ADA)
    await looks(world, 2)
    assert world.cluster.traffic.shares == {"flights": 0}
    await looks(world, 2)
    # The ledger hears of it now, and not whenever Serve answers again.
    (one, _), shifts = [each.digest for each in (desired(1).version, desired(2).version)], await moves(world)
    assert shifts[-1] == {one: 1.0}
    moved = world.cluster.reconciler.states["flights"].rollout
    assert moved is not None
    assert 0 <= moved.figures["back_milliseconds"] < 5_000
    world.cluster.serve.away = False
    status = await world.phase(Phase.FAILED)
    assert await moves(world) == shifts
    assert "ada aborted it" in (status.rollout.error or "" if status.rollout else "")


async def test_a_canary_that_does_well_stays_where_it_is(world: World) -> None:
    await at_ten_percent(world)
    await leave(world)
    before = world.cluster.reconciler.states["flights"]
    await looks(world, 20)
    assert world.cluster.reconciler.states["flights"] == before
    assert world.cluster.traffic.shifts == [1_000]
    # And its figures go on.
    status = await world.phase(Phase.ANALYSING)
    assert status.rollout is not None
    assert status.rollout.analyses[-1].findings[0].candidate == 1.0
    world.cluster.serve.away = False
    await world.until(lambda found: world.cluster.reconciler.ray_answers)
    assert world.cluster.traffic.shifts == [1_000]


async def test_a_verdict_that_passes_moves_nothing_until_serve_answers(world: World) -> None:
    await world.declare(2, canary(10))
    await world.phase(Phase.ANALYSING)
    await leave(world)
    await asyncio.sleep(WELL.seconds + 0.1)
    await looks(world, 3)
    assert world.cluster.traffic.shifts == [1_000]
    world.cluster.serve.away = False
    await world.phase(Phase.SUCCEEDED)


async def test_traffic_does_not_go_where_nobody_answers(world: World) -> None:
    await at_ten_percent(world)
    await leave(world)
    kill(world, Colour.BLUE)
    await world.client.abort("flights", ADA)
    await looks(world, 5)
    assert world.cluster.traffic.shares == {"flights": 1_000}


async def test_a_candidate_that_fails_goes_home_although_another_version_is_declared_meanwhile(world: World) -> None:
    await at_ten_percent(world)
    await leave(world)
    with pytest.raises(RetryableError, match="is declared and begins once it does"):
        await world.declare(3)
    world.cluster.traffic.failing["flights-green"] = 1.0
    await world.phase(Phase.ROLLING_BACK)
    assert world.cluster.traffic.shares == {"flights": 0}
    world.cluster.serve.away = False
    world.cluster.traffic.failing.clear()
    await world.until(lambda found: found.serving == desired(3).version)


async def test_a_candidate_that_fails_is_not_shipped_again_by_another_window_that_was_declared_meanwhile(world: World) -> None:
    await at_ten_percent(world)
    await leave(world)
    with pytest.raises(RetryableError, match="is declared and begins once it does"):
        await world.declare(2, canary(10, analysis=LONG).model_copy(update={"retention_seconds": 5.0}))
    world.cluster.traffic.failing["flights-green"] = 1.0
    await world.phase(Phase.ROLLING_BACK)
    world.cluster.serve.away = False
    world.cluster.traffic.failing.clear()
    status = await world.phase(Phase.FAILED)
    assert [each.label for each in status.refused] == ["2-fine"]
    await looks(world, 5)
    state = world.cluster.reconciler.states["flights"]
    assert state.rollout is not None
    assert (state.rollout.number, state.pending) == (2, False)


@pytest.mark.parametrize("number", [10.0, 100.0])
async def test_what_serves_gets_its_traffic_back_as_soon_as_it_answers_again(world: World, number: float) -> None:
    await world.declare(2, canary(number, analysis=LONG))
    await world.phase(Phase.ANALYSING)
    await leave(world)
    before = dict(world.cluster.traffic.servers["flights-blue"])
    kill(world, Colour.BLUE)
    await world.client.abort("flights", ADA)
    await looks(world, 5)
    assert world.cluster.traffic.shares == {"flights": round(number * 100)}
    world.cluster.traffic.servers["flights-blue"] = before
    await looks(world, 2)
    assert world.cluster.traffic.shares == {"flights": 0}
    world.cluster.serve.away = False
    await world.phase(Phase.FAILED)


async def test_a_controller_that_is_started_again_while_serve_is_away_takes_the_traffic_home_too(world: World) -> None:
    await at_ten_percent(world)
    await leave(world)
    world.cluster.traffic.failing["flights-green"] = 1.0
    # Another one, which never saw Serve.
    again = world.cluster.start()
    for _ in range(200):
        await again.reconcile()
        await asyncio.sleep(0.005)
        if world.cluster.traffic.shares == {"flights": 0}:
            break
    assert again.states["flights"].rollout is not None
    assert again.states["flights"].rollout.phase is Phase.ROLLING_BACK


async def test_what_was_decided_and_did_not_reach_the_traffic_plane_is_told_again(world: World) -> None:
    await at_ten_percent(world)
    await leave(world)
    await world.client.abort("flights", ADA)
    await world.phase(Phase.ROLLING_BACK)
    world.cluster.traffic.shares["flights"] = 1_000
    await looks(world, 2)
    assert world.cluster.traffic.shares == {"flights": 0}


async def test_a_rolling_update_waits_with_everything(world: World) -> None:
    await world.declare(2, Rolling(analysis=LONG))
    await world.phase(Phase.ANALYSING)
    await leave(world)
    before = list(world.cluster.traffic.shifts)
    await world.client.abort("flights", ADA)
    await looks(world, 5)
    assert world.cluster.traffic.shifts == before
    world.cluster.serve.away = False
    await world.phase(Phase.FAILED)


async def test_a_rollback_within_the_window_needs_no_serve(world: World) -> None:
    await world.declare(2, BlueGreen(retention_seconds=600))
    await world.phase(Phase.RETAINING)
    deployed = list(world.cluster.serve.deploys)
    await leave(world)
    await world.client.rollback("flights", RollbackRequest(by="ada"))
    await looks(world, 2)
    assert world.cluster.traffic.shares == {"flights": 0}
    await looks(world, 5)
    assert world.cluster.traffic.shifts == [10_000, 0]
    told = await moves(world)
    assert told[-1] == {desired(1).version.digest: 1.0}
    world.cluster.serve.away = False
    status = await world.phase(Phase.SUCCEEDED)
    assert await moves(world) == told
    assert status.serving == desired(1).version
    assert world.cluster.serve.deploys == deployed
    assert set(world.cluster.serve.apps) == {"flights-blue"}
    assert [each.label for each in status.refused] == ["2-fine"]
    numbers = [(each.number, each.phase) for each in await world.client.rollouts("flights")]
    assert numbers == [(3, Phase.SUCCEEDED), (2, Phase.SUCCEEDED), (1, Phase.SUCCEEDED)]


async def test_a_rollback_to_what_does_not_answer_waits_for_serve(world: World) -> None:
    await world.declare(2, BlueGreen(retention_seconds=600))
    await world.phase(Phase.RETAINING)
    await leave(world)
    servers = world.cluster.traffic.servers["flights-blue"]
    name = min(servers)
    servers[name] = replace(servers[name], usable=False, answers=False)
    with pytest.raises(RetryableError, match="the cluster has not answered"):
        await world.client.rollback("flights", RollbackRequest(by="ada"))
    assert world.cluster.traffic.shares == {"flights": 10_000}


async def test_an_abort_within_the_window_takes_the_traffic_home(world: World) -> None:
    await world.declare(2, BlueGreen(retention_seconds=600))
    await world.phase(Phase.RETAINING)
    await leave(world)
    await world.client.abort("flights", ADA)
    await looks(world, 2)
    assert world.cluster.traffic.shares == {"flights": 0}
    world.cluster.serve.away = False
    status = await world.phase(Phase.FAILED)
    assert status.serving == desired(1).version


async def test_nothing_happens_to_what_just_serves(world: World) -> None:
    await bring(world.client, desired(2))
    await leave(world)
    before, shifts = world.cluster.reconciler.states["flights"], list(world.cluster.traffic.shifts)
    await looks(world, 10)
    assert world.cluster.reconciler.states["flights"] == before
    assert world.cluster.traffic.shifts == shifts
