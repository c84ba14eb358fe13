"""Every manifest of the reviewed plan of the platform `kubernetes`, without a cluster."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from heliostat.platforms.kubernetes.ray_cluster import REPLICA_PORTS
from heliostat.spec.addresses import service_of
from heliostat.systems import mlflow_database
from tests.platforms import golden, strict
from tests.platforms.kubernetes_config import IMAGE

PLAN = golden.load("kubernetes")
OBJECTS = [each for each in PLAN if re.match(r"kubernetes:(?!helm)", each["type"])]


def manifest(entry: dict[str, Any]) -> dict[str, Any]:
    group, version_kind = entry["type"].removeprefix("kubernetes:").split("/", 1)
    version, kind = version_kind.split(":")
    api = version if group == "core" else f"{group}/{version}"
    return {**entry["inputs"], "apiVersion": entry["inputs"].get("apiVersion", api), "kind": kind}


def named(kind: str, name: str) -> dict[str, Any]:
    return next(manifest(each) for each in OBJECTS if each["type"].endswith(f":{kind}") and each["name"] == name)


def pods() -> list[tuple[str, dict[str, Any]]]:
    """Every pod's specification, with whose it is."""
    found = []
    for each in map(manifest, OBJECTS):
        if each["kind"] in ("Deployment", "StatefulSet"):
            found.append((each["metadata"]["name"], each["spec"]["template"]))
        if each["kind"] == "RayCluster":
            groups = [each["spec"]["headGroupSpec"], *each["spec"]["workerGroupSpecs"]]
            found += [(f"ray {group.get('groupName', 'head')}", group["template"]) for group in groups]
    return found


def containers() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{whose}/{each['name']}", each)
        for whose, template in pods()
        for each in [*template["spec"]["containers"], *template["spec"].get("initContainers", [])]
    ]


@pytest.mark.parametrize("entry", OBJECTS, ids=lambda each: f"{each['type'].rpartition(':')[2]} {each['name']}")
def test_a_manifest_has_no_key_that_kubernetes_does_not_know(entry):
    found = manifest(entry)
    if found["kind"] in ("RayCluster", "PodMonitor", "ServiceMonitor"):
        pytest.skip("a kind of somebody else's")
    if found["kind"] == "Secret":
        found["stringData"] = {"what": "a plan does not show"}
    assert strict.mistakes_in(found) == []


