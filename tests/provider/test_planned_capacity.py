"""One update that grows a cluster and what runs on it: its preview does not fail for what the update itself brings."""

from __future__ import annotations

import fake_controller
import pytest
from application_rollouts import HANDLER, inputs, no_switches, told
from fake_controller import controller
from plugin_process import struct, urn_of
from pulumi.runtime.proto import provider_pb2 as pb
from test_provider_protocol import plugin

from heliostat.provider import planned_capacity
from heliostat.provider.application import ApplicationHandler
from heliostat.provider.ray_cluster import RayClusterHandler
from heliostat.spec.addresses import RayAddress, TokenFile
from heliostat.spec.groups import ChosenGroup, WorkerGroup
from heliostat.spec.platform_resources import RayClusterInputs, RayClusterOutputs
from heliostat.spec.platforms.local import RayWorkers
from heliostat.spec.rollouts import Plan
from heliostat.systems.errors import PermanentError

__all__ = ["controller", "no_switches", "plugin", "told"]

RAY = RayAddress(url=fake_controller.RAY_URL, credential=TokenFile(path="/data/ray/token"))
SHORT = "4 replicas of 1-x with 1 CPU each must fit beside what runs, and it has room for 1: give it another node"


@pytest.fixture(autouse=True)
def nothing_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planned_capacity, "_growing", {})


@pytest.fixture
def settled(controller):
    """A controller of the cluster `RAY`, which has no room as it is."""
    controller.plan = Plan(changes=True, lines=("replicas: 2 -> 4",), shortage=SHORT)
    return controller


async def previewed(told, before: RayWorkers, after: RayWorkers, address: RayAddress = RAY) -> None:
    values = RayClusterInputs(directory="/data/ray", workers=before).model_dump()
    old = RayClusterOutputs(**values, address=address, gcs_address="127.0.0.1:6379")
    await RayClusterHandler().preview(told.context, old, RayClusterInputs(directory="/data/ray", workers=after))


@pytest.mark.parametrize("after", [RayWorkers(count=2, cpus=4), RayWorkers(count=1, cpus=8)])
async def test_replicas_that_fit_once_the_cluster_has_grown_in_the_same_update_are_a_warning(settled, tmp_path, told, after):
    await previewed(told, RayWorkers(count=1, cpus=4), after)
    await ApplicationHandler().preview(told.context, None, inputs(settled, tmp_path, replicas=4))
    (warning,) = told.warnings
    assert warning.startswith(
        f"as the cluster is now, {SHORT}. This update changes its nodes first (from 1 worker with 4 CPUs to "
    )
    assert "before anything moves" in warning
    assert told.info == ["replicas: 2 -> 4"]
    assert settled.declared == []


@pytest.mark.parametrize("after", [RayWorkers(count=2, cpus=4), RayWorkers(count=1, cpus=4)])
async def test_a_cluster_that_does_not_grow_fails_the_preview_as_ever(settled, tmp_path, told, after):
    await previewed(told, RayWorkers(count=2, cpus=4), after)
    with pytest.raises(PermanentError, match="4 replicas of 1-x"):
        await HANDLER.preview(told.context, None, inputs(settled, tmp_path, replicas=4))
    assert told.warnings == []


async def test_another_cluster_that_grows_does_not_help(settled, tmp_path, told):
    await previewed(told, RayWorkers(count=1), RayWorkers(count=2), RayAddress(url="http://127.0.0.1:1"))
    with pytest.raises(PermanentError, match="4 replicas of 1-x"):
        await HANDLER.preview(told.context, None, inputs(settled, tmp_path, replicas=4))


async def test_a_growth_that_was_taken_back_before_the_next_preview_does_not_count(settled, tmp_path, told):
    await previewed(told, RayWorkers(count=1), RayWorkers(count=2))
    await previewed(told, RayWorkers(count=1), RayWorkers(count=1))
    with pytest.raises(PermanentError, match="4 replicas of 1-x"):
        await HANDLER.preview(told.context, None, inputs(settled, tmp_path, replicas=4))


async def test_a_controller_that_is_too_old_to_say_its_cluster_fails_the_preview_as_ever(settled, tmp_path, told, monkeypatch):
    monkeypatch.setattr(fake_controller, "RAY_URL", "")
    await previewed(told, RayWorkers(count=1), RayWorkers(count=2))
    with pytest.raises(PermanentError, match="4 replicas of 1-x"):
        await HANDLER.preview(told.context, None, inputs(settled, tmp_path, replicas=4))


async def test_a_preview_over_the_protocol_notes_it(plugin, settled, tmp_path):
    values = {"directory": f"{tmp_path}/ray", "workers": {"count": 1, "cpus": 4}}
    old = {**values, "address": RAY.model_dump(by_alias=True), "gcsAddress": "127.0.0.1:6379"}
    news = struct({**values, "workers": {"count": 2, "cpus": 4}})
    about = {"urn": urn_of("RayCluster"), "id": "ray", "olds": struct(old), "old_inputs": struct(values), "news": news}
    await plugin.stub.Diff(pb.DiffRequest(**about))
    assert planned_capacity.growth(RAY.url) is None
    await plugin.stub.Update(pb.UpdateRequest(**about, preview=True))
    assert planned_capacity.growth(RAY.url) == "from 1 worker with 4 CPUs to 2 workers with 4 CPUs"


async def test_a_cluster_that_is_only_created_is_nothing_to_note(told):
    await RayClusterHandler().preview(told.context, None, RayClusterInputs(directory="/data/ray"))
    assert planned_capacity._growing == {}


def on_group(most: int) -> ChosenGroup:
    return ChosenGroup(name="a10", group=WorkerGroup(kind="gpu", cpus=7, memory_gib=28, accelerators=1, max=most))


async def test_replicas_that_fit_once_their_group_may_grow_in_the_same_update_are_a_warning(settled, tmp_path, told):
    settled.groups = {"a10": 2}
    await HANDLER.preview(told.context, None, inputs(settled, tmp_path, gpus_per_replica=1, group=on_group(4)))
    (warning,) = told.warnings
    assert "This update changes its nodes first (the group a10 from at most 2 to 4 workers)" in warning


@pytest.mark.parametrize("known", [{"a10": 4}, {}])
async def test_a_group_that_does_not_grow_or_that_the_controller_does_not_know_fails_the_preview(
    settled, tmp_path, told, known
):
    settled.groups = known
    with pytest.raises(PermanentError, match="4 replicas of 1-x"):
        await HANDLER.preview(told.context, None, inputs(settled, tmp_path, gpus_per_replica=1, group=on_group(4)))
