"""Pods that keep to Kubernetes' restricted profile, whoever's they are. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pulumi

from heliostat.platforms.kubernetes.site import USER, Manifest, Site, selector
from heliostat.spec.platforms.cluster import Compute

SECURITY: Final[Manifest] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "runAsUser": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""Of every container; KubeRay copies that of Ray's to those that it adds."""
POD_SECURITY: Final[Manifest] = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    # Without this, a volume of many files is walked at each start of a pod.
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
NOT_AWAITED: Final = {"pulumi.com/skipAwait": "true"}
SCRATCH: Final = "/tmp"  # noqa: S108 - a volume of the pod's own
HOST_KEY: Final = "kubernetes.io/hostname"


@dataclass(frozen=True)
class Container:
    """One container of the image."""

    name: str
    command: Sequence[str]
    compute: Compute
    environment: Mapping[str, Any] = field(default_factory=dict)
    """Values, or where Kubernetes finds them (`valueFrom`), by variable."""
    ports: Mapping[str, int] = field(default_factory=dict)
    mounts: Mapping[str, str] = field(default_factory=dict)
    """Volumes by the path where they are."""
    probes: Mapping[str, Manifest] = field(default_factory=dict)
    more: Manifest = field(default_factory=dict)

    def manifest(self, site: Site) -> Manifest:
        """As a pod's specification has it. Its own file system is read-only: what is written is on volumes."""
        found: Manifest = {
            "name": self.name,
            "image": site.image,
            "command": list(self.command),
            "env": variables({**site.environment, **self.environment}),
            "resources": resources(self.compute),
            "securityContext": {**SECURITY, "readOnlyRootFilesystem": True},
            "volumeMounts": [{"name": name, "mountPath": path} for path, name in self.mounts.items()],
        }
        if self.ports:
            found["ports"] = [{"name": name, "containerPort": port} for name, port in self.ports.items()]
        if site.store_secret:
            found["envFrom"] = [{"secretRef": {"name": site.store_secret}}]
        return found | dict(self.probes) | self.more


def variables(values: Mapping[str, Any]) -> list[Manifest]:
    """The `env` of a container."""
    return [
        {"name": name, **(value if isinstance(value, dict) and "valueFrom" in value else {"value": value})}
        for name, value in values.items()
    ]


def from_secret(name: str, key: str) -> Manifest:
    """A variable's value that a secret holds."""
    return {"valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


def from_field(path: str) -> Manifest:
    """A variable's value that Kubernetes knows of the pod."""
    return {"valueFrom": {"fieldRef": {"fieldPath": path}}}


def resources(compute: Compute, more: Mapping[str, int] | None = None) -> Manifest:
    """Requests that are the limits too: a pod that is never evicted for what others take."""
    found = {"cpu": quantity(compute.cpus), "memory": memory(compute.memory_gib)}
    found |= {key: str(value) for key, value in (more or {}).items()}
    return {"requests": dict(found), "limits": dict(found)}


def quantity(cpus: float) -> str:
    """CPUs as Kubernetes writes them back, so that nothing seems to have changed."""
    return f"{cpus:g}" if float(cpus).is_integer() else f"{round(cpus * 1000)}m"


def memory(gib: float) -> str:
    """GiB as Kubernetes writes them back."""
    return f"{gib:g}Gi" if float(gib).is_integer() else f"{round(gib * 1024)}Mi"


def http_probe(path: str, port: int | str, *, period: int = 5, failures: int = 3, timeout: int = 3) -> Manifest:
    """A probe by HTTP."""
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": timeout,
    }


def exec_probe(command: Sequence[str], *, period: int = 10, failures: int = 3, timeout: int = 5) -> Manifest:
    """A probe by a command."""
    return {
        "exec": {"command": list(command)},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": timeout,
    }


def pod(site: Site, part: str, containers: Sequence[Manifest], **more: Any) -> Manifest:
    """A pod's specification."""
    found: Manifest = {
        "serviceAccountName": part,
        "automountServiceAccountToken": False,
        # Variables for each service of the namespace are never read, and some are taken for settings: MLFLOW_PORT.
        "enableServiceLinks": False,
        "securityContext": dict(POD_SECURITY),
        "containers": list(containers),
    }
    return found | {key: value for key, value in more.items() if value}


def spread(part: str) -> Manifest:
    """Pods of a part as far apart as can be."""
    term = {"labelSelector": {"matchLabels": selector(part)}, "topologyKey": HOST_KEY}
    weighted = {"weight": 100, "podAffinityTerm": term}
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [weighted]}}


def zones(part: str) -> list[Manifest]:
    """As even over zones as can be."""
    return [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": selector(part)},
        }
    ]


def apart(part: str, nodes: int) -> list[Manifest]:
    """Even over at least so many nodes: a pod that would be one too many on a node waits for another.

    A preference is not enough where nodes come one after another: the first would have all pods, and keep them.
    """
    return [
        {
            "maxSkew": 1,
            "minDomains": nodes,
            "topologyKey": HOST_KEY,
            "whenUnsatisfiable": "DoNotSchedule",
            # Ray's own nodes are tainted, and no place for these.
            "nodeTaintsPolicy": "Honor",
            "labelSelector": {"matchLabels": selector(part)},
            # An update's pods come beside those that they replace.
            "matchLabelKeys": ["pod-template-hash"],
        }
    ]


def template(site: Site, part: str, spec: Manifest, annotations: Mapping[str, pulumi.Input[str]] | None = None) -> Manifest:
    """A pod's template. Tags are on it: costs are told by pods."""
    metadata: Manifest = {"labels": site.labels(part)}
    return {"metadata": metadata | ({"annotations": dict(annotations)} if annotations else {}), "spec": spec}


def claim(site: Site, name: str, gib: float) -> Manifest:
    """A volume that outlives the pod."""
    spec: Manifest = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": memory(gib)}}}
    if site.storage_class:
        spec["storageClassName"] = site.storage_class
    return {"metadata": {"name": name}, "spec": spec}


def service(site: Site, part: str, ports: Mapping[str, int], **more: Any) -> Manifest:
    """A service of a part's pods, each port of it under its own number."""
    # Pulumi would wait for its pods, which may come after it.
    metadata = site.metadata(part, part, NOT_AWAITED)
    numbered = [{"name": name, "port": port, "targetPort": name} for name, port in ports.items()]
    spec = {"selector": selector(part), "ports": numbered, **more}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def stateful(site: Site, part: str, spec: Manifest, claims: Sequence[Manifest], **more: Any) -> Manifest:
    """One pod that keeps its volumes."""
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": site.metadata(part, part),
        "spec": {
            "replicas": 1,
            "serviceName": part,
            "selector": {"matchLabels": selector(part)},
            "template": template(site, part, spec, more.pop("annotations", None)),
            "volumeClaimTemplates": list(claims),
            **more,
        },
    }


def empty(name: str, gib: float) -> Manifest:
    """A volume that goes with the pod, of a size at most."""
    return {"name": name, "emptyDir": {"sizeLimit": memory(gib)}}
