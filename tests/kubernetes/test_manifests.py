"""Every manifest of the reviewed plan, on a real API server with strict validation: applied, again, changed, deleted."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from tests.kubernetes.cluster import Cluster, Refused
from tests.platforms import golden, strict
from tests.platforms.recorded_stack import SECRET, UNKNOWN

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(600)]
PLAN = [each for each in golden.load("kubernetes") if re.match(r"kubernetes:(?!helm|core/v1:Namespace)", each["type"])]
NAMESPACE = "ml"
FOREIGN = ("PodMonitor", "ServiceMonitor")
"""Kinds of the Prometheus operator, whose definitions are not at hand."""


def manifest(entry: dict[str, Any]) -> dict[str, Any]:
    """What Kubernetes gets of an entry of a plan; with something in the place of what a plan does not show."""
    group, version_kind = entry["type"].removeprefix("kubernetes:").split("/", 1)
    version, kind = version_kind.split(":")
    inputs = _filled(copy.deepcopy(entry["inputs"]))
    if kind == "Secret":
        inputs["stringData"] = {"token": "a-token"}
    return {**inputs, "apiVersion": version if group == "core" else f"{group}/{version}", "kind": kind}


def _filled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _filled(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_filled(each) for each in value]
    return "filled" if value in (UNKNOWN, SECRET) else value


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> str:
    """The namespace, in which only pods that keep to the restricted profile start."""
    profile = {"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": profile}})
    if strict.DEFINITIONS.exists():
        cluster.define(strict.DEFINITIONS / "ray.io_rayclusters.yaml")
    return NAMESPACE


@pytest.mark.parametrize("entry", PLAN, ids=lambda each: f"{each['type'].rpartition(':')[2]} {each['name']}")
def test_it_is_applied_again_without_a_change_changed_and_deleted(
    cluster: Cluster, namespace: str, entry: dict[str, Any]
) -> None:
    made = manifest(entry)
    if made["kind"] in FOREIGN:
        pytest.skip("the Prometheus operator's definitions are not at hand")
    if made["kind"] == "RayCluster" and not strict.DEFINITIONS.exists():
        pytest.skip(f"KubeRay's definitions are not in {strict.DEFINITIONS}")
    first, again = (cluster.apply(made)["metadata"] for _ in range(2))
    # Of what Kubernetes acts on, the resourceVersion is another one with each status.
    version = "generation" if "generation" in first else "resourceVersion"
    assert again[version] == first[version]
    made["metadata"]["labels"]["owner"] = "speech"
    changed = cluster.apply(made)["metadata"]
    assert changed["resourceVersion"] != first["resourceVersion"]
    assert changed["labels"]["owner"] == "speech"
    cluster.delete(made)
    assert not cluster.exists(made)


def test_a_misspelt_key_is_refused(cluster: Cluster, namespace: str) -> None:
    broken = manifest(next(each for each in PLAN if each["type"].endswith("Deployment") and each["name"] == "traffic"))
    broken["spec"]["replicass"] = 3
    with pytest.raises(Refused, match=r"spec\.replicass.*not declared in schema"):
        cluster.apply(broken)


def _templates() -> dict[str, dict[str, Any]]:
    """Those of all pods, by a name."""
    specs = {
        each["name"]: manifest(each)["spec"] for each in PLAN if re.search("Deployment|StatefulSet|RayCluster", each["type"])
    }
    found = {name: spec["template"] for name, spec in specs.items() if "template" in spec}
    for spec in specs.values():
        if "headGroupSpec" in spec:
            found["ray-head"] = spec["headGroupSpec"]["template"]
            found |= {f"ray-{each['groupName']}": each["template"] for each in spec["workerGroupSpecs"]}
    return found


@pytest.mark.parametrize(("name", "template"), _templates().items(), ids=lambda each: each if isinstance(each, str) else "")
def test_a_pod_of_it_is_admitted_in_the_namespace(
    cluster: Cluster, namespace: str, name: str, template: dict[str, Any]
) -> None:
    """A pod that the restricted profile does not let in is refused when it is made, long after its Deployment was accepted."""
    spec = {**template["spec"], "volumes": [*template["spec"].get("volumes", []), {"name": "data", "emptyDir": {}}]}
    for account in ("default", spec["serviceAccountName"]):
        metadata = {"name": account, "namespace": namespace}
        cluster.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"probe-{name}", "namespace": namespace, "labels": template["metadata"]["labels"]},
        "spec": {key: value for key, value in spec.items() if key != "priorityClassName"},
    }
    cluster.apply(pod)
    cluster.run("delete", "pod", pod["metadata"]["name"], "-n", namespace, "--force", "--grace-period=0")


def test_a_pod_as_root_is_refused_there(cluster: Cluster, namespace: str) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "root", "namespace": namespace}}
    with pytest.raises(Refused, match="violates PodSecurity"):
        cluster.apply({**pod, "spec": {"containers": [{"name": "root", "image": "node.local/root:1"}]}})
