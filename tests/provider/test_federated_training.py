"""FederatedTraining and ModelDelivery: what is trained once and adopted, what a preview tells, who is told to be missing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from ml_world import FakeRegistry, World
from pydantic import ValidationError

from heliostat.provider import federated_training
from heliostat.provider.federated_training import FederatedTrainingHandler
from heliostat.provider.model_delivery import ModelDeliveryHandler
from heliostat.spec.federated import delivery_key
from heliostat.spec.model_resources import ModelDeliveryInputs
from heliostat.spec.training_resources import FederatedTrainingInputs
from heliostat.systems.errors import PermanentError
from heliostat.systems.mlflow_registry import Run
from heliostat.systems.objects import open_store
from heliostat.testing.jobs import JobResult

TRAINING, DELIVERY = FederatedTrainingHandler(), ModelDeliveryHandler()
SITES = {name: {"token_sha256": hashlib.sha256(name.encode()).hexdigest()} for name in ("berlin", "lyon", "oslo")}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    world.install(monkeypatch)
    monkeypatch.setattr(federated_training, "open_registry", lambda inputs: FakeRegistry(world))

    def trained(specification: dict[str, Any]) -> JobResult:
        sites = {name: {"rows": 7, "dataDigest": "a" * 64} for name in specification["sites"] if name != "oslo"}
        tags = {
            "heliostat.training": specification["digest"], "heliostat.complete": "true",
            "heliostat.model_uri": "models:/m-1", "heliostat.sites": json.dumps(sites),
        }  # fmt: skip
        metrics = {"accuracy": 0.9, "loss": 0.1, "site_berlin_loss": 0.2, "moved": 0.1}
        world.runs["run"] = Run("run", "FINISHED", "1", tags, metrics, {})
        return JobResult()

    world.outcome = trained
    return world


def inputs(world: World, **changes: Any) -> FederatedTrainingInputs:
    given = {
        "name": "digits", "code": world.code, "entry_point": "workloads.digits.federated:FEDERATION",
        "dataset": world.dataset, "sites": SITES, "coordinator": {"port": 8790}, "rounds": 4, "min_sites": 2,
        "store": world.store, "ray": world.ray, "tracking_uri": "http://mlflow", **changes,
    }  # fmt: skip
    return FederatedTrainingInputs(**given)


async def test_it_is_trained_once_and_adopted_from_then_on(world: World) -> None:
    first = await TRAINING.create(world.context, inputs(world))
    again = await TRAINING.create(world.context, inputs(world))
    assert first == again
    assert len(world.submitted) == 1
    assert "heliostat.jobs.federate" in world.submitted[0]["entrypoint"]
    assert first.outputs.rows == {"berlin": 7, "lyon": 7}
    assert first.outputs.metrics == {"accuracy": 0.9, "loss": 0.1}
    assert "the last round was without oslo" in world.told["warn"][0]


@pytest.mark.parametrize(
    "changes", [{"rounds": 5}, {"data_version": "2026-12"}, {"secure_aggregation": True, "min_sites": 3}, {"tolerance": 0.1}]
)
async def test_other_rules_or_another_data_version_train_again(world: World, changes: dict[str, Any]) -> None:
    first = await TRAINING.create(world.context, inputs(world))
    await TRAINING.update(world.context, "", first.outputs, inputs(world, **changes))
    assert len(world.submitted) == 2


async def test_another_port_deadline_or_token_trains_nothing(world: World) -> None:
    first = await TRAINING.create(world.context, inputs(world))
    sites = {**SITES, "oslo": {"token_sha256": "0" * 64}}
    changed = inputs(world, coordinator={"port": 9000}, round_seconds=5.0, sites=sites)
    assert {"coordinator", "round_seconds", "sites"} <= TRAINING.insignificant_inputs(first.outputs, changed)
    await TRAINING.update(world.context, "", first.outputs, changed)
    assert len(world.submitted) == 1


async def test_a_preview_tells_of_sites_rounds_and_what_noise_is_worth(world: World) -> None:
    noise = {"clip": 1.0, "noise_multiplier": 1.0}
    await TRAINING.preview(world.context, None, inputs(world, privacy=noise, rounds=1))
    told = "\n".join(world.told["info"])
    assert "will train digits over 3 sites (at least 2 a round), up to 1 rounds" in told
    assert "berlin, lyon, oslo: each runs `heliostat site run NAME --coordinator http://127.0.0.1:8790 --rows FOLDER`" in told
    assert "after 1 rounds ε = 4.38 at δ = 1e-05, for all rows of a site" in told
    assert world.told["warn"] == []


async def test_a_first_preview_tells_the_same_before_there_is_anything(world: World) -> None:
    before = {name: value for name, value in TRAINING.preview_placeholders.items() if value is not None}
    await TRAINING.preview(world.context, None, inputs(world, **before))
    assert "will train digits over 3 sites" in world.told["info"][0]


async def test_a_preview_of_the_same_tells_nothing(world: World) -> None:
    first = await TRAINING.create(world.context, inputs(world))
    world.told["info"].clear()
    await TRAINING.preview(world.context, first.outputs, inputs(world))
    assert world.told["info"] == []


async def test_no_token_is_in_what_the_job_is_told_but_their_hashes(world: World) -> None:
    await TRAINING.create(world.context, inputs(world))
    assert world.submitted[0]["sites"]["berlin"] == {"tokenSha256": SITES["berlin"]["token_sha256"]}


async def test_a_job_that_fails_says_why_and_nothing_is_there(world: World) -> None:
    world.outcome = lambda specification: JobResult(status="FAILED", message="it took more than 5 s")
    with pytest.raises(PermanentError, match="the federated training of digits failed"):
        await TRAINING.create(world.context, inputs(world))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"min_sites": 4}, "minSites is 4 and there are 3 sites"),
        ({"secure_aggregation": True}, "hides nothing with minSites 2"),
        ({"sites": dict.fromkeys(SITES, SITES["berlin"])}, "berlin, lyon, oslo have the same token"),
        ({"coordinator": {"port": 8790, "host": "10.0.0.1"}}, "tokens would go in clear"),
        ({"coordinator": {"port": 8790, "key": "/k"}}, "belong together"),
    ],
)
def test_what_cannot_be_done_is_refused(world: World, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        inputs(world, **changes)


def package(world: World, **changes: Any) -> ModelDeliveryInputs:
    given = {
        "name": "digits", "distribution": "digits-model", "file": "digits_model-1.0-py3-none-any.whl", "version": "1.0",
        "sha256": "b" * 64, "sites": SITES, "coordinator": {"port": 8790}, "code": world.code, "store": world.store,
        "ray": world.ray, **changes,
    }  # fmt: skip
    return ModelDeliveryInputs(**given)


def taken_by(world: World, *names: str) -> None:
    def delivered(specification: dict[str, Any]) -> JobResult:
        for name in names:
            open_store(world.store).put(delivery_key("digits", specification["package"]["sha256"], name), b"{}")
        return JobResult()

    world.outcome = delivered


async def test_sites_that_have_a_package_are_not_asked_again(world: World) -> None:
    taken_by(world, *SITES)
    first = await DELIVERY.create(world.context, package(world))
    again = await DELIVERY.create(world.context, package(world))
    assert first.outputs.delivered == again.outputs.delivered == ("berlin", "lyon", "oslo")
    assert len(world.submitted) == 1
    assert await DELIVERY.read(world.context, "", first.outputs) == first.outputs


async def test_a_site_that_did_not_come_is_told_and_offered_the_package_again(world: World) -> None:
    taken_by(world, "berlin", "lyon")
    first = await DELIVERY.create(world.context, package(world))
    assert first.outputs.delivered == ("berlin", "lyon")
    assert "oslo did not ask for digits_model-1.0-py3-none-any.whl" in world.told["warn"][0]
    assert await DELIVERY.read(world.context, "", first.outputs) is None
    taken_by(world, "oslo")
    assert len((await DELIVERY.create(world.context, package(world))).outputs.delivered) == 3


async def test_a_preview_of_a_delivery_names_who_will_be_asked(world: World) -> None:
    await DELIVERY.preview(world.context, None, package(world, sha256="0" * 64))
    assert world.told["info"] == ["will offer the next package to berlin, lyon, oslo for 60 s"]
