"""A Prometheus in the cluster that reads what PodMonitors and ServiceMonitors name, by a config made of them.

The Prometheus operator does that where it is; here the program is Debian's, and the config is made by this module for the
fields that the platform sets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

Object = dict[str, Any]
NAMESPACE, PORT = "monitoring", 9090
_CREDENTIALS = "/etc/credentials"


def manifests(monitors: Sequence[Object], secrets: Sequence[Object], image: str) -> Iterator[Object]:
    """Namespace, rights, config and pod.

    Args:
        monitors: As the API server gives them.
        secrets: Those of the platform's namespace that they name.
        image: What has the program.
    """
    watched = sorted({each["metadata"]["namespace"] for each in monitors})
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _named("prometheus")}
    for namespace in watched:
        yield from _rights(namespace)
    for secret in secrets:
        metadata = _named(secret["metadata"]["name"])
        yield {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": secret["data"]}
    text = json.dumps({"scrape_configs": [job for each in monitors for job in _jobs(each)]})
    # JSON is YAML.
    yield {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _named("prometheus"), "data": {"prometheus.yml": text}}
    yield _pod(image, [each["metadata"]["name"] for each in secrets])


def _jobs(monitor: Object) -> Iterator[Object]:
    metadata, spec = monitor["metadata"], monitor["spec"]
    pods = monitor["kind"] == "PodMonitor"
    role, kind, port = ("pod", "pod", "pod_container_port_name") if pods else ("endpoints", "service", "endpoint_port_name")
    for each in spec["podMetricsEndpoints" if pods else "endpoints"]:
        chosen = [
            {"source_labels": [f"__meta_kubernetes_{kind}_label_{_label(key)}"], "regex": value, "action": "keep"}
            for key, value in spec["selector"]["matchLabels"].items()
        ]
        named = {"source_labels": [f"__meta_kubernetes_{port}"], "regex": each["port"], "action": "keep"}
        more = [{_snake(key): value for key, value in one.items()} for one in each.get("relabelings", ())]
        job = {
            "job_name": f"{monitor['kind']}/{metadata['name']}",
            "scrape_interval": each["interval"],
            "metrics_path": each.get("path", "/metrics"),
            "kubernetes_sd_configs": [{"role": role, "namespaces": {"names": [metadata["namespace"]]}}],
            "relabel_configs": [*chosen, named, *more],
        }
        if secret := each.get("authorization"):
            file = f"{_CREDENTIALS}/{secret['credentials']['name']}/{secret['credentials']['key']}"
            job["authorization"] = {"type": secret["type"], "credentials_file": file}
        yield job


def _rights(namespace: str) -> Iterator[Object]:
    api = "rbac.authorization.k8s.io"
    metadata = {"name": "prometheus", "namespace": namespace}
    rules = [{"apiGroups": [""], "resources": ["pods", "services", "endpoints"], "verbs": ["get", "list", "watch"]}]
    yield {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": metadata, "rules": rules}
    subject = {"kind": "ServiceAccount", "name": "prometheus", "namespace": NAMESPACE}
    binding = {"apiVersion": f"{api}/v1", "kind": "RoleBinding", "metadata": metadata, "subjects": [subject]}
    yield {**binding, "roleRef": {"apiGroup": api, "kind": "Role", "name": "prometheus"}}


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
