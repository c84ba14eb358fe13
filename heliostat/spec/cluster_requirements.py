"""What a cluster that somebody else made must have, and let this user do, before anything is made in it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import Field

from heliostat.spec.addresses import InCluster, Namespace

RAY_CLUSTERS: Final = "rayclusters.ray.io"
MONITORS: Final = ("servicemonitors.monitoring.coreos.com", "podmonitors.monitoring.coreos.com")
RAY_FIELDS: Final = (
    "authOptions.secretName",
    "autoscalerOptions.version",
    "gcsFaultToleranceOptions.redisPassword",
    "workerGroupSpecs.numOfHosts",
)
"""Of a RayCluster's `spec` what a platform uses and older definitions lack: an API server drops what it does not know."""
OLDEST: Final = (1, 31)
"""The oldest Kubernetes that works: from there on it knows affinities by the value of a pod's own label, which keep slices of
TPUs whole. An older one drops them, and no second slice would start."""
KINDS: Final = (
    ("", "secrets"),
    ("", "services"),
    ("", "serviceaccounts"),
    ("", "configmaps"),
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("networking.k8s.io", "networkpolicies"),
    ("policy", "poddisruptionbudgets"),
    ("ray.io", "rayclusters"),
)
"""What is made, by group and resource."""


class ClusterRequirements(InCluster):
    """What a stack needs of a cluster."""

    namespace: Namespace
    """Where it makes everything."""
    creates_namespace: bool = True
    """Whether it makes that, too."""
    installs_operator: bool = True
    """Whether KubeRay's operator comes with it."""
    operator_version: str = "1.7.0"
    """The oldest that works."""
    monitors: bool = False
    """Whether it makes ServiceMonitors and PodMonitors."""
    storage_class: str | None = None
    """Of its volumes; None for the cluster's default."""
    secrets: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Secrets of the namespace that it names, with the entries that each has to have."""


@dataclass(frozen=True)
class Survey:
    """What was found in a cluster. None stands for what this user may not look at."""

    version: str
    """Kubernetes' own, as `v1.34.2`."""
    uid: str | None = None
    """Of the namespace kube-system, which is another one in every cluster; None where it may not be seen."""
    namespace: bool | None = None
    """Whether the namespace is there."""
    denied: tuple[str, ...] = ()
    """What this user may not do, as `create secrets`."""
    definitions: Mapping[str, bool | None] = field(default_factory=dict)
    """Whether there are those kinds, by the name of their definition."""
    lacking: tuple[str, ...] = ()
    """What the definition of RayClusters does not know."""
    operators: tuple[str, ...] | None = None
    """Releases of KubeRay's operators that run, as far as their images say."""
    storage_classes: Mapping[str, bool] | None = None
    """Whether each is the default one."""
    secrets: Mapping[str, frozenset[str] | None] | None = None
    """The entries of those that are named; of one that is not there None."""


def problems(found: Survey, wanted: ClusterRequirements) -> list[str]:
    """All that is in the way, each with what to do about it."""
    return [
        *_version(found),
        *_rights(found, wanted),
        *_kinds(found, wanted),
        *_operator(found, wanted),
        *_storage(found, wanted),
        *_named(found, wanted),
    ]


def another_cluster(uid: str, found: Survey, wanted: ClusterRequirements) -> str | None:
    """What is wrong where the cluster is not the one that the stack was made in, whose `uid` that is."""
    if found.uid is None or not uid or found.uid == uid:
        return None
    named = f"the context {wanted.context}" if wanted.context else "the current context"
    return (
        f"{named} leads to another cluster than the one that the stack was made in (its kube-system is {found.uid}, and was "
        f"{uid}): name the context that leads there in platform.context, or make another stack for this cluster"
    )


def _version(found: Survey) -> Iterator[str]:
    match = re.match(r"v?(\d+)\.(\d+)", found.version)
    if match and (int(match[1]), int(match[2])) < OLDEST:
        yield f"Kubernetes is {found.version}, and {OLDEST[0]}.{OLDEST[1]} is the oldest that works: upgrade the cluster"


def _rights(found: Survey, wanted: ClusterRequirements) -> Iterator[str]:
    if found.denied:
        what = ", ".join(found.denied)
        yield f"this user may not {what} in the namespace {wanted.namespace}: have a role bound to it that allows that"


def _kinds(found: Survey, wanted: ClusterRequirements) -> Iterator[str]:
    if found.definitions.get(RAY_CLUSTERS) is False and not wanted.installs_operator:
        yield (
            "the cluster knows no RayClusters, and operator.install is false: install KubeRay's operator, or leave "
            "operator.install out"
        )
    if found.definitions.get(RAY_CLUSTERS) and found.lacking:
        yield (
            f"the cluster's definition of RayClusters does not know {', '.join(found.lacking)}, and would drop it: it is older"
            f" than {wanted.operator_version}, and Helm leaves definitions as they are. Apply those of KubeRay "
            f"{wanted.operator_version} with `kubectl apply --server-side`"
        )
    missing = [name for name in MONITORS if found.definitions.get(name) is False]
    if wanted.monitors and missing:
        yield (
            f"the cluster has no {' and no '.join(missing)}: install the Prometheus operator, or set "
            "monitoring.serviceMonitors to false"
        )


def _operator(found: Survey, wanted: ClusterRequirements) -> Iterator[str]:
    if wanted.installs_operator or found.operators is None:
        return
    if not found.operators:
        yield "no operator of KubeRay runs, and operator.install is false: install one, or leave operator.install out"
    old = [each for each in found.operators if _numbers(each) and _numbers(each) < _numbers(wanted.operator_version)]
    if old:
        yield (
            f"KubeRay's operator is {', '.join(old)}, and {wanted.operator_version} is the oldest that works: upgrade it, "
            "with its definitions"
        )


def _storage(found: Survey, wanted: ClusterRequirements) -> Iterator[str]:
    classes = found.storage_classes
    if classes is None:
        return
    there = ", ".join(sorted(classes)) or "none"
    if wanted.storage_class is not None and wanted.storage_class not in classes:
        yield f"there is no storage class {wanted.storage_class} (there are: {there}): name another in storageClass"
    if wanted.storage_class is None and not any(classes.values()):
        yield f"the cluster has no default storage class (there are: {there}): name one in storageClass"


def _named(found: Survey, wanted: ClusterRequirements) -> Iterator[str]:
    if found.namespace is False and not wanted.creates_namespace:
        yield f"there is no namespace {wanted.namespace}, and createNamespace is false: make it, or leave createNamespace out"
    if wanted.secrets and wanted.creates_namespace:
        yield (
            f"the secrets {', '.join(wanted.secrets)} have to be in the namespace {wanted.namespace} before the stack is: "
            "make the namespace and them, and set createNamespace to false"
        )
    for name, entries in wanted.secrets.items() if found.secrets is not None else ():
        there = (found.secrets or {}).get(name)
        if there is None:
            yield f"there is no secret {name} in the namespace {wanted.namespace}: make it"
        elif lacking := [each for each in entries if each not in there]:
            yield f"the secret {name} in the namespace {wanted.namespace} has no {', '.join(lacking)}: add it"


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return tuple(map(int, match.groups())) if match else ()
