"""A Prometheus in the cluster that reads what PodMonitors and ServiceMonitors name, by a config made of them.

The Prometheus operator does that where it is. Here the program is Debian's, which is built without the discovery of what is in
a cluster: so the config has the pods that there are, found by this module for the fields that the platform sets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

Object = dict[str, Any]
NAMESPACE, PORT = "monitoring", 9090
_CREDENTIALS = "/etc/credentials"


class Found(NamedTuple):
    """What there is in the platform's namespace, as the API server gives it."""

    pods: Sequence[Object]
    services: Sequence[Object]
    slices: Sequence[Object]
    secrets: Sequence[Object]


def manifests(monitors: Sequence[Object], found: Found, image: str) -> Iterator[Object]:
    """Namespace, config and pod.

    Args:
        monitors: As the API server gives them.
        found: What there is in the platform's namespace.
        image: What has the program.
    """
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _named("prometheus")}
    named = {each["name"] for monitor in monitors for each in _credentials(monitor)}
    for secret in found.secrets:
        if secret["metadata"]["name"] in named:
            metadata = _named(secret["metadata"]["name"])
            yield {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": secret["data"]}
    text = json.dumps({"scrape_configs": [job for each in monitors for job in _jobs(each, found)]})
    # JSON is YAML.
    yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _named("prometheus"), "data": {"prometheus.yml": text}}
    yield _pod(image, sorted(named))


def _credentials(monitor: Object) -> Iterator[Object]:
    for each in monitor["spec"].get("endpoints", ()):
        if "authorization" in each:
            yield each["authorization"]["credentials"]


def _jobs(monitor: Object, found: Found) -> Iterator[Object]:
    metadata, spec = monitor["metadata"], monitor["spec"]
    targets, key = (_pods, "podMetricsEndpoints") if monitor["kind"] == "PodMonitor" else (_endpoints, "endpoints")
    for each in spec[key]:
        job = {
            "job_name": f"{monitor['kind']}/{metadata['name']}",
            "scrape_interval": each["interval"],
            "metrics_path": each.get("path", "/metrics"),
            "static_configs": list(targets(spec["selector"]["matchLabels"], each["port"], found)),
            "relabel_configs": [{_snake(key): value for key, value in one.items()} for one in each.get("relabelings", ())],
        }
        if secret := each.get("authorization"):
            file = f"{_CREDENTIALS}/{secret['credentials']['name']}/{secret['credentials']['key']}"
            job["authorization"] = {"type": secret["type"], "credentials_file": file}
        yield job


def _pods(selector: Mapping[str, str], port: str, found: Found) -> Iterator[Object]:
    for pod in _chosen(found.pods, selector):
        labels = {f"__meta_kubernetes_pod_label_{_label(key)}": value for key, value in pod["metadata"]["labels"].items()}
        for container in pod["spec"]["containers"]:
            for each in container.get("ports", ()):
                if each.get("name") == port:
                    yield {"targets": [f"{pod['status']['podIP']}:{each['containerPort']}"], "labels": labels}


def _endpoints(selector: Mapping[str, str], port: str, found: Found) -> Iterator[Object]:
    for service in _chosen(found.services, selector):
        named = {"kubernetes.io/service-name": service["metadata"]["name"]}
        for piece in _chosen(found.slices, named):
            numbers = [each["port"] for each in piece["ports"] if each["name"] == port]
            for address in (address for each in piece["endpoints"] for address in each["addresses"]):
                yield {"targets": [f"{address}:{number}" for number in numbers]}


def _chosen(objects: Sequence[Object], selector: Mapping[str, str]) -> Iterator[Object]:
    for each in objects:
        if selector.items() <= each["metadata"].get("labels", {}).items():
            yield each


def _pod(image: str, secrets: Sequence[str]) -> Object:
    arguments = (
        "--config.file=/etc/prometheus/prometheus.yml",
        "--storage.tsdb.path=/tmp/data",
        f"--web.listen-address=:{PORT}",
    )
    mounts = {"config": "/etc/prometheus", "scratch": "/tmp", **{name: f"{_CREDENTIALS}/{name}" for name in secrets}}
    container = {
        "name": "prometheus",
        "image": image,
        "command": ["prometheus", *arguments],
        "ports": [{"containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/-/ready", "port": PORT}},
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts.items()],
    }
    volumes: list[Object] = [{"name": "config", "configMap": {"name": "prometheus"}}, {"name": "scratch", "emptyDir": {}}]
    volumes += [{"name": name, "secret": {"secretName": name}} for name in secrets]
    spec = {"serviceAccountName": "prometheus", "containers": [container], "volumes": volumes}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _named("prometheus"), "spec": spec}


def _named(name: str) -> Object:
    return {"name": name, "namespace": NAMESPACE}


def _label(key: str) -> str:
    """A label as service discovery has it."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", key)


def _snake(key: str) -> str:
    return re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", key)
