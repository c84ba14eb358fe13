"""What is made in Google Cloud itself, and stands below what runs in the cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pulumi
import pulumi_gcp as gcp
from pulumi_gcp import storage

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
        self._prefix, self._spec, self._labels = prefix, spec, labels_of(spec.tags)
        google = gcp.Provider(
            prefix,
            project=spec.project,
            region=spec.region,
            default_labels=self._labels,
            add_pulumi_attribution_label=False,
            opts=opts,
        )
        super().__init__(
            "heliostat:gcp:Foundation",
            name,
            {},
            pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(providers=[google])),
        )
        self._child, keep = pulumi.ResourceOptions(parent=self), keeps(spec)
        project = Project("project", self._child)
        keys = Keys("keys", prefix, spec.region, project, keep, self._child)
        network = Network("network", NetworkArgs(prefix, spec.region, spec.network, project.services, keep), self._child)
        store = Store("store", spec.bucket, spec.region, keys.store, keep, self._child)
        database = self._database(network, keys, password)
        nodes = NodeIdentity("nodes", prefix, spec.project, project.services, self._child)
        self.images = Registry("registry", prefix, spec.region, keys.registry, [nodes.member], self._child).uri
        """Where images are pushed to."""
        args = ClusterArgs(prefix, spec, self._labels, network, nodes, keys, declared)
        cluster = Cluster("cluster", args, self._child)
        let_control_plane_in(
            prefix, network.network, spec.network.control_plane_cidr, nodes.email, _PROXIED_PORTS, self._child
        )
        self.services_spec = spec.model_copy(update={"storage_class": spec.storage_class or STORAGE_CLASS})
        """The config as what runs in the cluster takes it."""
        self.underlay = self._underlay(cluster, store, database.uri, self._rights(project, store, cluster))
        self.register_outputs({"images": self.images})

    def _database(self, network: Network, keys: Keys, password: pulumi.Input[str]) -> Database:
        args = DatabaseArgs(
            prefix=self._prefix,
            region=self._spec.region,
            spec=self._spec.cloud_sql,
            network=network.network,
            access=network.database_access,
            key=keys.database,
            labels=self._labels,
            password=password,
            keep=keeps(self._spec),
        )
        return Database("database", args, self._child)

    def _rights(self, project: Project, store: Store, cluster: Cluster) -> list[storage.BucketIAMMember]:
        """What pods may do with the bucket."""
        spec = self._spec
        members = {each: pod_member(spec.project, project.number, spec.namespace, each) for each in (RAY, MLFLOW, CONTROLLER)}
        # The identities of a project's pods begin with its first cluster.
        after = pulumi.ResourceOptions(parent=self, depends_on=[cluster.cluster])
        return let_pods_in(self._prefix, store.bucket, members, after)

    def _underlay(
        self, cluster: Cluster, store: Store, database_uri: pulumi.Output[str], rights: Sequence[pulumi.Resource]
    ) -> Underlay:
        spec = self._spec
        return Underlay(
            provider=cluster.provider,
            cluster={"kind": "gke", "project": spec.project, "location": spec.region, "name": cluster.name},
            store=store.address,
            database_uri=database_uri,
            environment={"GOOGLE_CLOUD_PROJECT": spec.project},
            load_balancer_annotations={"networking.gke.io/load-balancer-type": "Internal"} if spec.traffic.internal else {},
            api_server_cidrs=[spec.network.control_plane_cidr],
            api_server_host=cluster.cluster.endpoint,
            system_nodes=spec.system_nodes,
            ready=(cluster.storage_class, *cluster.pools.values(), *rights),
        )


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
