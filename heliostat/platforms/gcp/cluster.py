"""The GKE cluster with its node pools, and the way to its API."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_gcp import container

from heliostat.platforms.gcp.identity import Keys, NodeIdentity
from heliostat.platforms.gcp.network import PODS, SERVICES, Network
from heliostat.platforms.gcp.node_pools import Nodes, declare_pool, node_config
from heliostat.platforms.gcp.observability import logging_config, monitoring_config
from heliostat.platforms.gcp.pools import NodePool
from heliostat.spec.platforms.gcp import GcpPlatform

STORAGE_CLASS: Final = "heliostat-encrypted"


@dataclass(frozen=True)
class ClusterArgs:
    """What the cluster is made of."""

    prefix: str
    spec: GcpPlatform
    labels: dict[str, str]
    network: Network
    nodes: NodeIdentity
    keys: Keys
    pools: Sequence[NodePool]


class Cluster(pulumi.ComponentResource):
    """A private cluster whose control plane is in three zones of the region, whatever zones its nodes are in."""

    def __init__(self, name: str, args: ClusterArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("heliostat:gcp:Cluster", name, {}, opts)
        self.name = args.prefix
        self.cluster = self._cluster(args)
        child = pulumi.ResourceOptions(parent=self)
        nodes = Nodes(args.prefix, args.labels, args.nodes, args.keys.disks)
        self.pools = {each.name: declare_pool(each, nodes, self.cluster, child) for each in args.pools}
        self.provider = kubernetes.Provider(
            f"{args.prefix}-kubernetes",
            kubeconfig=pulumi.Output.all(self.cluster.endpoint, self.cluster.master_auth).apply(
                lambda found: kubeconfig(args.prefix, found[0], found[1].get("cluster_ca_certificate") or "")
            ),
            # By its name: a new certificate or address of the same cluster makes nothing anew.
            cluster_identifier=f"gke/{args.spec.project}/{args.spec.region}/{args.prefix}",
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(self.pools.values())),
        )
        self.storage_class = self._storage_class(args)
        self.register_outputs({"name": self.cluster.name})

    def _cluster(self, args: ClusterArgs) -> container.Cluster:
        spec = args.spec
        return container.Cluster(
            args.prefix,
            name=args.prefix,
            location=spec.region,
            node_locations=list(spec.zones),
            deletion_protection=spec.gke.deletion_protection,
            resource_labels=args.labels,
            release_channel=container.ClusterReleaseChannelArgs(channel=spec.gke.release_channel),
            maintenance_policy=container.ClusterMaintenancePolicyArgs(
                daily_maintenance_window=container.ClusterMaintenancePolicyDailyMaintenanceWindowArgs(
                    start_time=spec.gke.maintenance_start
                )
            ),
            addons_config=_addons(ray_operator=not spec.operator.install),
            # Idle accelerators go at once. Node pools are ours alone: GKE makes none by itself.
            cluster_autoscaling=container.ClusterClusterAutoscalingArgs(
                enabled=False, autoscaling_profile="OPTIMIZE_UTILIZATION"
            ),
            logging_config=logging_config(),
            monitoring_config=monitoring_config(),
            **_networking(args),
            **_security(args),
            **_first_nodes(args),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[*args.keys.cluster.grants, *args.keys.disks.grants, *args.nodes.rights],
                ignore_changes=["nodeConfig", "initialNodeCount"],
                custom_timeouts=pulumi.CustomTimeouts(create="60m", update="120m", delete="60m"),
            ),
        )

    def _storage_class(self, args: ClusterArgs) -> kubernetes.storage.v1.StorageClass:
        """Volumes encrypted with the project's key, in the zone of the pod that asks for one."""
        return kubernetes.storage.v1.StorageClass(
            f"{args.prefix}-storage",
            metadata=kubernetes.meta.v1.ObjectMetaArgs(name=STORAGE_CLASS, labels=args.labels),
            provisioner="pd.csi.storage.gke.io",
            parameters={"type": "pd-balanced", "disk-encryption-kms-key": args.keys.disks.id},
            volume_binding_mode="WaitForFirstConsumer",
            allow_volume_expansion=True,
            reclaim_policy="Delete",
            opts=pulumi.ResourceOptions(parent=self, provider=self.provider),
        )


