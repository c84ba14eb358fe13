"""What all that is made in the cluster has in common: names, labels, and how a manifest becomes a resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Final

import pulumi

from heliostat.spec.platforms.cluster import Tags

Manifest = dict[str, Any]
"""An object as Kubernetes' API takes it, with outputs where values are not known yet."""

PART_OF: Final = "heliostat"
RAY, MLFLOW, CONTROLLER, TRAFFIC, REDIS, POSTGRES = "ray", "mlflow", "controller", "traffic", "redis", "postgres"
"""What runs, by the label `heliostat/part`; services and service accounts are called alike."""
USER: Final = 1000
"""The user that every container runs as; the image has it."""

_TYPED: Final = {
    ("v1", "Namespace"): "core.v1",
    ("v1", "Service"): "core.v1",
    ("v1", "ServiceAccount"): "core.v1",
    ("v1", "Secret"): "core.v1",
    ("v1", "ConfigMap"): "core.v1",
    ("apps/v1", "Deployment"): "apps.v1",
    ("apps/v1", "StatefulSet"): "apps.v1",
    ("networking.k8s.io/v1", "NetworkPolicy"): "networking.v1",
    ("policy/v1", "PodDisruptionBudget"): "policy.v1",
}


@dataclass(frozen=True)
class Site:
    """Where everything is made, and what every pod gets."""

    namespace: str
    tags: Tags
    image: str
    storage_class: str | None = None
    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Variables of every pod."""
    store_secret: str | None = None
    """The secret whose entries are variables with the bucket's credentials."""

    priority_class: str | None = None
    """Of what must not give way to trainings."""

    def metadata(self, name: str, part: str, annotations: Mapping[str, Any] | None = None) -> Manifest:
        """Of an object in the namespace."""
        found: Manifest = {"name": name, "namespace": self.namespace, "labels": self.labels(part)}
        return found | ({"annotations": dict(annotations)} if annotations else {})

    def labels(self, part: str) -> dict[str, str]:
        """What says what something is, and whose."""
        # KubeRay finds its pods by a name of its own.
        named = {} if part == RAY else {"app.kubernetes.io/name": part}
        return {**selector(part), **named, "app.kubernetes.io/part-of": PART_OF, **tag_labels(self.tags)}

    def without_store(self) -> Site:
        """The same for pods that have nothing to do with the bucket."""
        return replace(self, store_secret=None, environment={})

    def host(self, service: str) -> str:
        """A service's name as everybody in the cluster calls it."""
        return f"{service}.{self.namespace}.svc"


def selector(part: str) -> dict[str, str]:
    """The labels that pods are found by; those of other kinds may change."""
    return {"heliostat/part": part}


def tag_labels(tags: Tags) -> dict[str, str]:
    """Whose something is, as labels."""
    found = tags.model_dump(by_alias=False, exclude_none=True)
    return {key.replace("_", "-"): value for key, value in found.items()}


def make(manifest: Manifest, opts: pulumi.ResourceOptions) -> pulumi.CustomResource:
    """The resource of a manifest: typed where pulumi-kubernetes has the type, so that its arguments are checked."""
    version, kind = manifest["apiVersion"], manifest["kind"]
    name = f"{manifest['metadata']['name']}"
    if (version, kind) not in _TYPED:
        from pulumi_kubernetes.apiextensions import CustomResource

        return CustomResource(
            name, api_version=version, kind=kind, metadata=manifest["metadata"], spec=manifest["spec"], opts=opts
        )
    module = import_module(f"pulumi_kubernetes.{_TYPED[version, kind]}")
    arguments = {_snake(key): value for key, value in manifest.items() if key not in ("apiVersion", "kind")}
    found: pulumi.CustomResource = getattr(module, kind)(name, opts=opts, **arguments)
    return found


def _snake(key: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key)
