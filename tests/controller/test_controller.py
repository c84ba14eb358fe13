"""The controller through its API, with a cluster and a traffic plane in memory."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from fake_cluster import TOKEN, TRACEBACK, FakeCluster

from heliostat.controller.api import create_app
from heliostat.spec.rollouts import Declaration, Desired, Phase, Status
from heliostat.spec.strategies import BlueGreen, Recreate, Rolling, Strategy
from heliostat.systems.controller_api import ENDS, ControllerClient
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.testing import declarations


def desired(number: int, behaviour: str = "fine", strategy: Strategy | None = None, replicas: int = 2) -> Desired:
    version = declarations.version(
        number, label=f"{number}-{behaviour}", contract=f"app:{behaviour}", model_uri=f"models:/flights/{number}"
    )
    strategy = strategy or BlueGreen(retention_seconds=0)
    return declarations.desired(number, strategy, replicas=replicas, version=version, startup_timeout_seconds=5)


@pytest.fixture
def cluster(tmp_path: Path) -> FakeCluster:
    return FakeCluster(tmp_path)


async def bring(client: ControllerClient, wanted: Desired) -> Status:
    status = await client.declare("flights", Declaration(desired=wanted))
    async for each in client.follow("flights", status):
        status = each
    return status


async def test_a_version_comes_into_place_and_is_followed_to_its_end(cluster: FakeCluster) -> None:
    async with cluster.running() as client:
        status = await bring(client, desired(1))
        assert status.rollout is not None
        assert [event.phase for event in status.rollout.events] == [
            Phase.PENDING, Phase.STARTING, Phase.TESTING, Phase.SHIFTING, Phase.SUCCEEDED,
        ]  # fmt: skip
        assert status.serving == desired(1).version
        assert status.healthy_replicas == 2
        assert status.url == "http://public/flights"


async def test_declaring_the_same_again_starts_nothing(cluster: FakeCluster) -> None:
    async with cluster.running() as client:
        await bring(client, desired(1))
        again = await client.declare("flights", Declaration(desired=desired(1)))
        assert again.rollout is not None
        assert again.rollout.number == 1
        assert cluster.serve.deploys == ["flights-blue"]


@pytest.mark.parametrize("strategy", [BlueGreen(retention_seconds=0), Rolling(), Recreate()])
async def test_each_strategy_ends_with_the_new_version_alone(cluster: FakeCluster, strategy: Strategy) -> None:
    async with cluster.running() as client:
        await bring(client, desired(1))
        status = await bring(client, desired(2, strategy=strategy))
        assert status.serving == desired(2).version
        assert set(cluster.serve.apps) == {"flights-green"}
        assert cluster.traffic.shares == {"flights": 10_000}


async def test_a_candidate_that_crashes_fails_with_its_own_traceback(cluster: FakeCluster) -> None:
    async with cluster.running() as client:
        await bring(client, desired(1))
        status = await bring(client, desired(2, "crashes"))
        assert status.rollout is not None
        assert status.rollout.phase is Phase.FAILED
        assert TRACEBACK in (status.rollout.error or "")
        assert status.serving == desired(1).version
        assert set(cluster.serve.apps) == {"flights-blue"}
        assert 10_000 not in cluster.traffic.shifts


async def test_following_ends_where_the_program_goes_back_to_what_serves_after_a_failure(cluster: FakeCluster) -> None:
    async with cluster.running() as client:
        await bring(client, desired(1))
        await bring(client, desired(2, "crashes"))
        async with asyncio.timeout(60):
            status = await bring(client, desired(1))
        assert (status.desired, status.serving, status.pending) == (desired(1), desired(1).version, False)
        assert status.rollout is not None
        assert (status.rollout.number, status.rollout.phase) == (2, Phase.FAILED)


async def test_what_the_cluster_was_not_asked_about_yet_is_pending(cluster: FakeCluster) -> None:
    async with cluster.running() as client:
        await bring(client, desired(1))
        cluster.serve.away = True
        cluster.reconciler._observer.expire()
        cluster.reconciler.declare("flights", Declaration(desired=desired(1, replicas=3)))
        status = await client.read("flights")
        assert status is not None
        assert status.pending


async def test_a_candidate_that_answers_wrongly_never_gets_traffic(cluster: FakeCluster) -> None:
    async with cluster.running() as client:
        await bring(client, desired(1))
        status = await bring(client, desired(2, "wrong"))
        assert status.rollout is not None
        assert "expected late" in (status.rollout.error or "")
        assert cluster.traffic.shifts == []


async def test_a_controller_that_was_killed_goes_on_at_any_look(cluster: FakeCluster) -> None:
    async with cluster.running() as client:
        await bring(client, desired(1))
    cluster.reconciler.declare("flights", Declaration(desired=desired(2)))
    for _ in range(40):
        # A new controller for each look.
        reconciler = cluster.start()
        await reconciler.reconcile()
        await asyncio.sleep(0)
        await asyncio.sleep(0.01)
    rollout = cluster.reconciler.states["flights"].rollout
    assert rollout is not None
    assert rollout.phase is Phase.SUCCEEDED
    assert set(cluster.serve.apps) == {"flights-green"}


async def test_what_serves_stays_as_it_is_while_the_cluster_does_not_answer(cluster: FakeCluster) -> None:
    async with cluster.running() as client:
        await bring(client, desired(1))
        before = dict(cluster.traffic.shares)
        cluster.serve.away = True
        cluster.reconciler._observer.expire()
        await cluster.reconciler.reconcile()
        assert not (await client.health()).ray
        assert cluster.traffic.shares == before


async def test_a_deleted_application_is_gone_and_one_that_never_was_is_no_error(cluster: FakeCluster) -> None:
    async with cluster.running() as client:
        await bring(client, desired(1))
        await client.delete("flights")
        async with asyncio.timeout(60):
            while await client.read("flights") is not None:  # noqa: ASYNC110 - it is what a client does
                await asyncio.sleep(0.01)
        assert cluster.serve.apps == {}
        await client.delete("flights")


async def test_a_plan_changes_nothing(cluster: FakeCluster) -> None:
    async with cluster.running() as client:
        plan = await client.plan("flights", Declaration(desired=desired(1)))
        assert plan.changes
        assert await client.read("flights") is None


async def test_a_declaration_that_cannot_work_is_refused_with_the_fix(cluster: FakeCluster) -> None:
    async with cluster.running() as client:
        wanted = desired(1, strategy=Rolling(max_surge=0, min_healthy_percentage=100))
        with pytest.raises(PermanentError, match="maxSurge 1"):
            await client.declare("flights", Declaration(desired=wanted))


async def test_a_wrong_body_is_refused_with_each_field(cluster: FakeCluster) -> None:
    async with cluster.raw() as raw:
        body, headers = {"desired": {"replicas": 0}}, {"Authorization": f"Bearer {TOKEN}"}
        answer = await raw.put("/v1/applications/flights", json=body, headers=headers)
    assert answer.status_code == 422
    assert "body.desired.replicas" in answer.json()["detail"]
    assert "body.desired.version" in answer.json()["detail"]


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}])
async def test_nobody_gets_in_without_the_token(cluster: FakeCluster, header: dict[str, str]) -> None:
    async with cluster.raw() as raw:
        for method, path in (("GET", "/v1/health"), ("DELETE", "/v1/applications/flights"), ("GET", "/openapi.json")):
            answer = await raw.request(method, path, headers=header)
            # The API's description is not served at all.
            expected = httpx.codes.NOT_FOUND if path == "/openapi.json" else httpx.codes.UNAUTHORIZED
            assert answer.status_code == expected, path


async def test_a_token_that_comes_through_a_kubernetes_api_server_lets_in(cluster: FakeCluster) -> None:
    async with cluster.raw() as raw:
        for token, expected in ((TOKEN, httpx.codes.OK), ("wrong", httpx.codes.UNAUTHORIZED)):
            answer = await raw.get("/v1/health", headers={"X-Heliostat-Authorization": f"Bearer {token}"})
            assert answer.status_code == expected


async def test_a_token_that_changed_where_it_is_kept_counts_from_the_first_call_with_it(cluster: FakeCluster) -> None:
    kept = [TOKEN]
    refused = []

    def read_again(token: str) -> str:
        refused.append(token)
        if not kept:
            raise RetryableError("away")
        return kept[-1]

    app = create_app(cluster.reconciler, TOKEN, "http://public", read_again)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://controller") as raw:

        async def status(token: str) -> int:
            return (await raw.get("/v1/health", headers={"Authorization": f"Bearer {token}"})).status_code

        assert (await status(TOKEN), refused) == (200, []), "who is let in is no reason to look"
        assert (await status("newer"), refused) == (401, [TOKEN])
        kept.append("newer")
        assert [await status("newer"), await status(TOKEN), await status("newer")] == [200, 401, 200]
        kept.clear()
        assert [await status("wrong"), await status("newer")] == [401, 200], "what cannot be read again stays"


async def test_a_wait_returns_as_soon_as_something_happens(cluster: FakeCluster) -> None:
    async with cluster.running() as client:
        await bring(client, desired(1))
        waiting = asyncio.create_task(client._wait("flights", 1, 60))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await client.declare("flights", Declaration(desired=desired(2)))
        async with asyncio.timeout(50):
            found = await waiting
        assert found.rollout is not None
        assert found.rollout.number == 2
        assert found.rollout.phase not in ENDS or found.rollout.events
