"""A training on a Ray cluster of its own: what is asked for, what is refused, and that the model is the same."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from ml_world import World

from heliostat.provider import own_clusters, ray_work
from heliostat.provider.checks import check
from heliostat.provider.properties import UNKNOWN, Properties
from heliostat.provider.train_job import TrainJobHandler, identity_of
from heliostat.resources.base import wire
from heliostat.spec.groups import WorkerGroup, chosen
from heliostat.spec.own_cluster import own_cluster
from heliostat.spec.training_resources import TrainJobInputs, TrainJobOutputs
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.kuberay_jobs import OwnClusters
from heliostat.testing.jobs import MemoryJobs

HANDLER = TrainJobHandler()
L4 = WorkerGroup(kind="gpu", cpus=8, memory_gib=32, accelerator="L4", accelerators=2, max=4)
V6E = WorkerGroup(kind="tpu", cpus=44, memory_gib=100, accelerator="TPU-V6E", accelerators=4, topology="4x4", hosts=4, max=2)
EXPORTED = {name: group.model_dump(mode="json", by_alias=True) for name, group in {"l4": L4, "v6e": V6E}.items()}
PATTERN = {"namespace": "ml", "name": "ray-1", "context": "prod"}


@pytest.fixture
def world(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    found = World(tmp_path)
    found.install(monkeypatch)
    return found


def given(world: World, group: str | None = "l4", pattern: Any = PATTERN, **scaling: Any) -> dict[str, Any]:
    where = {"group": chosen(EXPORTED, group), "scaling": {"group": group, **scaling}} if group else {}
    values = {
        "name": "flights", "code": world.code, "entryPoint": "workloads.flights.train:train", "dataset": world.dataset,
        "store": world.store, "ray": world.ray, "trackingUri": "http://mlflow", "ownCluster": own_cluster(pattern), **where,
    }  # fmt: skip
    return {key: wire(value) for key, value in values.items()}


def inputs(world: World, **changes: Any) -> TrainJobInputs:
    return TrainJobInputs.model_validate(given(world, **changes))


def refused(values: dict[str, Any]) -> dict[str, str]:
    return {each.path: each.reason for each in check(TrainJobInputs, Properties(values, frozenset()))[1]}


@pytest.mark.parametrize(
    ("group", "scaling", "nodes"),
    [
        ("l4", {"workers": 1}, 1), ("l4", {"workers": 3}, 2), ("l4", {"workers": 2, "gpusPerWorker": 2}, 2),
        ("l4", {"workers": 4, "cpusPerWorker": 8}, 4), ("v6e", {"workers": 4}, 1), ("v6e", {"workers": 8}, 2),
    ],
)  # fmt: skip
def test_its_cluster_has_as_many_nodes_as_the_work_fills(world: World, group: str, scaling: Any, nodes: int) -> None:
    own = own_clusters.own_clusters(inputs(world, group=group, **scaling))
    assert own is not None
    assert (own.group, own.replicas, own.pattern.name) == (group, nodes, "ray-1")


def test_on_the_shared_cluster_nothing_is_asked_for(world: World) -> None:
    shared = inputs(world).model_copy(update={"own_cluster": None})
    assert own_clusters.own_clusters(shared) is None


def test_a_platform_without_kubernetes_is_told_with_what_to_do(world: World) -> None:
    [reason] = refused(given(world, pattern=None)).values()
    assert "the platform has none: leave `cluster` out" in reason
    assert refused(given(world) | {"ownCluster": UNKNOWN}) == {}


def test_without_a_group_it_is_refused(world: World) -> None:
    [reason] = refused(given(world, group=None)).values()
    assert "name it in training.scaling.group" in reason


def test_where_it_runs_decides_nothing_about_the_model(world: World) -> None:
    own = inputs(world)
    shared = own.model_copy(update={"own_cluster": None})
    assert identity_of(own) == identity_of(shared)
    assert "own_cluster" in HANDLER.insignificant_inputs(own, shared)
    assert "ownCluster" not in shared.model_dump(mode="json", by_alias=True, exclude_none=True)


async def test_the_runner_is_that_of_its_own_cluster(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[OwnClusters | None] = []

    def open_runner(_: Any, own: OwnClusters | None = None) -> AbstractAsyncContextManager[MemoryJobs]:
        opened.append(own)
        return world.jobs

    monkeypatch.setattr(ray_work, "open_runner", open_runner)
    with pytest.raises(PermanentError, match="its run is not in MLflow"):
        await HANDLER.create(world.context, inputs(world, workers=4))
    [own] = opened
    assert own is not None
    assert (own.replicas, own.store, own.timeout_seconds) == (2, world.store, 3600.0)


class Jobs:
    """In the place of what KubeRay has."""

    error: Exception | None = None
    asked: list[tuple[str, str]]

    def __init__(self, own: OwnClusters, ray: Any) -> None:
        return

    async def __aenter__(self) -> Jobs:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def rehearse(self, submission_id: str) -> None:
        await self._told("rehearse", submission_id)

    async def forget(self, work: str) -> None:
        await self._told("forget", work)

    async def _told(self, what: str, which: str) -> None:
        self.asked.append((what, which))
        if self.error is not None:
            raise self.error


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> type[Jobs]:
    monkeypatch.setattr(own_clusters, "KubeRayJobs", Jobs)
    monkeypatch.setattr(Jobs, "error", None)
    monkeypatch.setattr(Jobs, "asked", [], raising=False)
    return Jobs


async def test_a_preview_says_where_it_will_train_and_what_stands_against_it(
    world: World, jobs: type[Jobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    await HANDLER.preview(world.context, None, inputs(world))
    assert jobs.asked == [("rehearse", f"train-flights-{identity_of(inputs(world))[:12]}-1")]
    assert world.told["info"] == ["will train flights on a Ray cluster of its own"]
    monkeypatch.setattr(jobs, "error", RetryableError("not up yet"))
    await HANDLER.preview(world.context, None, inputs(world))
    monkeypatch.setattr(jobs, "error", PermanentError("you may not create rayjobs"))
    with pytest.raises(PermanentError, match="may not create rayjobs"):
        await HANDLER.preview(world.context, None, inputs(world))


async def test_a_training_that_is_deleted_leaves_no_ray_jobs_and_one_that_cannot_says_so(
    world: World, jobs: type[Jobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = TrainJobOutputs(**dict(inputs(world)), digest="d" * 64, run_id="r", model_uri="m", metrics={})
    await HANDLER.delete(world.context, "flights-1", outputs)
    assert jobs.asked == [("forget", "train-flights")]
    monkeypatch.setattr(jobs, "error", RetryableError("the cluster is away"))
    await HANDLER.delete(world.context, "flights-1", outputs)
    assert world.told["warn"] == ["RayJobs of flights may be left in the namespace ml: the cluster is away"]
    await HANDLER.delete(world.context, "flights-1", outputs.model_copy(update={"own_cluster": None}))
    assert len(jobs.asked) == 2
