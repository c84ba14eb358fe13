"""What names a group of nodes: what the plugin refuses of it, what is asked of Ray, and that all else stays the same."""

from __future__ import annotations

from typing import Any

import pytest

from heliostat.controller.backends.ray_serve import identity_in
from heliostat.provider.checks import check
from heliostat.provider.declaring import desired_of
from heliostat.provider.properties import UNKNOWN, Properties
from heliostat.provider.train_job import TrainJobHandler, identity_of, why
from heliostat.rollout.model import identity
from heliostat.rollout.refusals import as_judged
from heliostat.serving.replica import actor_options
from heliostat.spec.groups import ChosenGroup, WorkerGroup, chosen
from heliostat.spec.rollouts import Desired, Runtime, ServingArguments
from heliostat.spec.serving_resources import ApplicationInputs
from heliostat.spec.training_resources import TrainJobInputs, TrainJobOutputs
from heliostat.spec.workload import Scaling

RUNTIME = Runtime(library="0.1.0", library_digest="b" * 64, library_uri="file:///library.zip")
A10G = WorkerGroup(kind="gpu", cpus=3, memory_gib=13, accelerator="A10G", accelerators=1, max=4)
EXPORTED = {"a10g": A10G.model_dump(mode="json", by_alias=True, exclude_none=True)}
TRAINING: dict[str, Any] = {
    "name": "flights",
    "code": {"root": "/r", "files": ["a"], "digest": "a" * 64},
    "entryPoint": "a:b",
    "dataset": {"uri": "file:///o/d", "digest": "c" * 64},
    "store": {"uri": "file:///o"},
    "ray": {"url": "http://ray"},
    "trackingUri": "http://mlflow",
}
APPLICATION: dict[str, Any] = {
    "name": "flights",
    "code": {"root": "/r", "files": ["a"], "digest": "a" * 64},
    "contract": "a:b",
    "modelUri": "models:/flights/1",
    "strategy": {"kind": "recreate"},
    "store": {"uri": "file:///o"},
    "trackingUri": "http://mlflow",
    "controller": {"url": "http://controller"},
}


def training(**changes: Any) -> TrainJobInputs:
    return TrainJobInputs.model_validate(TRAINING | changes)


def application(**changes: Any) -> ApplicationInputs:
    return ApplicationInputs.model_validate(APPLICATION | changes)


def refused(model: type[Any], given: dict[str, Any]) -> dict[str, str]:
    _, failures = check(model, Properties(given, frozenset()))
    return {failure.path: failure.reason for failure in failures}


def desired(**changes: Any) -> Desired:
    return desired_of(application(**changes), "file:///code.zip", RUNTIME)


def on(name: str, **scaling: Any) -> dict[str, Any]:
    return {"scaling": {"group": name, **scaling}, "group": chosen(EXPORTED, name)}


def test_a_group_that_fits_is_taken() -> None:
    assert refused(TrainJobInputs, TRAINING | on("a10g", workers=4)) == {}


def test_an_unknown_group_is_refused_with_those_that_there_are() -> None:
    assert refused(TrainJobInputs, TRAINING | on("h100")) == {"group": "the platform has no group 'h100'; there are: a10g"}
    found = refused(ApplicationInputs, APPLICATION | {"group": chosen(None, "h100")})
    assert "has no groups of nodes" in found["group"]


def test_a_group_that_is_too_small_is_refused_with_what_it_has() -> None:
    [reason] = refused(TrainJobInputs, TRAINING | on("a10g", workers=5)).values()
    assert "ask for 4 or fewer" in reason
    [reason] = refused(ApplicationInputs, APPLICATION | {"group": chosen(EXPORTED, "a10g"), "gpusPerReplica": 2}).values()
    assert "up to 1 GPUs" in reason


def test_a_group_that_is_not_known_yet_is_not_judged() -> None:
    assert refused(TrainJobInputs, TRAINING | {"scaling": {"group": "a10g", "workers": 99}, "group": UNKNOWN}) == {}


def test_the_identity_of_a_training_without_a_group_is_what_it_was_before_there_were_any() -> None:
    # Of the release before: a training must not run again because the library was upgraded.
    assert identity_of(training()) == "4be89f6c4b63dfabbda42fe1697836920f6df3d5da494a65ff42beac38671c19"
    assert "group" not in training().model_dump(mode="json", by_alias=True, exclude_none=True)


def test_a_training_on_another_group_is_another_one_and_what_the_group_has_decides_nothing() -> None:
    here = training(**on("a10g"))
    assert identity_of(here) != identity_of(training())
    larger = here.model_copy(update={"group": ChosenGroup(name="a10g", group=A10G.model_copy(update={"max": 9}))})
    assert identity_of(larger) == identity_of(here)
    assert "group" in TrainJobHandler().insignificant_inputs(here, larger), "nothing is to be updated for it"
    old = TrainJobOutputs(**dict(training()), digest="d" * 64, run_id="r", model_uri="m", metrics={})
    assert why(old, here) == ": its scaling changed (workers 2 -> 2 on a10g)"


def test_a_replica_on_a_group_asks_ray_for_its_accelerators() -> None:
    where = desired(group=chosen(EXPORTED, "a10g"), gpusPerReplica=1)
    assert where.placement is not None
    arguments = ServingArguments(
        application="flights", route_prefix="/_/flights/blue", public_path="/flights", replicas=1, cpus_per_replica=1.0,
        gpus_per_replica=1.0, placement=where.placement, max_ongoing_requests=8, version=where.version,
    )  # fmt: skip
    assert actor_options(arguments) == {
        "num_cpus": 1.0,
        "num_gpus": 1.0,
        "resources": {"heliostat-group:a10g": 0.001},
        "accelerator_type": "A10G",
    }
    assert identity_in(arguments.model_dump(mode="json", exclude_defaults=True)) == identity(where)


def test_replicas_move_when_their_group_is_another_one_and_stay_as_they_are_without_one() -> None:
    plain, there = desired(gpusPerReplica=1), desired(group=chosen(EXPORTED, "a10g"), gpusPerReplica=1)
    assert identity(plain) == f"{plain.version.digest}/1/1"
    assert identity(there) != identity(plain) and there.version.digest == plain.version.digest
    assert as_judged(there) != as_judged(plain)
    assert "placement" not in plain.model_dump_json()


@pytest.mark.parametrize("scaling", [Scaling(), Scaling(group="a10g")])
def test_scaling_is_read_as_it_is_written(scaling: Scaling) -> None:
    assert Scaling.model_validate(scaling.model_dump(mode="json")) == scaling
