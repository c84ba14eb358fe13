"""What decides how the parts of the platform `kubernetes` are; pure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from heliostat.platforms.kubernetes import controller, mlflow, network, postgres, redis
from heliostat.platforms.kubernetes.cluster import operator_values
from heliostat.platforms.kubernetes.ray_cluster import Workers, labels_slices, ray_cluster
from heliostat.platforms.kubernetes.site import CONTROLLER, MLFLOW, POSTGRES, RAY, REDIS, TRAFFIC, Site
from heliostat.spec.controller import ControllerSettings
from heliostat.spec.machines import worker_groups, worker_shape
from heliostat.spec.platforms.cluster import ControllerPod, MLflow, Operator, Redis
from heliostat.spec.platforms.kubernetes import KubernetesPlatform
from tests.platforms import strict
from tests.platforms.kubernetes_config import IMAGE, PLATFORM

ALL = (RAY, CONTROLLER, TRAFFIC, MLFLOW, POSTGRES, REDIS)


def site(**tags: str) -> Site:
    declared = KubernetesPlatform.model_validate(PLATFORM)
    return Site("ml", declared.tags.model_copy(update=tags), IMAGE)


def cluster(at: Site | None = None, release: str = "2.60.0", **changes: Any) -> dict[str, Any]:
    declared = KubernetesPlatform.model_validate({**PLATFORM, **changes})
    workers = [Workers(name, group, worker_shape(group, None, name)) for name, group in declared.groups.items()]
    return ray_cluster(at or site(), declared.ray, declared.redis, "redis://redis:6379", release, workers)


def name_of(made: dict[str, Any]) -> str:
    return str(made["metadata"]["name"])


def group(**changes: Any) -> dict[str, Any]:
    return {**PLATFORM["groups"], "cpu": {**PLATFORM["groups"]["cpu"], **changes}}


def test_how_many_workers_there_may_be_is_changed_in_place():
    assert name_of(cluster(groups=group(min=0, max=9))) == name_of(cluster())
    assert cluster(groups=group(max=9)) != cluster()


def test_whose_it_is_makes_no_other_cluster():
    assert name_of(cluster(site(owner="speech"))) == name_of(cluster())


@pytest.mark.parametrize(
    "changes",
    [
        {"groups": group(cpus=8)},
        {"groups": {"cpu": PLATFORM["groups"]["cpu"]}},
        {"ray": {"memoryGib": 16}},
        {"release": "2.61.0"},
    ],
    ids=["a worker's size", "a group less", "the head's size", "another Ray"],
)
def test_what_kuberay_would_not_do_with_pods_that_run_makes_a_cluster_beside_them(changes):
    assert name_of(cluster(**changes)) != name_of(cluster())


def test_the_order_of_groups_means_nothing():
    assert cluster(groups=dict(reversed(PLATFORM["groups"].items()))) == cluster()


def test_the_name_leaves_room_for_what_kuberay_makes_of_it():
    assert len(name_of(cluster())) <= 53


def affinity_of(keeps_slices_whole: bool = True, **group: Any) -> dict[str, Any] | None:
    """Of the workers of a group, in a cluster that somebody else made."""
    declared = KubernetesPlatform.model_validate({**PLATFORM, "groups": {"one": {"max": 2, **group}}})
    workers = Workers("one", declared.groups["one"], worker_shape(declared.groups["one"], None, "one"), keeps_slices_whole)
    made = ray_cluster(site(), declared.ray, declared.redis, "redis://redis:6379", "2.60.0", [workers])
    spec: dict[str, Any] = made["spec"]["workerGroupSpecs"][0]["template"]["spec"]
    assert strict.mistakes_in({"kind": "Pod", "spec": spec}) == []
    return spec.get("affinity")


def test_the_pods_of_a_slice_are_in_one_node_pool_and_no_others_are():
    found = affinity_of(kind="tpu", type="v6e", topology="4x4")
    assert found is not None
    together, apart = (
        found[kind]["requiredDuringSchedulingIgnoredDuringExecution"][0] for kind in ("podAffinity", "podAntiAffinity")
    )
    assert together["topologyKey"] == apart["topologyKey"] == "cloud.google.com/gke-nodepool"
    assert together["matchLabelKeys"] == apart["mismatchLabelKeys"] == ["ray.io/worker-group-replica-name"]
    # Another stack's are in another namespace.
    assert apart["namespaceSelector"] == {}


@pytest.mark.parametrize(
    "group",
    [
        {"kind": "tpu", "type": "v6e", "topology": "2x4"},
        {"kind": "gpu", "type": "L4", "cpus": 6, "memoryGib": 24},
        {"kind": "cpu", "cpus": 4, "memoryGib": 16},
    ],
    ids=["a slice of one host", "GPUs", "CPUs"],
)
def test_pods_that_belong_to_no_slice_of_several_hosts_go_where_there_is_room(group):
    assert affinity_of(**group) is None


def test_where_the_operator_does_not_label_slices_pods_do_not_ask_for_its_label():
    """They would all be taken for one slice's."""
    assert affinity_of(keeps_slices_whole=False, kind="tpu", type="v6e", topology="4x4") is None
    assert [labels_slices(Operator(version=each)) for each in ("1.6.9", "1.7.0", "1.10.0")] == [False, True, True]