def _networking(args: ClusterArgs) -> dict[str, Any]:
    """Pods and services with addresses of the subnet, network policies that are enforced, and who reaches the API."""
    spec = args.spec
    return {
        "network": args.network.network.id,
        "subnetwork": args.network.subnet.id,
        "networking_mode": "VPC_NATIVE",
        "datapath_provider": "ADVANCED_DATAPATH",
        "ip_allocation_policy": container.ClusterIpAllocationPolicyArgs(
            cluster_secondary_range_name=PODS, services_secondary_range_name=SERVICES
        ),
        "private_cluster_config": container.ClusterPrivateClusterConfigArgs(
            enable_private_nodes=True,
            enable_private_endpoint=not spec.gke.public_endpoint_cidrs,
            master_ipv4_cidr_block=spec.network.control_plane_cidr,
        ),
        "master_authorized_networks_config": _authorized(spec.gke.public_endpoint_cidrs),
    }


def _security(args: ClusterArgs) -> dict[str, Any]:
    """Secrets encrypted with the project's key, pods with identities of their own, and nobody let in by a certificate."""
    return {
        "database_encryption": container.ClusterDatabaseEncryptionArgs(state="ENCRYPTED", key_name=args.keys.cluster.id),
        "workload_identity_config": container.ClusterWorkloadIdentityConfigArgs(
            workload_pool=f"{args.spec.project}.svc.id.goog"
        ),
        "master_auth": container.ClusterMasterAuthArgs(
            client_certificate_config=container.ClusterMasterAuthClientCertificateConfigArgs(issue_client_certificate=False)
        ),
        "enable_shielded_nodes": True,
        "enable_legacy_abac": False,
        "security_posture_config": container.ClusterSecurityPostureConfigArgs(
            mode="BASIC", vulnerability_mode="VULNERABILITY_DISABLED"
        ),
    }


def _first_nodes(args: ClusterArgs) -> dict[str, Any]:
    """GKE makes no cluster without nodes: its first ones go at once, and have no more rights than the others."""
    return {
        "remove_default_node_pool": True,
        "initial_node_count": 1,
        "node_config": container.ClusterNodeConfigArgs(
            service_account=args.nodes.email, boot_disk_kms_key=args.keys.disks.id, **node_config()
        ),
    }


def _authorized(cidrs: Sequence[str]) -> container.ClusterMasterAuthorizedNetworksConfigArgs:
    """Who reaches the API beside the subnet itself; nobody where none is named."""
    blocks = [container.ClusterMasterAuthorizedNetworksConfigCidrBlockArgs(cidr_block=cidr) for cidr in cidrs]
    return container.ClusterMasterAuthorizedNetworksConfigArgs(cidr_blocks=blocks, gcp_public_cidrs_access_enabled=False)


def _addons(*, ray_operator: bool) -> container.ClusterAddonsConfigArgs:
    """GKE's own operator of Ray where none is installed here: it has the webhook by which a slice's hosts find each other."""
    return container.ClusterAddonsConfigArgs(
        http_load_balancing=container.ClusterAddonsConfigHttpLoadBalancingArgs(disabled=False),
        gce_persistent_disk_csi_driver_config=container.ClusterAddonsConfigGcePersistentDiskCsiDriverConfigArgs(enabled=True),
        dns_cache_config=container.ClusterAddonsConfigDnsCacheConfigArgs(enabled=True),
        ray_operator_configs=[
            container.ClusterAddonsConfigRayOperatorConfigArgs(
                enabled=True,
                ray_cluster_logging_config=container.ClusterAddonsConfigRayOperatorConfigRayClusterLoggingConfigArgs(
                    enabled=True
                ),
                ray_cluster_monitoring_config=container.ClusterAddonsConfigRayOperatorConfigRayClusterMonitoringConfigArgs(
                    enabled=True
                ),
            )
        ]
        if ray_operator
        else None,
    )


def kubeconfig(name: str, endpoint: str, authority: str) -> str:
    """A kubeconfig of a cluster, as JSON, which holds no credential: gcloud's plugin finds the caller's at each call.

    Args:
        name: What cluster, user and context are called.
        endpoint: The API server's address.
        authority: Its certificate authority's certificate, PEM in base64.
    """
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "gke-gcloud-auth-plugin",
        "installHint": "install google-cloud-cli-gke-gcloud-auth-plugin",
        "interactiveMode": "Never",
        "provideClusterInfo": True,
    }
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": name, "cluster": {"server": f"https://{endpoint}", "certificate-authority-data": authority}}
            ],
            "users": [{"name": name, "user": {"exec": plugin}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
    )
