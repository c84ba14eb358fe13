"""What is made in Google Cloud itself, and stands below what runs in the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pulumi
import pulumi_gcp as gcp

from heliostat.platforms.gcp.cluster import STORAGE_CLASS, Cluster, ClusterArgs
from heliostat.platforms.gcp.database import Database, DatabaseArgs
from heliostat.platforms.gcp.identity import Keys, NodeIdentity, Project, let_pods_in, pod_member
from heliostat.platforms.gcp.naming import keeps, labels_of, prefix_of
from heliostat.platforms.gcp.network import Network, NetworkArgs, let_control_plane_in
from heliostat.platforms.gcp.pools import NodePool, cloud_pools, node_pools
from heliostat.platforms.gcp.registry import Registry
from heliostat.platforms.gcp.store import Store
from heliostat.platforms.kubernetes import controller, mlflow, ray_cluster
from heliostat.platforms.kubernetes.site import CONTROLLER, MLFLOW, RAY
from heliostat.platforms.underlay import Underlay
from heliostat.spec.machines import Pool
from heliostat.spec.platforms.gcp import GcpPlatform as Spec

_PROXIED_PORTS: Final = (mlflow.PORT, ray_cluster.DASHBOARD, controller.PORT)
"""Of pods that the API server's proxy leads to."""


class Foundation(pulumi.ComponentResource):
    """A project's network, keys, bucket, database, registry and cluster, by a provider of its own.

    Raises:
        pulumi.RunError: names, addresses or machines do not fit; with every mistake.
    """

    pools: Mapping[str, Pool]
    """The machines of each group."""

    def __init__(self, name: str, spec: Spec, password: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
        prefix, self.pools, declared = _decided(spec)
        labels = labels_of(spec.tags)
        google = gcp.Provider(
            prefix,
            project=spec.project,
            region=spec.region,
            default_labels=labels,
            add_pulumi_attribution_label=False,
            opts=opts,
        )
        own = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(providers=[google]))
        super().__init__("heliostat:gcp:Foundation", name, {}, own)
        child, keep = pulumi.ResourceOptions(parent=self), keeps(spec)
        project = Project("project", child)
        keys = Keys("keys", prefix, spec.region, project, keep, child)
        network = Network("network", NetworkArgs(prefix, spec.region, spec.network, project.services, keep), child)
        store = Store("store", spec.bucket, spec.region, keys.store, keep, child)
        database = Database(
            "database",
            DatabaseArgs(
                prefix,
                spec.region,
                spec.cloud_sql,
                network.network,
                network.database_access,
                keys.database,
                labels,
                password,
                keep,
            ),
            child,
        )
        nodes = NodeIdentity("nodes", prefix, spec.project, project.services, child)
        self.images = Registry("registry", prefix, spec.region, keys.registry, [nodes.member], child).uri
        """Where images are pushed to."""
        cluster = Cluster("cluster", ClusterArgs(prefix, spec, labels, network, nodes, keys, declared), child)
        let_control_plane_in(prefix, network.network, spec.network.control_plane_cidr, nodes.email, _PROXIED_PORTS, child)
        members = {each: pod_member(spec.project, project.number, spec.namespace, each) for each in (RAY, MLFLOW, CONTROLLER)}
        # An identity of the cluster's pods is known once there is a cluster in the project.
        rights = let_pods_in(prefix, store.bucket, members, _after(child, cluster))
        self.services_spec = spec.model_copy(update={"storage_class": spec.storage_class or STORAGE_CLASS})
        """The config as what runs in the cluster takes it."""
        self.underlay = Underlay(
            provider=cluster.provider,
            cluster={"kind": "gke", "project": spec.project, "location": spec.region, "name": cluster.name},
            store=store.address,
            database_uri=database.uri,
            environment={"GOOGLE_CLOUD_PROJECT": spec.project},
            load_balancer_annotations={"networking.gke.io/load-balancer-type": "Internal"} if spec.traffic.internal else {},
            api_server_cidrs=[spec.network.control_plane_cidr],
            api_server_host=cluster.cluster.endpoint,
            ready=(cluster.storage_class, *cluster.pools.values(), *rights),
        )
        self.register_outputs({"images": self.images})


def _after(opts: pulumi.ResourceOptions, cluster: Cluster) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[cluster.cluster]))


def _decided(spec: Spec) -> tuple[str, Mapping[str, Pool], list[NodePool]]:
    """What names begin with, the groups' machines and the node pools.

    Raises:
        pulumi.RunError: something does not fit.
    """
    try:
        prefix = prefix_of(spec, pulumi.get_stack())
        pools = cloud_pools(spec)
        return prefix, pools, node_pools(spec, pools)
    except ValueError as error:
        raise pulumi.RunError(f"heliostat:platform: {error}") from None