def test_a_redis_without_a_password_gets_none():
    options = cluster(redis={"address": "redis://10.0.0.9:6379"})["spec"]["gcsFaultToleranceOptions"]
    assert "redisPassword" not in options
    options = cluster(redis={"address": "redis://10.0.0.9:6379", "passwordSecret": "mine"})["spec"]["gcsFaultToleranceOptions"]
    assert options["redisPassword"]["valueFrom"]["secretKeyRef"] == {"name": "mine", "key": "password"}


def test_a_redis_that_is_there_is_not_made():
    assert redis.manifests(site(), Redis(address="redis://10.0.0.9:6379")) == []
    assert redis.address(site(), Redis(address="rediss://10.0.0.9:6380")) == "rediss://10.0.0.9:6380"


def test_an_operators_image_by_digest_comes_out_of_the_chart_as_it_was_said():
    digest = "b" * 64
    values = operator_values(Operator(image=f"registry.example/operator@sha256:{digest}"), "ml")
    assert f"{values['image']['repository']}:{values['image']['tag']}" == f"registry.example/operator@sha256:{digest}"
    assert "image" not in operator_values(Operator(), "ml")


def test_mlflow_answers_by_its_services_names_and_whatever_the_config_adds():
    assert mlflow.hosts(site(), MLflow(), None) == "*"
    admitted = str(mlflow.hosts(site(), MLflow(hosts=("10.1.0.1:6443",)), None)).split(",")
    assert {"mlflow.ml.svc:5000", "localhost:5000", "10.1.0.1:6443"} <= set(admitted)
    assert "*" not in admitted


def test_a_revision_tells_another_password_from_this_one_to_who_has_the_key():
    assert mlflow.revision_of("key", "a") == mlflow.revision_of("key", "a")
    assert len({mlflow.revision_of("key", "a"), mlflow.revision_of("key", "b"), mlflow.revision_of("other", "a")}) == 3


def test_the_controllers_settings_are_what_it_reads():
    text = controller.settings(site(), "ray-1", {"uri": "s3://models"}, "http://traffic.ml.svc")
    if "traffic_plane" not in ControllerSettings.model_fields:
        pytest.skip("the traffic plane of several is not in this checkout")
    found = ControllerSettings.model_validate_json(text)
    assert found.public_url == "http://traffic.ml.svc"
    assert found.inputs.ray.url == "http://ray-1.ml.svc:8265"


def test_the_controller_knows_what_the_groups_may_come_to_and_how_long_their_nodes_may_take():
    groups = KubernetesPlatform.model_validate(PLATFORM).groups
    known = controller.brought(ControllerPod(node_timeout_seconds=600), worker_groups(groups, dict.fromkeys(groups)))
    text = controller.settings(site(), "ray-1", {"uri": "s3://a"}, "http://x.ml.svc", known)
    found = ControllerSettings.model_validate_json(text)
    assert {name: group.most for name, group in found.groups.items()} == {"cpu": 4, "l4": 8, "v6e": 8}
    assert found.node_timeout_seconds == 600


