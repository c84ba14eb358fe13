"""The RayCluster as KubeRay takes it, and what KubeRay would not do with it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from heliostat.platforms.kubernetes.pods import (
    NOT_AWAITED,
    SCRATCH,
    SECURITY,
    empty,
    from_secret,
    http_probe,
    memory,
    pod,
    quantity,
    resources,
    variables,
    zones,
)
from heliostat.platforms.kubernetes.site import RAY, Manifest, Site, tag_labels
from heliostat.spec.accelerators import Group
from heliostat.spec.controller import DRAIN_SECONDS
from heliostat.spec.machines import GROUP_LABEL, WorkerShape
from heliostat.spec.platforms.cluster import Operator, RayHead, Redis

API_VERSION: Final = "ray.io/v1"
TOKEN_SECRET, TOKEN_KEY = "ray-token", "auth_token"
REDIS_SECRET, REDIS_KEY = "redis-password", "password"
DASHBOARD, GCS, METRICS, AGENT = 8265, 6379, 8080, 52365
REPLICA_PORTS: Final = (25_000, 25_199)
"""Where replicas listen for the traffic plane: outside of the ports that Ray gives its workers."""
REPLICAS: Final = "spec.workerGroupSpecs[*].replicas"
"""What the autoscaler says. The list of groups is written as a whole, so what it said last, which a refresh reads, is written
with it; without it, the API server would fill in 0."""
_IN_PLACE: Final = ("replicas", "minReplicas", "maxReplicas")
_KEPT: Final = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}
"""Who takes a node away takes along what runs on it; Ray's autoscaler takes idle ones away itself."""
_SLICE: Final = "ray.io/worker-group-replica-name"
"""KubeRay's label of the pods of a slice, with another value for each."""
_LABELS_SLICES: Final = (1, 7)
"""The release from which on KubeRay sets it without being asked."""
_SLICE_OF_NODES: Final = "cloud.google.com/gke-nodepool"
"""GKE's label of a slice's nodes: each slice of several hosts is a node pool."""


@dataclass(frozen=True)
class Workers:
    """A group of workers: what the config says, and what a worker of it has."""

    name: str
    group: Group
    shape: WorkerShape
    keeps_slices_whole: bool = False
    """Whether its pods say themselves that those of a slice belong together; on Google Cloud GKE's webhook says it."""


def labels_slices(operator: Operator) -> bool:
    """Whether a release of KubeRay's operator tells the pods of one slice from those of another."""
    major, minor, _ = operator.version.split(".")
    return (int(major), int(minor)) >= _LABELS_SLICES


def settings() -> dict[str, str]:
    """Variables of every Ray node."""
    first, last = REPLICA_PORTS
    return {
        "HOME": SCRATCH,
        "RAY_AUTH_MODE": "token",
        "RAY_USAGE_STATS_ENABLED": "0",
        # Ray sets its workers to 15 once they are up: replicas that serve would give way to those that start.
        "RAY_worker_niceness": "0",
        # Jobs and replicas need workers with their code packages: those that Ray starts beforehand idle.
        "RAY_prestart_worker_first_driver": "0",
        "RAY_SERVE_ENABLE_DIRECT_INGRESS": "1",
        "RAY_SERVE_CONTROLLER_CALLBACK_IMPORT_PATH": "heliostat.systems.serve_proxies:start_none",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": str(DRAIN_SECONDS),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(first),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(last),
    }


def ray_cluster(
    site: Site, head: RayHead, redis: Redis, redis_address: str, release: str, workers: Iterable[Workers]
) -> Manifest:
    """The RayCluster of a stack, of a release of Ray.

    KubeRay leaves pods that run as they are when their template changes, and a group that is taken out of the list leaves its
    pods behind and ends the autoscaler. So all that decides how pods are is in the name, and another image, another size of
    the head or another group makes a cluster beside the first; only how many workers there may be is changed in place.
    """
    environment = {**site.environment, **settings(), "RAY_AUTH_TOKEN": from_secret(TOKEN_SECRET, TOKEN_KEY)}
    groups = [_group(site, each, environment) for each in sorted(workers, key=lambda each: each.name)]
    head_group = _head(site, head, environment)
    options: Manifest = {"redisAddress": redis_address}
    if redis.address is None or redis.password_secret:
        options["redisPassword"] = from_secret(redis.password_secret or REDIS_SECRET, REDIS_KEY)
    name = f"{RAY}-{_digest([release, options, *(_identity(site, each) for each in (head_group, *groups))])}"
    annotations = {
        "pulumi.com/waitFor": json.dumps(["condition=HeadPodReady", "condition=RayClusterProvisioned"]),
        # The autoscaler writes into the list of groups, which belongs to one writer as a whole.
        "pulumi.com/patchForce": "true",
    }
    return {
        "apiVersion": API_VERSION,
        "kind": "RayCluster",
        "metadata": site.metadata(name, RAY, annotations),
        "spec": {
            "rayVersion": release,
            "enableInTreeAutoscaling": True,
            "autoscalerOptions": {
                "version": "v2",
                "idleTimeoutSeconds": 300,
                "upscalingMode": "Default",
                "resources": resources(head.autoscaler),
                "securityContext": dict(SECURITY),
            },
            "authOptions": {"mode": "token", "secretName": TOKEN_SECRET},
            "gcsFaultToleranceOptions": options,
            "headGroupSpec": head_group,
            "workerGroupSpecs": groups,
        },
    }


