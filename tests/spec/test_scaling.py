"""How wide a training runs on a group: what does not fit, and that Ray Train takes what it is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from heliostat.spec.groups import ChosenGroup, Placement, WorkerGroup, chosen, placement, replicas_misfit
from heliostat.spec.scaling import misfit, scaling_arguments
from heliostat.spec.workload import Scaling, Serving, Training

A10G = WorkerGroup(kind="gpu", cpus=3, memory_gib=13, accelerator="A10G", accelerators=1, max=4)
H100 = WorkerGroup(kind="gpu", cpus=190, memory_gib=1800, accelerator="H100", accelerators=8, max=2)
V6E = WorkerGroup(kind="tpu", cpus=178, memory_gib=683, accelerator="TPU-V6E", accelerators=4, topology="4x4", hosts=4, max=2)
CPU = WorkerGroup(kind="cpu", cpus=7, memory_gib=24, max=3)


def on(group: WorkerGroup, name: str = "g") -> ChosenGroup:
    return ChosenGroup(name=name, group=group)


@pytest.mark.parametrize(
    ("group", "scaling"),
    [
        (A10G, {"workers": 4}),
        (A10G, {"workers": 8, "gpus_per_worker": 0.5}),
        (H100, {"workers": 16}),
        (V6E, {"workers": 8}),
        (V6E, {"workers": 4, "gpus_per_worker": 4}),
        (CPU, {"workers": 21}),
    ],
)
def test_what_fits_is_taken(group: WorkerGroup, scaling: dict[str, Any]) -> None:
    assert misfit(Scaling(**scaling), on(group)) is None


@pytest.mark.parametrize(
    ("group", "scaling", "told"),
    [
        (A10G, {"workers": 5}, "4 nodes with room for 1 each; ask for 4 or fewer"),
        (A10G, {"workers": 1, "gpus_per_worker": 2}, "a worker of 2 GPUs fits on no node of the group g: each has 1"),
        (A10G, {"workers": 1, "cpus_per_worker": 4}, "a worker of 4 CPUs fits on no node of g: each leaves 3"),
        (H100, {"workers": 17}, "2 nodes with room for 8 each"),
        (V6E, {"workers": 6}, "6 workers are no multiple of 4; ask for 8"),
        (V6E, {"workers": 12}, "12 workers need 3 slices of the group g, which has 2 at most: ask for 8 or fewer"),
        (V6E, {"workers": 4, "gpus_per_worker": 1}, "a worker holds all 4 chips of its host"),
        (CPU, {"workers": 22}, "3 nodes with room for 7 each"),
        (CPU, {"workers": 1, "gpus_per_worker": 1}, "have no accelerators"),
    ],
)
def test_what_can_never_fit_is_refused_with_what_there_is(group: WorkerGroup, scaling: dict[str, Any], told: str) -> None:
    assert told in str(misfit(Scaling(**scaling), on(group)))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 64), st.sampled_from([A10G, H100, V6E, CPU]))
def test_the_number_of_workers_that_a_refusal_asks_for_is_taken(workers: int, group: WorkerGroup) -> None:
    told = misfit(Scaling(workers=workers), on(group))
    while told is not None and "ask for " in told:
        workers = int(told.partition("ask for ")[2].split()[0].rstrip(";,"))
        told = misfit(Scaling(workers=workers), on(group))
    assert told is None


def test_without_a_group_ray_train_is_asked_as_ever() -> None:
    assert scaling_arguments(Scaling(workers=3, gpus_per_worker=1), None) == {
        "num_workers": 3, "use_gpu": True, "resources_per_worker": {"CPU": 1.0, "GPU": 1.0},
    }  # fmt: skip
    assert scaling_arguments(Scaling(), None) == {
        "num_workers": 2, "use_gpu": False, "resources_per_worker": {"CPU": 1.0},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("group", "workers", "asked"),
    [
        (A10G, 4, {"CPU": 1.0, "GPU": 1.0, "heliostat-group:g": 0.001, "accelerator_type:A10G": 0.001}),
        (V6E, 8, {"CPU": 1.0, "TPU": 4, "heliostat-group:g": 0.001, "accelerator_type:TPU-V6E": 0.001}),
        (CPU, 2, {"CPU": 1.0, "heliostat-group:g": 0.001}),
    ],
)
def test_ray_train_takes_what_it_is_asked_for(group: WorkerGroup, workers: int, asked: dict[str, float]) -> None:
    train = pytest.importorskip("ray.train.v2.api.config")
    config = train.ScalingConfig(**scaling_arguments(Scaling(workers=workers), on(group)))
    assert config.num_workers == workers
    assert config._resources_per_worker_not_none == asked
    assert (config.use_tpu, config.topology) == ((True, "4x4") if group is V6E else (False, None))


def test_a_training_that_names_no_group_is_written_as_before_there_were_any() -> None:
    assert Scaling().model_dump(mode="json") == {"workers": 2, "cpusPerWorker": 1.0, "gpusPerWorker": 0.0}
    assert "group" not in Training().model_dump(mode="json")["scaling"]
    assert "group" not in Serving().model_dump(mode="json")
    assert Scaling(group="g").model_dump(mode="json")["group"] == "g"


def test_a_group_that_the_platform_has_not_is_refused_with_those_that_it_has() -> None:
    exported = {"a10g": A10G.model_dump(by_alias=True), "few": CPU.model_dump(by_alias=True)}
    assert ChosenGroup.model_validate(chosen(exported, "few")).group == CPU
    with pytest.raises(ValidationError, match="no group 'h100'; there are: a10g, few"):
        ChosenGroup.model_validate(chosen(exported, "h100"))
    with pytest.raises(ValidationError, match="no groups of nodes: 'h100' can be named on"):
        ChosenGroup.model_validate(chosen(None, "h100"))


@pytest.mark.parametrize(
    ("group", "gpus", "told"),
    [
        (A10G, 1, None),
        (A10G, 0.5, None),
        (A10G, 0, "holds more than 0 and up to 1 GPUs"),
        (A10G, 2, "holds more than 0 and up to 1 GPUs"),
        (CPU, 0, None),
        (CPU, 1, "no accelerators"),
        (V6E, 0, "a slice of g is 4 hosts"),
        (V6E.model_copy(update={"hosts": 1}), 0, None),
        (V6E.model_copy(update={"hosts": 1}), 4, "a replica holds all of"),
    ],
)
def test_a_replica_runs_on_one_worker_of_its_group(group: WorkerGroup, gpus: float, told: str | None) -> None:
    found = replicas_misfit(1, gpus, on(group))
    assert (found is None) if told is None else told in str(found)
    assert "each has" in str(replicas_misfit(1000, gpus, on(group)))


def test_a_replica_asks_ray_for_its_group_and_its_accelerators() -> None:
    assert placement(on(A10G)) == Placement(accelerator_type="A10G", resources={"heliostat-group:g": 0.001})
    assert placement(on(CPU)) == Placement(resources={"heliostat-group:g": 0.001})
    single = V6E.model_copy(update={"hosts": 1})
    assert placement(on(single)).resources == {"heliostat-group:g": 0.001, "TPU": 4.0}