def test_a_misspelt_key_would_be_found():
    broken = manifest(next(each for each in OBJECTS if each["name"] == "traffic" and each["type"].endswith("Deployment")))
    broken["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    assert strict.mistakes_in(broken) == ["Deployment.spec.template.spec.containers[0].readinesProbe is not known"]
    del broken["spec"]["template"]["spec"]["containers"][0]["readinesProbe"]


@pytest.mark.skipif(not strict.DEFINITIONS.exists(), reason="KubeRay's definitions are not on this machine")
def test_the_ray_cluster_is_as_its_definition_says():
    found = next(manifest(each) for each in OBJECTS if each["type"].endswith("RayCluster"))
    schema = strict.definition("rayclusters")
    assert list(strict.mistakes_by_definition(found, schema, "RayCluster")) == []
    found["spec"]["workerGroupSpecs"][0]["numOfHost"] = 1
    assert list(strict.mistakes_by_definition(found, schema, "RayCluster")) == [
        "RayCluster.spec.workerGroupSpecs[0].numOfHost is not known"
    ]
    del found["spec"]["workerGroupSpecs"][0]["numOfHost"]


def test_everything_says_whose_it_is():
    for each in map(manifest, OBJECTS):
        labels = each["metadata"]["labels"]
        assert (labels["owner"], labels["environment"], labels["cost-centre"]) == ("vision", "production", "cc-42")
    for whose, template in pods():
        assert template["metadata"]["labels"]["owner"] == "vision", whose


def test_everything_is_in_the_namespace():
    assert {each["metadata"].get("namespace") for each in map(manifest, OBJECTS)} == {"ml"}


@pytest.mark.parametrize(("whose", "found"), containers(), ids=lambda each: each if isinstance(each, str) else "")
def test_a_container_is_of_the_image_and_keeps_to_the_restricted_profile(whose, found):
    security = found["securityContext"]
    assert found["image"] == IMAGE
    assert security["runAsNonRoot"]
    assert security["runAsUser"] > 0
    assert security["readOnlyRootFilesystem"]
    assert not security["allowPrivilegeEscalation"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert found["resources"]["requests"] == found["resources"]["limits"]
    assert {"cpu", "memory"} <= found["resources"]["limits"].keys()


def test_no_account_but_that_of_rays_head_asks_the_api():
    asking = [whose for whose, template in pods() if template["spec"].get("automountServiceAccountToken") is not False]
    assert asking == ["ray head"]


def test_each_pod_has_the_account_of_its_part():
    accounts = {each["name"] for each in OBJECTS if each["type"].endswith(":ServiceAccount")}
    for whose, template in pods():
        assert template["spec"]["serviceAccountName"] == whose.split()[0]
        assert template["spec"]["serviceAccountName"] in accounts


def test_no_secret_is_in_the_plan_and_none_is_an_argument_or_a_plain_variable():
    for each in map(manifest, OBJECTS):
        if each["kind"] == "Secret":
            assert each["stringData"] == "(secret)"
    for whose, found in containers():
        arguments = " ".join(found.get("command", []))
        assert "sesame" not in arguments, whose
        for variable in found["env"]:
            if re.search("PASSWORD|TOKEN$|URI$", variable["name"]) and variable["name"] != "MLFLOW_ARTIFACTS_DESTINATION":
                assert "valueFrom" in variable, (whose, variable["name"])


def test_every_program_that_a_pod_runs_is_in_the_package():
    commands = [found["command"] for _, found in containers() if "command" in found]
    modules = {each[3] for each in commands if each[:3] == ["python", "-P", "-m"]}
    others = {each[0] for each in commands if each[0] != "python"}
    assert others == {"sh"}
    assert modules == {"heliostat.controller", "heliostat.traffic", mlflow_database.__name__}
    for module in modules:
        if module == "heliostat.traffic" and find_spec(module) is None:
            pytest.skip("the traffic plane's agent is not in this checkout")
        assert find_spec(module) is not None, module


def test_what_is_named_is_there():
    kinds = {"Secret": "secretName", "ConfigMap": "name"}
    there = {(each["type"].rpartition(":")[2], each["name"]) for each in OBJECTS}
    for whose, template in pods():
        for volume in template["spec"].get("volumes", []):
            for kind, key in kinds.items():
                source = volume.get(kind[0].lower() + kind[1:])
                assert source is None or (kind, source[key]) in there, (whose, volume["name"])
        mounted = {mount["name"] for each in template["spec"]["containers"] for mount in each.get("volumeMounts", [])}
        volumes = {volume["name"] for volume in template["spec"].get("volumes", [])}
        assert mounted - volumes <= {"data"}, whose
    for whose, found in containers():
        for variable in found["env"]:
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            assert reference is None or ("Secret", reference["name"]) in there, (whose, variable["name"])


def test_every_service_leads_to_a_port_of_its_pods():
    ports = {}
    for whose, template in pods():
        for each in template["spec"]["containers"]:
            ports.setdefault(whose.split()[0], set()).update(port["name"] for port in each.get("ports", []))
    for each in map(manifest, OBJECTS):
        if each["kind"] == "Service" and "ray.io/cluster" not in each["spec"]["selector"]:
            for port in each["spec"]["ports"]:
                assert port["targetPort"] in ports[each["metadata"]["name"]]


def test_a_service_with_the_name_of_the_cluster_leads_to_its_head():
    cluster = next(each for each in OBJECTS if each["type"].endswith("RayCluster"))["name"]
    assert named("Service", cluster)["spec"]["selector"] == {"ray.io/cluster": cluster, "ray.io/node-type": "head"}


def test_the_head_runs_no_work_and_workers_are_what_their_group_says():
    found = next(manifest(each) for each in OBJECTS if each["type"].endswith("RayCluster"))["spec"]
    assert found["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    groups = {each["groupName"]: each for each in found["workerGroupSpecs"]}
    assert [groups["v6e"][key] for key in ("numOfHosts", "minReplicas", "maxReplicas")] == [4, 0, 2]
    limits = groups["l4"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"cpu": "6", "memory": "24Gi", "nvidia.com/gpu": "1"}
    # What KubeRay asks of the second autoscaler's pods.
    assert all("restartPolicy" not in each["template"]["spec"] for each in [found["headGroupSpec"], *groups.values()])


def test_what_is_under_way_is_waited_for_longer_than_it_takes():
    spec = named("Deployment", "traffic")["spec"]["template"]["spec"]
    arguments = spec["containers"][0]["command"]
    waits = sum(float(arguments[arguments.index(name) + 1]) for name in ("--settle-seconds", "--drain-seconds"))
    assert spec["terminationGracePeriodSeconds"] > waits


def test_the_exported_addresses_name_services_that_there_are():
    services = {each["name"] for each in OBJECTS if each["type"].endswith(":Service")}
    text = (golden.FOLDER / "kubernetes.yaml").read_text()
    urls = set(re.findall(r"http://[a-z]+\.ml\.svc(?::\d+)?", text))
    assert urls
    assert {service_of(url).name for url in urls} <= services


def test_replicas_ports_are_none_of_those_that_ray_gives_its_workers():
    first, last = REPLICA_PORTS
    assert first > 19_999
    assert last < 32_768


def test_the_plan_has_no_path_of_this_machine():
    text = (golden.FOLDER / "kubernetes.yaml").read_text()
    assert str(Path.home()) not in text
    assert str(golden.FOLDER) not in text
