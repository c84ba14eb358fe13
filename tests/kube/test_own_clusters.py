"""Jobs with a Ray cluster each, by RayJobs in an API server, where the test plays KubeRay's operator."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from api_server import ApiServer, api_server
from ray_operator import NAMESPACE, RayOperator, operator
from service_behind import Service, service

from heliostat.spec.addresses import KubernetesProxy, RayAddress, RayClusterAddress, StoreAddress, TokenFile
from heliostat.spec.ray_job import name_of
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.kuberay_jobs import KubeRayJobs, OwnClusters
from heliostat.systems.ray_jobs import PROGRESS
from heliostat.testing.conformance import JobRunnerConformance
from tests.platforms import golden

__all__ = ["api_server", "operator", "service"]
CLUSTER = "ray-of-the-platform"
ID = "train-flights-0123456789ab-1"
INSUFFICIENT = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."


@cache
def _planned() -> dict[str, Any]:
    return next(each for each in golden.load("kubernetes") if each["type"].endswith(":RayCluster"))["inputs"]


def pattern() -> dict[str, Any]:
    """The RayCluster of the reviewed plan."""
    found = json.loads(json.dumps(_planned()))

    metadata = {"name": CLUSTER, "namespace": NAMESPACE, "labels": found["metadata"]["labels"]}
    return {"kind": "RayCluster", "metadata": metadata, "spec": found["spec"]}


@pytest.fixture
async def runner(
    api_server: ApiServer, operator: RayOperator, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[KubeRayJobs]:
    operator.clusters[CLUSTER] = pattern()
    config = str(api_server.kubeconfig({"token": "ada-token"}))
    (tmp_path / "token").write_text("s3cret")
    address = RayAddress(
        url="http://ray.ml.svc:8265",
        credential=TokenFile(path=str(tmp_path / "token")),
        proxy=KubernetesProxy(kubeconfig=config),
    )
    own = OwnClusters(
        pattern=RayClusterAddress(kubeconfig=config, namespace=NAMESPACE, name=CLUSTER),
        group="l4",
        replicas=2,
        timeout_seconds=3600,
        store=StoreAddress(uri=f"file://{tmp_path}/objects"),
    )
    async with KubeRayJobs(own, address, poll_seconds=0.1) as found:
        yield found


class TestKubeRayJobs(JobRunnerConformance):
    seconds = 60.0

    @pytest.fixture
    async def runner(self, runner: KubeRayJobs) -> KubeRayJobs:
        return runner


def pending(name: str, kind: str, message: str) -> dict[str, Any]:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    labels = {"ray.io/node-type": kind}
    return {"metadata": {"name": name, "labels": labels}, "status": {"phase": "Pending", "conditions": [condition]}}


async def ends(runner: KubeRayJobs, told: list[dict[str, Any]] | None = None) -> Any:
    return await runner.follow(ID, (told if told is not None else []).append, asyncio.Event(), 3600)


async def test_how_far_a_job_is_comes_from_its_own_cluster_while_it_runs(
    runner: KubeRayJobs, operator: RayOperator, service: Service, tmp_path: Path
) -> None:
    gate, seen = tmp_path / "gate", asyncio.Event()
    line = PROGRESS + json.dumps({"text": "at work"})
    await runner.submit(ID, f"echo '{line}'; until [ -e {gate} ]; do sleep 0.05; done", {}, {})
    told: list[dict[str, Any]] = []
    following = asyncio.create_task(runner.follow(ID, lambda each: (told.append(each), seen.set()), asyncio.Event(), 3600))
    await asyncio.wait_for(seen.wait(), 30)
    assert not following.done()
    assert service.seen[-1].headers["x-ray-authorization"] == "Bearer s3cret"
    gate.touch()
    assert (await following).status == "SUCCEEDED"
    assert told == [{"text": "at work"}]


async def test_a_job_has_ended_when_its_ray_job_says_so_and_not_before(runner: KubeRayJobs, operator: RayOperator) -> None:
    await runner.submit(ID, "echo succeeded", {}, {})
    await ends(runner)
    operator.settle(name_of(ID), jobStatus="SUCCEEDED", jobDeploymentStatus="Running")
    assert (await runner.find(ID)).status == "RUNNING"  # type: ignore[union-attr]
    operator.settle(name_of(ID), jobDeploymentStatus="Failed", reason="JobStatusCheckTimeoutExceeded", message="no answer")
    job = await ends(runner)
    assert job.status == "FAILED"
    assert "no answer from its head" in job.message
    assert "no answer)" in job.message


async def test_what_its_cluster_waits_for_is_told_once_and_again_at_its_deadline(
    api_server: ApiServer, runner: KubeRayJobs, operator: RayOperator
) -> None:
    looks: list[str] = []

    def looked(method: str, path: str, query: str, body: bytes) -> tuple[int, object] | None:
        looks.append(path)
        if sum(each.endswith("/pods") for each in looks) == 3:
            operator.settle(name_of(ID), startTime="2026-01-01T00:00:00Z")
        return operator.answer(method, path, query, body)

    api_server.objects = looked
    operator.holds = True
    operator.pods = [pending(f"w{number}", "worker", INSUFFICIENT) for number in range(2)]
    operator.events = [{"reason": "NotTriggerScaleUp", "message": "pod didn't trigger scale-up: max node group size reached"}]
    await runner.submit(ID, "true", {}, {})
    told: list[dict[str, Any]] = []
    with pytest.raises(PermanentError, match=r"was stopped: its cluster was not there: 2 workers are waiting for a node: 0/3"):
        await runner.follow(ID, told.append, asyncio.Event(), 3600)
    [waits] = told
    assert waits["text"].startswith(f"2 workers are waiting for a node: {INSUFFICIENT}")
    assert waits["text"].endswith("the autoscaler: pod didn't trigger scale-up: max node group size reached")
    assert (await ends(runner)).status == "STOPPED"


async def test_a_job_that_a_queue_holds_back_is_neither_stopped_nor_overdue(
    runner: KubeRayJobs, operator: RayOperator
) -> None:
    operator.holds = True
    await runner.submit(ID, "true", {}, {})
    operator.settle(name_of(ID), jobDeploymentStatus="Suspended")
    cancelled, told = asyncio.Event(), list[dict[str, Any]]()

    def tell(each: dict[str, Any]) -> None:
        told.append(each)
        cancelled.set()

    with pytest.raises(Exception, match=ID):
        await runner.follow(ID, tell, cancelled, 0.0)
    assert "somebody suspended it" in told[0]["text"]
    assert (await runner.find(ID)).status == "PENDING"  # type: ignore[union-attr]


async def test_ids_that_are_too_long_for_a_name_are_found_by_all_of_them(runner: KubeRayJobs, operator: RayOperator) -> None:
    base = f"train-{'x' * 40}-0123456789ab"
    for attempt in (1, 2):
        await runner.submit(f"{base}-{attempt}", "true", {}, {})
    assert [job.submission_id for job in await runner.attempts(base)] == [f"{base}-1", f"{base}-2"]
    assert all(len(name) <= 47 for name in operator.jobs)
    assert (await runner.find(f"{base}-2")).attempt == 2  # type: ignore[union-attr]


async def test_what_is_asked_for_is_held_against_its_definition_and_rehearsed_without_being_made(
    runner: KubeRayJobs, operator: RayOperator
) -> None:
    await runner.rehearse(ID)
    method, _, query = operator.asked[-1]
    assert (method, query) == ("POST", {"fieldValidation": ["Strict"], "dryRun": ["All"]})
    assert operator.jobs == {}
    operator.refusal = (403, 'rayjobs.ray.io is forbidden: User "ada" cannot create resource "rayjobs"')
    with pytest.raises(PermanentError, match=r"forbidden.*let this user do that"):
        await runner.rehearse(ID)
    operator.refusal = (404, "the server could not find the requested resource")
    with pytest.raises(PermanentError, match="has no RayJobs of"):
        await runner.rehearse(ID)


async def test_without_a_cluster_to_make_it_as_a_job_may_be_tried_again(runner: KubeRayJobs, operator: RayOperator) -> None:
    operator.clusters.clear()
    with pytest.raises(RetryableError, match="bring the platform up"):
        await runner.submit(ID, "true", {}, {})


async def test_a_group_that_is_not_there_is_named_with_those_that_are(runner: KubeRayJobs, operator: RayOperator) -> None:
    operator.clusters[CLUSTER]["spec"]["workerGroupSpecs"].pop(1)
    with pytest.raises(PermanentError, match=r"has no group l4 \(there are: cpu, v6e\)"):
        await runner.submit(ID, "true", {}, {})


async def test_to_forget_a_training_deletes_what_has_ended_and_nothing_else(
    runner: KubeRayJobs, operator: RayOperator
) -> None:
    await runner.submit(ID, "true", {}, {})
    await ends(runner)
    operator.holds = True
    await runner.submit("train-flights-ba9876543210-1", "true", {}, {})
    await runner.submit("train-other-0123456789ab-1", "true", {}, {})
    await runner.forget("train-flights")
    assert set(operator.jobs) == {"train-flights-ba9876543210-1", "train-other-0123456789ab-1"}


async def test_what_an_earlier_job_of_that_id_wrote_is_not_taken_for_the_new_ones(
    runner: KubeRayJobs, operator: RayOperator
) -> None:
    await runner.submit(ID, "echo before", {}, {})
    await ends(runner)
    assert "before" in await runner.logs(ID)
    await runner.forget("train-flights")
    operator.holds = True
    await runner.submit(ID, "true", {}, {})
    assert await runner.logs(ID) == ""


async def test_where_nothing_was_kept_rays_own_words_are_the_log(runner: KubeRayJobs, operator: RayOperator) -> None:
    operator.holds = True
    await runner.submit(ID, "true", {}, {})
    words = "runtime_env setup failed: no such working_dir"
    operator.settle(name_of(ID), jobDeploymentStatus="Failed", reason="AppFailed", message=words)
    assert await runner.logs(ID) == words
    assert (await ends(runner)).message == words
