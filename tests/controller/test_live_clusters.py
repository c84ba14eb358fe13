"""An upgrade of Ray, for real: a second cluster beside the first, and applications that move over under load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from live_stack import Load, Stack, stack

from heliostat.spec.controller import SERVICE, SETTINGS_FILE
from heliostat.spec.platform_resources import RayClusterInputs
from heliostat.spec.platforms.local import RayNode, RayWorkers
from heliostat.spec.rollouts import Declaration, Desired, Phase, Status
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep, Recreate, Rolling, Strategy
from heliostat.systems.errors import RetryableError
from heliostat.systems.ray_nodes import LocalCluster
from heliostat.systems.ray_serve import ServeClient

__all__ = ["stack"]

pytestmark = [
    pytest.mark.local_stack,
    pytest.mark.cluster,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.asyncio(loop_scope="module"),
]

STRATEGIES: dict[str, Strategy] = {
    "flights": BlueGreen(retention_seconds=2),
    "steps": Canary(steps=(CanaryStep(weight=20, pause_seconds=2), CanaryStep(weight=60)), retention_seconds=0),
    "batches": Rolling(percentage=50),
    "remade": Recreate(),
}
WITHOUT_A_GAP = ("flights", "steps", "batches")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def beside(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalCluster]:
    """A second cluster on this machine."""
    directory = tmp_path_factory.mktemp("beside") / "ray"
    cluster = LocalCluster(directory)
    try:
        inputs = RayClusterInputs(directory=str(directory), head=RayNode(cpus=2), workers=RayWorkers(count=0))
        await cluster.start(inputs, lambda line: None)
        yield cluster
    finally:
        await cluster.stop()


def wanted(stack: Stack, name: str, cluster: str) -> Desired:
    return stack.desired(1, strategy=STRATEGIES[name]).model_copy(update={"cluster": cluster})


async def bring(stack: Stack, name: str, cluster: str) -> Status:
    status = None
    while status is None:
        try:
            status = await stack.client.declare(name, Declaration(desired=wanted(stack, name, cluster)))
        except RetryableError:  # as it is killed
            await asyncio.sleep(0.2)
    async for each in stack.client.follow(name, status):
        status = each
    return status


async def work_on(stack: Stack, cluster: LocalCluster) -> None:
    """Have the controller work on another cluster: its settings are written, and it is started anew."""
    inputs = stack.settings.inputs.model_copy(update={"ray": cluster.address})
    file = stack.directory / SETTINGS_FILE
    file.write_text(stack.settings.model_copy(update={"inputs": inputs}).model_dump_json())
    stack.kill(SERVICE)
    stack.start()
    await healthy(stack)


async def healthy(stack: Stack) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                if (await stack.client.health()).ray:
                    return
            except RetryableError:
                pass
            await asyncio.sleep(0.1)


async def until(holds: Callable[[], Awaitable[bool]], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - what a client sees
            await asyncio.sleep(0.1)


async def has_a_share(stack: Stack, name: str) -> bool:
    """Whether the candidate of an application has part of the traffic."""
    status = await stack.client.read(name)
    return status is not None and status.rollout is not None and status.rollout.candidate_weight > 0


async def is_alone(stack: Stack) -> bool:
    """Whether the controller knows of no other cluster any more."""
    return not (await stack.client.health()).former_ray_urls


async def answers_on(loads: dict[str, Load], before: dict[str, int]) -> bool:
    return all(load.ends["200"] >= before[name] + 20 for name, load in loads.items())


async def test_applications_move_to_the_new_cluster_by_their_strategies_and_lose_no_request(
    stack: Stack, beside: LocalCluster
) -> None:
    old, new = stack.settings.inputs.ray, beside.address
    for name in STRATEGIES:
        assert (await bring(stack, name, old.url)).cluster == old.url
    loads = {name: Load(f"{stack.settings.public_url}/{name}/predict") for name in STRATEGIES}
    async with AsyncExitStack() as running:
        for load in loads.values():
            await running.enter_async_context(load.running())
        await work_on(stack, beside)
        assert (await stack.client.health()).former_ray_urls == (old.url,)
        moves = [asyncio.create_task(bring(stack, name, new.url)) for name in STRATEGIES]
        # In the middle of it.
        await until(lambda: has_a_share(stack, "steps"), 120)
        stack.kill(SERVICE)
        stack.start()
        for move in asyncio.as_completed(moves):
            status = await move
            assert status.rollout is not None
            assert (status.rollout.phase, status.cluster) == (Phase.SUCCEEDED, new.url), status.rollout.events
            assert status.rollout.moves
        await until(lambda: is_alone(stack), 30)
        former = ServeClient(old, stack.settings.serve_port)
        assert not (await former.read()).applications
        await former.close()
        for name in WITHOUT_A_GAP:
            assert set(loads[name].ends) == {"200"}, (name, loads[name].ends)
        before = {name: loads[name].ends["200"] for name in loads}
        # What is declared again is there already.
        again = await bring(stack, "flights", new.url)
        assert again.rollout is not None
        assert again.rollout.number == 2
        await until(lambda: answers_on(loads, before), 60)
    assert {name: set(loads[name].ends) for name in WITHOUT_A_GAP} == {name: {"200"} for name in WITHOUT_A_GAP}
