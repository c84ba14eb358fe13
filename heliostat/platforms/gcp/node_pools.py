"""Node pools, as `pools` decided them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi_gcp import container

from heliostat.platforms.gcp.identity import Key, NodeIdentity
from heliostat.platforms.gcp.pools import NodePool
from heliostat.spec.platforms.gcp import MAX_PODS_OF_NODE

_SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
_TAINTS: Final = {"NoSchedule": "NO_SCHEDULE"}
"""GKE's words for Kubernetes' own."""
_DISK_GIB: Final = 200
"""Images with CUDA or TPU libraries unpack to tens of GiB."""


def node_config() -> dict[str, Any]:
    """What all nodes have, those that GKE begins with too: no metadata of the node for pods, and a kernel that is checked."""
    return {
        "image_type": "COS_CONTAINERD",
        "metadata": {"disable-legacy-endpoints": "true"},
        "oauth_scopes": list(_SCOPES),
    }


@dataclass(frozen=True)
class Nodes:
    """What the nodes of all pools have in common."""

    prefix: str
    labels: Mapping[str, str]
    """Of the machines and their disks."""
    identity: NodeIdentity
    disks: Key


def declare_pool(pool: NodePool, nodes: Nodes, cluster: container.Cluster, opts: pulumi.ResourceOptions) -> container.NodePool:
    """Declare a node pool of a cluster."""
    return container.NodePool(
        # No name of its own: one of another machine type is there before this one goes.
        pool.name,
        cluster=cluster.name,
        location=cluster.location,
        node_locations=list(pool.zones),
        **_size(pool),
        max_pods_per_node=MAX_PODS_OF_NODE,
        placement_policy=container.NodePoolPlacementPolicyArgs(type="COMPACT", tpu_topology=pool.topology)
        if pool.topology
        else None,
        management=container.NodePoolManagementArgs(auto_repair=True, auto_upgrade=True),
        upgrade_settings=_upgrade(pool),
        network_config=container.NodePoolNetworkConfigArgs(enable_private_nodes=True),
        node_config=_config(pool, nodes),
        opts=pulumi.ResourceOptions.merge(
            opts,
            pulumi.ResourceOptions(
                # How many there were at first is nobody's wish later: a change of it would make the pool anew.
                ignore_changes=["initialNodeCount"],
                # There may be no accelerators for both.
                delete_before_replace=pool.kind != "cpu",
                custom_timeouts=pulumi.CustomTimeouts(create="60m", update="120m", delete="60m"),
            ),
        ),
    )


def _size(pool: NodePool) -> dict[str, Any]:
    zones, scale = len(pool.zones), pool.scale
    if not scale.by_demand:
        return {"node_count": scale.least // zones}
    if scale.at_once:
        # A zone's limits: GKE holds a slice against these, and takes the total ones for none.
        limits = container.NodePoolAutoscalingArgs(
            min_node_count=scale.least, max_node_count=scale.most, location_policy="ANY"
        )
    else:
        limits = container.NodePoolAutoscalingArgs(
            total_min_node_count=scale.least, total_max_node_count=scale.most, location_policy="ANY"
        )
    return {"initial_node_count": scale.initial(zones), "autoscaling": limits}


def _upgrade(pool: NodePool) -> container.NodePoolUpgradeSettingsArgs:
    if pool.kind != "cpu":
        # A node more than there are may be one too many to be had.
        return container.NodePoolUpgradeSettingsArgs(strategy="SURGE", max_surge=0, max_unavailable=1)
    return container.NodePoolUpgradeSettingsArgs(strategy="SURGE", max_surge=1, max_unavailable=0)


def _config(pool: NodePool, nodes: Nodes) -> container.NodePoolNodeConfigArgs:
    return container.NodePoolNodeConfigArgs(
        machine_type=pool.machine,
        spot=pool.spot or None,
        service_account=nodes.identity.email,
        disk_size_gb=_DISK_GIB,
        boot_disk_kms_key=nodes.disks.id,
        labels=dict(pool.labels or {}),
        resource_labels=dict(nodes.labels),
        taints=[
            container.NodePoolNodeConfigTaintArgs(key=each.key, value=each.value, effect=_TAINTS[each.effect])
            for each in pool.taints
        ],
        tags=[f"{nodes.prefix}-nodes"],
        guest_accelerators=[_gpu(*pool.gpu)] if pool.gpu else None,
        gvnic=container.NodePoolNodeConfigGvnicArgs(enabled=True),
        shielded_instance_config=container.NodePoolNodeConfigShieldedInstanceConfigArgs(
            # What drives TPUs is not said to be signed.
            enable_secure_boot=pool.kind != "tpu",
            enable_integrity_monitoring=True,
        ),
        workload_metadata_config=container.NodePoolNodeConfigWorkloadMetadataConfigArgs(mode="GKE_METADATA"),
        **node_config(),
    )


def _gpu(kind: str, count: int) -> container.NodePoolNodeConfigGuestAcceleratorArgs:
    """GPUs whose driver GKE installs, as it installs their device plugin."""
    return container.NodePoolNodeConfigGuestAcceleratorArgs(
        type=kind,
        count=count,
        gpu_driver_installation_config=container.NodePoolNodeConfigGuestAcceleratorGpuDriverInstallationConfigArgs(
            gpu_driver_version="LATEST"
        ),
    )