def test_other_settings_make_another_digest():
    assert json.loads(controller.settings(site(), "ray-1", {"uri": "s3://a"}, "http://x.ml.svc")) != json.loads(
        controller.settings(site(), "ray-1", {"uri": "s3://b"}, "http://x.ml.svc")
    )


def reaches(policies: list[dict[str, Any]], source: str, target: str, port: int) -> bool:
    """Whether pods of a part get to a port of another, as a network plugin would judge."""
    for policy in policies:
        if policy["spec"]["podSelector"].get("matchLabels", {}).get("heliostat/part") != target:
            continue
        for rule in policy["spec"].get("ingress", []):
            pods = [each["podSelector"]["matchLabels"] for each in rule["from"] if each.keys() == {"podSelector"}]
            ports = [(each["port"], each.get("endPort", each["port"])) for each in rule.get("ports", [])] or [(1, 65_535)]
            if {"heliostat/part": source} in pods and any(first <= port <= last for first, last in ports):
                return True
    return False


@pytest.fixture(scope="module")
def policies() -> list[dict[str, Any]]:
    outside = network.Outside(api_server=["10.1.0.0/24"], clients=["0.0.0.0/0"], prometheus="monitoring", operator="ml")
    return network.policies(site(), outside, ALL)


@pytest.mark.parametrize(
    ("source", "target", "port", "gets_there"),
    [
        (TRAFFIC, RAY, 25_000, True),
        (TRAFFIC, RAY, 25_199, True),
        (TRAFFIC, RAY, 25_200, False),
        (TRAFFIC, RAY, 8265, False),
        (CONTROLLER, RAY, 8265, True),
        (CONTROLLER, RAY, 25_100, True),
        (RAY, RAY, 6379, True),
        (MLFLOW, RAY, 25_000, False),
        (RAY, MLFLOW, 5000, True),
        (CONTROLLER, MLFLOW, 5000, True),
        (TRAFFIC, MLFLOW, 5000, False),
        (MLFLOW, POSTGRES, 5432, True),
        (RAY, POSTGRES, 5432, False),
        (CONTROLLER, POSTGRES, 5432, False),
        (RAY, REDIS, 6379, True),
        (CONTROLLER, REDIS, 6379, False),
        (TRAFFIC, CONTROLLER, 8500, True),
        (RAY, CONTROLLER, 8500, False),
        (TRAFFIC, TRAFFIC, 8081, True),
        (RAY, TRAFFIC, 8081, False),
        (CONTROLLER, TRAFFIC, 8080, True),
    ],
)
def test_who_reaches_whom(policies, source, target, port, gets_there):
    assert reaches(policies, source, target, port) is gets_there


def test_all_that_no_policy_lets_in_stays_out(policies):
    default = next(each for each in policies if each["metadata"]["name"] == "default-deny")
    assert default["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}


def test_every_part_has_a_policy_and_no_other(policies):
    named = {each["metadata"]["name"] for each in policies}
    assert named == {*ALL, "default-deny"}
    outside = network.Outside(api_server=[], clients=[], prometheus=None, operator="ml")
    fewer = network.policies(site(), outside, (RAY, MLFLOW))
    assert {each["metadata"]["name"] for each in fewer} == {RAY, MLFLOW, "default-deny"}


def test_an_empty_list_of_sources_is_never_written_as_it_would_let_everybody_in():
    outside = network.Outside(api_server=[], clients=[], prometheus=None, operator="ml")
    for policy in network.policies(site(), outside, ALL):
        assert all(rule["from"] for rule in policy["spec"].get("ingress", []))


def test_a_database_is_reached_by_its_services_name():
    assert postgres.uri(site(), "pw") == "postgresql://mlflow:pw@postgres.ml.svc:5432/postgres"


def test_an_image_without_a_digest_is_refused_with_what_to_write():
    with pytest.raises(ValidationError, match=r"registry\.example/heliostat:1 names no digest: write REGISTRY/NAME@sha256:"):
        KubernetesPlatform.model_validate({**PLATFORM, "image": "registry.example/heliostat:1"})