def head_service(site: Site, cluster: str) -> Manifest:
    """The service by which everybody finds a cluster's head: each has its own, as applications move from one to the other."""
    chosen = {"ray.io/cluster": cluster, "ray.io/node-type": "head"}
    ports = [{"name": "dashboard", "port": DASHBOARD, "targetPort": DASHBOARD}]
    spec = {"selector": chosen, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": site.metadata(cluster, RAY, NOT_AWAITED), "spec": spec}


def ray_url(site: Site, cluster: str) -> str:
    """Where a cluster's REST APIs answer, inside of Kubernetes."""
    return f"http://{site.host(cluster)}:{DASHBOARD}"


def _head(site: Site, head: RayHead, environment: Mapping[str, Any]) -> Manifest:
    ports = {"gcs": GCS, "dashboard": DASHBOARD, "metrics": METRICS}
    ready = http_probe("/api/gcs_healthz", DASHBOARD, failures=12)
    alive = http_probe("/api/local_raylet_healthz", AGENT, period=10, failures=12, timeout=5)
    container = _container(site, "ray-head", environment, resources(head), ports, ready, alive)
    more = {"priorityClassName": site.priority_class}
    return {
        # It schedules, and a head without work cannot be brought down by it.
        "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0", "metrics-export-port": str(METRICS)},  # noqa: S104
        "serviceType": "ClusterIP",
        "template": _template(site, container, {}, 10, more),
    }


def _group(site: Site, workers: Workers, environment: Mapping[str, Any]) -> Manifest:
    group, shape = workers.group, workers.shape
    size = {"cpu": quantity(shape.cpus), "memory": memory(shape.memory_gib)}
    if shape.resource is not None:
        size[shape.resource] = str(shape.resource_count)
    alive = http_probe("/api/local_raylet_healthz", AGENT, period=10, failures=12, timeout=5)
    ready = http_probe("/api/local_raylet_healthz", AGENT)
    ports = {"metrics": METRICS}
    container = _container(
        site, "ray-worker", environment, {"requests": dict(size), "limits": dict(size)}, ports, ready, alive
    )
    more: dict[str, Any] = {
        "nodeSelector": dict(shape.node_selector),
        "tolerations": [each.manifest() for each in shape.tolerations],
        "terminationGracePeriodSeconds": 60,
    }
    if shape.hosts == 1:
        more["topologySpreadConstraints"] = zones(RAY)
    elif workers.keeps_slices_whole:
        more["affinity"] = _one_slice()
    template = _template(site, container, {GROUP_LABEL: workers.name}, min(100, max(20, shape.memory_gib)), more)
    start = {"metrics-export-port": str(METRICS), **shape.ray_start_params}
    return {
        "groupName": workers.name,
        # From then on it is the autoscaler's.
        "replicas": group.min,
        "minReplicas": group.min,
        "maxReplicas": group.max,
        "numOfHosts": shape.hosts,
        "rayStartParams": start,
        "template": template,
    }


def _one_slice() -> Manifest:
    """All pods of a slice are on one slice's nodes, and no other slice's with them: type and topology are those of many."""
    workers = {"matchExpressions": [{"key": GROUP_LABEL, "operator": "Exists"}]}
    term = {"labelSelector": workers, "topologyKey": _SLICE_OF_NODES}
    together = {**term, "matchLabelKeys": [_SLICE]}
    # Those of other stacks, too, which are in namespaces of their own.
    apart = {**term, "mismatchLabelKeys": [_SLICE], "namespaceSelector": {}}
    return {
        "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [together]},
        "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart]},
    }


def _container(
    site: Site,
    name: str,
    environment: Mapping[str, Any],
    size: Manifest,
    ports: Mapping[str, int],
    ready: Manifest,
    alive: Manifest,
) -> Manifest:
    found: Manifest = {
        "name": name,
        "image": site.image,
        "env": variables(environment),
        "resources": size,
        "ports": [{"name": key, "containerPort": port} for key, port in ports.items()],
        "securityContext": {**SECURITY, "readOnlyRootFilesystem": True},
        "volumeMounts": [{"name": "scratch", "mountPath": SCRATCH}],
        "startupProbe": http_probe("/api/local_raylet_healthz", AGENT, failures=60),
        "readinessProbe": ready,
        "livenessProbe": alive,
    }
    return found | ({"envFrom": [{"secretRef": {"name": site.store_secret}}]} if site.store_secret else {})


def _template(site: Site, container: Manifest, labels: Mapping[str, str], scratch: float, more: Mapping[str, Any]) -> Manifest:
    spec = pod(site, RAY, [container], volumes=[empty("scratch", scratch)], **more)
    # The autoscaler beside the head asks the API, with the rights that KubeRay gives the account.
    spec["automountServiceAccountToken"] = container["name"] == "ray-head"
    return {"metadata": {"labels": {**site.labels(RAY), **labels}, "annotations": dict(_KEPT)}, "spec": spec}


def _identity(site: Site, group: Manifest) -> Manifest:
    """What decides how the pods of a group are, but for whose they are: pods that run keep what they were told."""
    template, tags = group["template"], tag_labels(site.tags)
    labels = {key: value for key, value in template["metadata"]["labels"].items() if key not in tags}
    kept = {key: value for key, value in group.items() if key not in _IN_PLACE}
    return {**kept, "template": {**template, "metadata": {**template["metadata"], "labels": labels}}}


def _digest(value: Any) -> str:
    # What is not known yet has no part in a name.
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=lambda _: None).encode()).hexdigest()[:8]
