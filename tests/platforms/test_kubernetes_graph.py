"""The whole graph of the platform `kubernetes`, as the embedded engine makes it."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heliostat.engine.state.snapshot import Secret
from heliostat.resources import Platform
from heliostat.spec.addresses import Access, ControllerAddress, RayAddress, RayClusterAddress
from tests.platforms import golden
from tests.platforms.kubernetes_config import CONFIG, changed
from tests.platforms.recorded_stack import UNKNOWN, RecordedStack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> RecordedStack:
    """Previewed, made, and made once more."""
    made = RecordedStack(tmp_path_factory.mktemp("kubernetes"), copy.deepcopy(CONFIG))
    assert asyncio.run(made.preview()).succeeded, made.errors()
    assert made.world() == {}
    assert asyncio.run(made.up()).succeeded, made.errors()
    return made


def test_the_plan_is_the_one_that_was_reviewed(stack: RecordedStack) -> None:
    golden.check("kubernetes", stack.plan())


def test_only_what_is_made_of_a_new_secret_is_unknown_before(stack: RecordedStack) -> None:
    unknown = {(each["name"], path) for each in stack.plan() for path in _unknown(each.get("inputs", {}), "")}
    assert unknown == {("mlflow", ".spec.template.metadata.annotations.heliostat/database")}


def test_no_secret_stands_in_clear_in_the_state(stack: RecordedStack) -> None:
    assert "sesame" not in stack.stored()
    tokens = [each for each in stack.resources() if each.type == "heliostat:index:Token"]
    assert len(tokens) == 5
    assert all(isinstance(each.outputs["value"], Secret) for each in tokens)


def test_what_is_exported_are_addresses_that_anybody_can_open(stack: RecordedStack) -> None:
    exported = stack.outputs()["platform"]
    ray, controller = (
        kind.model_validate(exported[key]) for kind, key in ((RayAddress, "ray"), (ControllerAddress, "controller"))
    )
    assert ray.url == f"http://{exported['raySession']}.ml.svc:8265"
    assert controller.credential.name == "controller-token"
    assert ray.credential.context == ray.proxy.context == "prod"
    assert Access.model_validate(exported["trackingAccess"]).proxy.context == "prod"
    assert exported["trackingUri"] == "http://mlflow.ml.svc:5000"
    assert exported["publicUrl"] == "http://traffic.ml.svc"
    assert exported["store"] == {"uri": "s3://models", "endpoint": "http://10.0.0.4:9000"}
    assert exported["raySession"] in {each["name"] for each in stack.plan()}
    assert exported["groups"].keys() == {"cpu", "l4", "v6e"}
    pattern = RayClusterAddress.model_validate(exported["rayCluster"])
    assert (pattern.namespace, pattern.name, pattern.context) == ("ml", exported["raySession"], "prod")
    assert Platform.__dataclass_fields__.keys() >= {"groups"}


def test_nothing_is_made_before_the_cluster_was_looked_at(stack: RecordedStack) -> None:
    looked_at = stack.resource("heliostat:index:ExistingCluster", "cluster").urn
    for each in stack.resources():
        if each.type.startswith("kubernetes:"):
            assert looked_at in each.dependencies, each.urn


def test_a_secret_and_an_account_are_there_before_the_pods_that_have_them(stack: RecordedStack) -> None:
    order = [(each.type.rpartition(":")[2], each.urn.rpartition("::")[2]) for each in stack.resources()]
    cluster = next(index for index, (kind, _) in enumerate(order) if kind == "RayCluster")
    first = [("Secret", "ray-token"), ("Secret", "redis-password"), ("ServiceAccount", "ray"), ("NetworkPolicy", "ray")]
    first += [("StatefulSet", "redis"), ("Release", "kuberay-operator")]
    assert all(order.index(each) < cluster for each in first)
    assert order.index(("StatefulSet", "postgres")) < order.index(("Deployment", "mlflow"))
    assert order.index(("StatefulSet", "controller")) < order.index(("Deployment", "traffic"))


def test_a_second_time_nothing_is_to_do_and_a_change_touches_what_it_should_and_no_more(stack: RecordedStack) -> None:
    platform = stack.config["heliostat:platform"]
    assert asyncio.run(stack.up()).succeeded, stack.errors()
    assert stack.touched() == []
    assert stack.told("warning") == ""
    # As a refresh reads it, after the autoscaler brought workers: they stay when something else changes.
    cluster = next(each for each in stack.resources() if each.type.endswith("RayCluster"))
    cluster.inputs["spec"]["workerGroupSpecs"][1]["replicas"] = 5
    platform["traffic"] = {"pods": 3}
    platform["groups"]["l4"]["max"] = 9
    assert asyncio.run(stack.up()).succeeded, stack.errors()
    kinds = [each.rpartition(" ")[0] for each in stack.touched() if "pulumi:pulumi:Stack" not in each]
    # The controller is told what the groups may come to.
    assert sorted(kinds) == [
        "update kubernetes:apps/v1:Deployment",
        "update kubernetes:apps/v1:StatefulSet",
        "update kubernetes:core/v1:ConfigMap",
        "update kubernetes:ray.io/v1:RayCluster",
    ]
    cluster = next(each for each in stack.resources() if each.type.endswith("RayCluster"))
    assert [each["replicas"] for each in cluster.inputs["spec"]["workerGroupSpecs"]] == [1, 5, 0]
    platform["ray"] = {"memoryGib": 16}
    assert asyncio.run(stack.up()).succeeded, stack.errors()
    kinds = [each.rpartition(" ")[0] for each in stack.touched() if "pulumi:pulumi:Stack" not in each]
    # The new cluster is there, and the controller works on it, and nothing is left on the old one, before that goes.
    assert kinds[:2] == ["create kubernetes:ray.io/v1:RayCluster", "create kubernetes:core/v1:Service"]
    assert sorted(kinds[2:4]) == ["update kubernetes:apps/v1:StatefulSet", "update kubernetes:core/v1:ConfigMap"]
    assert kinds[4:] == [
        "update heliostat:index:Handover",
        "delete kubernetes:core/v1:Service",
        "delete kubernetes:ray.io/v1:RayCluster",
    ]
    assert asyncio.run(stack.destroy()).succeeded, stack.errors()
    assert stack.world() == {}


async def test_what_is_there_is_not_made_and_a_load_balancer_is_where_clients_go(tmp_path: Path) -> None:
    own = changed(
        operator={"install": False, "namespace": "kuberay"},
        redis={"address": "redis://10.0.0.9:6379"},
        database={"kind": "postgres", "secret": "mine"},
        monitoring={"serviceMonitors": False, "dashboards": False},
        traffic={"service": "LoadBalancer"},
    )
    stack = RecordedStack(tmp_path, own)
    assert (await stack.up()).succeeded, stack.errors()
    made = {(each.type.rpartition(":")[2], each.urn.rpartition("::")[2]) for each in stack.resources()}
    assert not {kind for kind, _ in made} & {"Release", "PodMonitor", "ServiceMonitor", "Namespace"}
    assert not {name for _, name in made} & {"redis", "postgres", "redis-password", "mlflow-database", "heliostat-rollouts"}
    assert stack.outputs()["platform"]["publicUrl"] == "http://traffic.elb.example"
    server = stack.resource("kubernetes:apps/v1:Deployment", "mlflow").inputs["spec"]["template"]["spec"]["containers"][0]
    uri = next(each for each in server["env"] if each["name"] == "MLFLOW_BACKEND_STORE_URI")
    assert uri["valueFrom"] == {"secretKeyRef": {"name": "mine", "key": "uri"}}
    rules = stack.resource("kubernetes:networking.k8s.io/v1:NetworkPolicy", "ray").inputs["spec"]["ingress"]
    assert "kuberay" in repr(rules)


async def test_a_resource_that_fails_leaves_a_stack_that_can_be_finished_and_taken_down(tmp_path: Path) -> None:
    stack = RecordedStack(tmp_path, copy.deepcopy(CONFIG), environment={"RECORDING_FAIL": "mlflow"})
    assert not (await stack.up()).succeeded
    assert "mlflow was told to fail" in stack.errors()
    stack.environment.clear()
    assert (await stack.up()).succeeded, stack.errors()
    assert (await stack.destroy()).succeeded, stack.errors()
    assert stack.world() == {}


def _unknown(value: Any, path: str) -> Iterator[str]:
    if value == UNKNOWN:
        yield path
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _unknown(each, f"{path}.{key}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _unknown(each, f"{path}[{number}]")
