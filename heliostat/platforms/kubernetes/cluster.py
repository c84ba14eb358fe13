"""KubeRay's operator and the Ray cluster, as resources."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from typing import Any

import pulumi

from heliostat.platforms.kubernetes import redis
from heliostat.platforms.kubernetes.ray_cluster import REPLICAS, Workers, head_service, labels_slices, ray_cluster
from heliostat.platforms.kubernetes.site import Site, make
from heliostat.spec.machines import Pool, worker_shape
from heliostat.spec.platforms.cluster import ClusterServices, Operator

CHART = "kuberay-operator"
_CREATE_MINUTES = 30
"""For head and first workers: nodes with accelerators are bought first."""


def release() -> str:
    """The release of Ray, here and in the image: jobs and replicas need the same on both sides."""
    return importlib.metadata.version("ray")


def operator_values(operator: Operator, namespace: str) -> dict[str, Any]:
    """What the operator's chart is told: it watches this namespace alone, with rights in it alone."""
    values: dict[str, Any] = {
        "singleNamespaceInstall": True,
        "watchNamespace": [namespace],
        "resources": {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"cpu": "500m", "memory": "512Mi"}},
    }
    if operator.image is not None:
        repository, _, digest = operator.image.partition("@sha256:")
        # The chart writes REPOSITORY:TAG, and knows no digest.
        values["image"] = {"repository": f"{repository}@sha256", "tag": digest}
    return values


def install_operator(operator: Operator, namespace: str, opts: pulumi.ResourceOptions) -> pulumi.Resource:
    """The operator as a Helm release."""
    from pulumi_kubernetes.helm.v3 import Release, RepositoryOptsArgs

    return Release(
        CHART,
        chart=CHART,
        name=CHART,
        version=operator.version,
        repository_opts=RepositoryOptsArgs(repo=operator.repository),
        namespace=namespace,
        values=operator_values(operator, namespace),
        opts=opts,
    )


def make_ray(
    site: Site, spec: ClusterServices, pools: Mapping[str, Pool | None], opts: pulumi.ResourceOptions
) -> tuple[str, pulumi.Resource]:
    """The Ray cluster and the service that leads to its head; the cluster's name, which another one has, and the cluster."""
    # Which release GKE's own operator is, which labels them or not, is GKE's to choose.
    whole = {name: pools.get(name) is None and labels_slices(spec.operator) for name in spec.groups}
    workers = [
        Workers(name, group, worker_shape(group, pools.get(name), name), whole[name]) for name, group in spec.groups.items()
    ]
    manifest = ray_cluster(site, spec.ray, spec.redis, redis.address(site, spec.redis), release(), workers)
    timeouts = pulumi.CustomTimeouts(create=f"{_CREATE_MINUTES}m", update=f"{_CREATE_MINUTES}m")
    kept = pulumi.ResourceOptions(ignore_changes=[REPLICAS], custom_timeouts=timeouts)
    cluster = make(manifest, pulumi.ResourceOptions.merge(opts, kept))
    name = str(manifest["metadata"]["name"])
    # Who calls the head comes to the new cluster once that is there.
    make(head_service(site, name), pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[cluster])))
    return name, cluster
