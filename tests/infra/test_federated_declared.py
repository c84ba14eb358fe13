"""A workload that is trained over sites, as the program declares it, and the mistakes that its config can have."""

from __future__ import annotations

from typing import Any

import pytest
from test_program import LOCAL, run

from heliostat.spec.model_resources import ModelDeliveryInputs, ModelVersionInputs
from heliostat.spec.stack import ConfigError, parse
from heliostat.spec.training_resources import FederatedTrainingInputs

SITES = {"berlin": {"tokenSha256": "a" * 64}, "lyon": {"tokenSha256": "b" * 64}}
FEDERATED = {"sites": SITES, "coordinator": {"port": 8790}}


def declared(**digits: Any) -> dict[str, Any]:
    found: dict[str, Any] = run({"platform": LOCAL, "workloads": {"digits": digits}})
    return found


def test_it_takes_the_place_of_a_training_and_its_model_is_judged_as_any_other() -> None:
    found = declared(federated={**FEDERATED, "rounds": 3}, training={"parameters": {"seed": 3}})
    assert "heliostat:index:TrainJob" not in found
    training = FederatedTrainingInputs.model_validate(found["heliostat:index:FederatedTraining"])
    assert (training.name, training.rounds, sorted(training.sites)) == ("digits", 3, ["berlin", "lyon"])
    assert training.entry_point == "workloads.digits.federated:FEDERATION"
    assert training.parameters["seed"] == 3
    assert "workloads/digits/federated.py" in training.code.files
    assert ModelVersionInputs.model_validate(found["heliostat:index:ModelVersion"]).pin is None
    assert "heliostat:index:ModelDelivery" not in found, "there is no package to deliver"


def test_a_package_goes_back_to_the_sites() -> None:
    found = declared(federated=FEDERATED, package={})
    of_the_package = {"file": "digits_model-1.0-py3-none-any.whl", "version": "1.0", "sha256": "c" * 64}
    delivery = ModelDeliveryInputs.model_validate({**found["heliostat:index:ModelDelivery"], **of_the_package})
    assert (delivery.name, delivery.coordinator.port, sorted(delivery.sites)) == ("digits", 8790, ["berlin", "lyon"])


def test_a_workload_without_it_is_declared_as_before() -> None:
    assert not {"heliostat:index:FederatedTraining", "heliostat:index:ModelDelivery"} & declared(package={}).keys()


@pytest.mark.parametrize(
    ("digits", "told"),
    [
        ({"federated": {**FEDERATED, "minSites": 3}}, "minSites is 3 and there are 2 sites"),
        ({"federated": {**FEDERATED, "secureAggregation": True}}, "hides nothing with minSites 2"),
        ({"federated": {**FEDERATED, "sites": dict.fromkeys(SITES, SITES["lyon"])}}, "have the same token"),
        ({"federated": {**FEDERATED, "coordinator": {"port": 80}}}, "federated.coordinator.port"),
        ({"federated": {**FEDERATED, "coordinator": {"port": 8790, "host": "0.0.0.0"}}}, "tokens would go in clear"),
        ({"federated": {**FEDERATED, "sites": {"berlin": {"tokenSha256": "secret"}}}}, "federated.sites.berlin.tokenSha256"),
        ({"federated": FEDERATED, "training": {"scaling": {"workers": 3}}}, "training.scaling would do nothing"),
        ({"federated": FEDERATED, "model": "models:/digits/1"}, "`model` pins a version"),
        ({"federated": FEDERATED, "mlflow": "models:/digits/1"}, "`federated`"),
    ],
)
def test_mistakes_are_told_before_anything_starts(digits: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told.replace("(", r"\(")):
        parse({"platform": LOCAL, "workloads": {"digits": digits}}, "file", ["digits"])


def test_two_coordinators_at_one_port_are_told() -> None:
    workloads = {name: {"federated": FEDERATED} for name in ("digits", "flights")}
    with pytest.raises(
        ConfigError, match=r"flights\.federated\.coordinator\.port: 8790 is the port of digits's coordinator too"
    ):
        parse({"platform": LOCAL, "workloads": workloads}, "file", ["digits", "flights"])
