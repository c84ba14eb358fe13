"""RayJobs on a real API server, with KubeRay's definitions. Its operator is in no registry: the test says what it would say.

Played: the status of a RayJob. Real: strict validation, the rehearsal, adoption by name, labels, suspension, deletion, and the
scheduler's word on a pod that fits on no node.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from heliostat.spec.addresses import RayAddress, RayClusterAddress, StoreAddress
from heliostat.spec.ray_job import name_of
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.kuberay_jobs import KubeRayJobs, OwnClusters
from tests.kubernetes.cluster import Cluster
from tests.platforms import golden, strict

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not strict.DEFINITIONS.exists(), reason=f"KubeRay's definitions are not in {strict.DEFINITIONS}"),
]
NAMESPACE, PATTERN = "own-clusters", "ray-pattern"
BASE = f"train-{'flights-' * 4}x-0123456789ab"


@pytest.fixture(scope="module")
def pattern(cluster: Cluster) -> str:
    """The reviewed plan's RayCluster, in a namespace of this file's own."""
    for kind in ("rayclusters", "rayjobs"):
        cluster.define(strict.DEFINITIONS / f"ray.io_{kind}.yaml")
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    inputs = next(each for each in golden.load("kubernetes") if each["type"].endswith(":RayCluster"))["inputs"]
    metadata = {"name": PATTERN, "namespace": NAMESPACE, "labels": inputs["metadata"]["labels"]}
    cluster.apply({"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": metadata, "spec": inputs["spec"]})
    return PATTERN


@pytest.fixture
async def jobs(cluster: Cluster, pattern: str, tmp_path: Path) -> AsyncIterator[KubeRayJobs]:
    address = RayClusterAddress(kubeconfig=str(cluster.kubeconfig), namespace=NAMESPACE, name=pattern)
    store = StoreAddress(uri=f"file://{tmp_path}")
    own = OwnClusters(address, group="l4", replicas=2, timeout_seconds=60, store=store)
    async with KubeRayJobs(own, RayAddress(url="http://ray"), poll_seconds=0.2) as found:
        yield found
        await found.stop(f"{BASE}-1")
    cluster.run("delete", "rayjobs", "--all", "-n", NAMESPACE, "--wait=true")


def says(cluster: Cluster, submission_id: str, **status: Any) -> None:
    """Say what the operator would."""
    patch = json.dumps({"status": status})
    options = ("--subresource=status", "--type=merge", "-p", patch)
    cluster.run("patch", "rayjob", name_of(submission_id), "-n", NAMESPACE, *options)


async def test_it_is_rehearsed_made_once_found_and_forgotten(cluster: Cluster, jobs: KubeRayJobs) -> None:
    await jobs.rehearse(f"{BASE}-1")
    assert await jobs.attempts(BASE) == []
    for attempt in (1, 1, 2):
        await jobs.submit(f"{BASE}-{attempt}", "true", {"env_vars": {"A": "b"}}, {"heliostat": BASE})
    assert [job.attempt for job in await jobs.attempts(BASE)] == [1, 2]
    says(cluster, f"{BASE}-2", jobDeploymentStatus="Complete", jobStatus="SUCCEEDED")
    job = await jobs.follow(f"{BASE}-2", lambda _: None, asyncio.Event(), 60)
    assert (job.status, job.exit_code) == ("SUCCEEDED", 0)
    await jobs.forget(BASE.rpartition("-")[0])
    assert [job.attempt for job in await jobs.attempts(BASE)] == [1]


async def test_a_pod_that_finds_no_node_is_told_by_the_scheduler(cluster: Cluster, jobs: KubeRayJobs) -> None:
    await jobs.submit(f"{BASE}-1", "true", {}, {})
    says(cluster, f"{BASE}-1", jobDeploymentStatus="Initializing", rayClusterName="own-1")
    limits = {"limits": {"nvidia.com/gpu": "1"}}
    containers = [{"name": "ray-worker", "image": "node.local/none:1", "resources": limits}]
    labels = {"ray.io/cluster": "own-1", "ray.io/node-type": "worker"}
    metadata = {"name": "own-1-worker", "namespace": NAMESPACE, "labels": labels}
    cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": NAMESPACE}})
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}})
    told, cancelled = list[str](), asyncio.Event()

    def tell(progress: dict[str, Any]) -> None:
        told.append(progress["text"])
        if "Insufficient" in progress["text"]:
            cancelled.set()

    with pytest.raises(Exception, match=BASE):
        await jobs.follow(f"{BASE}-1", tell, cancelled, 300)
    cluster.run("delete", "pod", "own-1-worker", "-n", NAMESPACE, "--force", "--grace-period=0")
    assert "1 worker is waiting for a node" in told[-1]
    assert "Insufficient nvidia.com/gpu" in told[-1]


async def test_to_stop_it_is_to_suspend_it(cluster: Cluster, jobs: KubeRayJobs) -> None:
    await jobs.submit(f"{BASE}-1", "true", {}, {})
    await jobs.stop(f"{BASE}-1")
    suspended = cluster.run("get", "rayjob", name_of(f"{BASE}-1"), "-n", NAMESPACE, "-o", "jsonpath={.spec.suspend}")
    assert suspended == "true"
    says(cluster, f"{BASE}-1", jobDeploymentStatus="Suspended")
    job = await jobs.find(f"{BASE}-1")
    assert job is not None
    assert job.status == "STOPPED"


async def test_a_name_that_kubernetes_does_not_take_is_refused_before_it_is_asked(jobs: KubeRayJobs) -> None:
    with pytest.raises(PermanentError, match="is no name of a RayJob"):
        await jobs.rehearse("Train-1")


async def test_without_a_pattern_nothing_is_made(cluster: Cluster, jobs: KubeRayJobs, tmp_path: Path) -> None:
    address = RayClusterAddress(kubeconfig=str(cluster.kubeconfig), namespace=NAMESPACE, name="another")
    own = OwnClusters(address, "l4", 1, 60, StoreAddress(uri=f"file://{tmp_path}"))
    async with KubeRayJobs(own, RayAddress(url="http://ray")) as others:
        with pytest.raises(RetryableError, match="bring the platform up"):
            await others.submit(f"{BASE}-1", "true", {}, {})
