"""How the workers of a training work together: what is written, what is refused, and what Ray Train is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from heliostat.spec.distribution import DataParallel, Elastic, ParameterServer
from heliostat.spec.groups import ChosenGroup, WorkerGroup
from heliostat.spec.scaling import misfit, nodes_needed, scaling_arguments
from heliostat.spec.stack import ConfigError, parse
from heliostat.spec.workload import Scaling, Training

V6E = WorkerGroup(kind="tpu", cpus=178, memory_gib=683, accelerator="TPU-V6E", accelerators=4, topology="4x4", hosts=4, max=2)
CPU = WorkerGroup(kind="cpu", cpus=7, memory_gib=24, max=3)


def scaling(**given: Any) -> Scaling:
    return Scaling.model_validate(given)


def test_a_training_that_says_nothing_is_written_as_before_there_was_a_choice() -> None:
    usual = {"workers": 2, "cpusPerWorker": 1.0, "gpusPerWorker": 0.0}
    assert Training().scaling.model_dump(mode="json") == usual
    assert scaling(distribution={"kind": "data-parallel"}).model_dump(mode="json") == usual
    assert Scaling().distribution == DataParallel()


def test_an_elastic_training_has_as_many_workers_as_there_is_room_for() -> None:
    found = scaling(distribution={"kind": "elastic", "maxWorkers": 4})
    assert (found.fewest, found.workers) == (1, 4)
    assert scaling_arguments(found, None)["num_workers"] == (1, 4)
    assert Scaling(distribution=Elastic(min_workers=2, max_workers=3)).fewest == 2
    assert Scaling.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"workers": 3, "distribution": {"kind": "elastic", "maxWorkers": 4}}, "leave `workers` out"),
        ({"distribution": {"kind": "elastic", "minWorkers": 4, "maxWorkers": 4}}, "maxWorkers must be more"),
        ({"distribution": {"kind": "elastic"}}, "maxWorkers"),
        ({"distribution": {"kind": "tpu-slices"}}, "name it in `group`"),
        ({"workers": 1, "distribution": {"kind": "parameter-server"}}, "is for 2 or more"),
        ({"distribution": {"kind": "parameter-server", "staleness": -1}}, "staleness"),
        ({"distribution": {"kind": "mirrored"}}, "'data-parallel', 'elastic', 'tpu-slices', 'parameter-server'"),
    ],
)
def test_what_cannot_be_is_refused_and_the_refusal_says_what_to_do(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told.replace("`", ".")):
        scaling(**given)


def test_slices_of_tpus_need_a_group_that_has_some() -> None:
    found = scaling(workers=4, group="g", distribution={"kind": "tpu-slices"})
    assert "has no TPUs" in str(misfit(found, ChosenGroup(name="g", group=CPU)))
    assert misfit(found, ChosenGroup(name="g", group=V6E)) is None
    assert scaling_arguments(found, ChosenGroup(name="g", group=V6E))["topology"] == "4x4"


def test_slices_are_whole_at_the_fewest_workers_too() -> None:
    elastic = {"kind": "elastic", "minWorkers": 3, "maxWorkers": 8}
    assert "3 workers are no multiple of 4" in str(misfit(scaling(distribution=elastic), ChosenGroup(name="g", group=V6E)))


def test_a_cluster_of_its_own_is_as_large_as_an_elastic_training_can_become() -> None:
    found = scaling(group="g", distribution={"kind": "elastic", "maxWorkers": 21})
    assert nodes_needed(found, ChosenGroup(name="g", group=CPU)) == 3


def test_what_an_elastic_training_needs_at_least_is_held_against_the_cluster() -> None:
    def stack(**distribution: Any) -> None:
        config = {"training": {"scaling": {"distribution": {"kind": "elastic", **distribution}}}}
        ray = {"head": {"cpus": 2}, "workers": {"count": 0}}
        parse({"platform": {"kind": "local", "ray": ray}, "workloads": {"flights": config}}, "f", ["flights"])

    stack(maxWorkers=8)
    with pytest.raises(ConfigError, match=r"distribution\.minWorkers: 4 workers of 1 CPUs need more than there is"):
        stack(minWorkers=4, maxWorkers=8)


def test_a_parameter_server_keeps_its_bound() -> None:
    found = scaling(distribution={"kind": "parameter-server", "staleness": 2})
    assert found.distribution == ParameterServer(staleness=2)
    assert found.workers == 2
    assert found.model_dump(mode="json")["distribution"] == {"kind": "parameter-server", "staleness": 2}
