"""What AWS gives: network, keys, cluster with its nodes, bucket, database and registry, for what runs in the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pulumi
import pulumi_aws as aws

from heliostat.platforms.aws import policies
from heliostat.platforms.aws.addons import Addons, AddonsArgs, BaseAddons
from heliostat.platforms.aws.cluster import Cluster
from heliostat.platforms.aws.database import Database, DatabaseArgs
from heliostat.platforms.aws.identity import Keys, ServiceRole, pod_identity
from heliostat.platforms.aws.names import Names
from heliostat.platforms.aws.network import Network, addresses
from heliostat.platforms.aws.nodes import Nodes, NodesArgs
from heliostat.platforms.aws.observability import Costs, Logs
from heliostat.platforms.aws.registry import Registry
from heliostat.platforms.aws.scope import Scope, tags_of
from heliostat.platforms.aws.store import Store
from heliostat.platforms.underlay import Underlay
from heliostat.spec.machines import Pool
from heliostat.spec.platforms.aws import AwsPlatform as Spec
from heliostat.spec.platforms.cluster import TrafficPods

SERVICE_ACCOUNTS: Final = ("ray", "mlflow", "controller")
"""Whose pods read and write the bucket."""
_BALANCER: Final = "service.beta.kubernetes.io/aws-load-balancer"


class AwsUnderlay(pulumi.ComponentResource):
    """Everything of the platform that is not in the cluster."""

    def __init__(
        self,
        name: str,
        spec: Spec,
        names: Names,
        pools: Mapping[str, Pool],
        password: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Make it; `password` is to be the database's."""
        super().__init__("heliostat:aws:Underlay", name, {}, opts)
        self._spec, self._pools = spec, pools
        self._scope = scope = Scope(names, tags_of(spec.tags), spec.on_destroy)
        provider = aws.Provider(
            "aws",
            region=spec.region,
            # Another account's credentials are refused before anything is asked for.
            allowed_account_ids=[spec.account],
            # What something made here is tagged with that forgets its tags.
            default_tags=aws.ProviderDefaultTagsArgs(tags=dict(scope.tags)),
            opts=scope.child(self),
        )
        self._inside = inside = pulumi.ResourceOptions(parent=self, providers=[provider])
        self._keys = Keys("keys", scope, inside)
        self._logs = Logs("logs", spec.eks.log_days, self._keys.cluster.arn, scope, inside)
        self._network = Network("network", spec.network, scope, self._logs.network, inside)
        self._store = Store("store", spec.bucket, self._keys.data.arn, scope, inside)
        self.registry = Registry("registry", scope, inside)
        if spec.budget is not None:
            Costs("costs", spec.budget, scope, inside)
        self._cluster = Cluster(
            "cluster",
            spec.eks,
            scope,
            subnet_ids=self._network.private_subnet_ids,
            key_arn=self._keys.cluster.arn,
            log_group=self._logs.cluster,
            opts=inside,
        )
        ready = [*self._in_cluster(), *self._identities(), *self._store.ready]
        self.under = Underlay(
            provider=self._cluster.provider,
            cluster={"kind": "eks", "region": names.region, "name": names.cluster},
            store=self._store.address,
            database_uri=self._database(password).uri,
            environment={"AWS_REGION": names.region, "AWS_DEFAULT_REGION": names.region},
            load_balancer_annotations=balancer(spec.traffic, scope.tags),
            # The control plane has addresses in the nodes' own subnets.
            api_server_cidrs=[addresses(spec.network.cidr, zone).private for zone in spec.network.zones],
            api_server_host=self._cluster.eks.endpoint.apply(lambda url: url.removeprefix("https://")),
            system_nodes=spec.eks.system_nodes,
            ready=tuple(ready),
        )
        self.register_outputs({"cluster": names.cluster, "images": self.registry.url})

    def _in_cluster(self) -> list[pulumi.Resource]:
        """The nodes, and the add-ons before and after them."""
        eks, scope = self._spec.eks, self._scope
        base = BaseAddons("base-addons", self._cluster, scope, self._inside)
        nodes = Nodes(
            "nodes",
            eks,
            scope,
            NodesArgs(self._cluster.name, self._network, self._spec.groups, self._pools, base.ready),
            self._inside,
        )
        gpus = any(pool.machine.accelerators for pool in self._pools.values())
        args = AddonsArgs(eks.version, self._keys.cluster.arn, gpus, (nodes.system,))
        addons = Addons("addons", self._cluster, scope, args, self._inside)
        return [*base.ready, *nodes.ready, *addons.ready]

    def _identities(self) -> list[pulumi.Resource]:
        """A role for each service account that uses the bucket."""
        scope, key_arn = self._scope, pulumi.Output.from_input(self._keys.data.arn)
        rights: dict[str, pulumi.Input[Mapping[str, Any]]] = {
            "objects": policies.objects(scope.names.bucket_arn(self._spec.bucket)),
            "key": key_arn.apply(policies.objects_key),
        }
        trust = policies.pods_trust(scope.names)
        roles = {each: ServiceRole(each, scope, trust, rights=rights, opts=self._inside) for each in SERVICE_ACCOUNTS}
        return [
            pod_identity(
                role,
                each,
                cluster=self._cluster.name,
                namespace=self._spec.namespace,
                account=each,
                scope=scope,
                parent=role,
            )
            for each, role in roles.items()
        ]

    def _database(self, password: pulumi.Input[str]) -> Database:
        args = DatabaseArgs(
            vpc_id=self._network.vpc.id,
            subnet_ids=self._network.private_subnet_ids,
            clients=self._cluster.security_group_id,
            key_arn=self._keys.data.arn,
            password=password,
            log_groups=self._logs.database,
        )
        return Database("database", self._spec.rds, self._scope, args, self._inside)


def balancer(traffic: TrafficPods, tags: Mapping[str, str]) -> dict[str, str]:
    """What the traffic plane's service says of a load balancer: a network one, in the VPC unless it is to be outside."""
    found = {
        f"{_BALANCER}-type": "nlb",
        f"{_BALANCER}-cross-zone-load-balancing-enabled": "true",
        f"{_BALANCER}-additional-resource-tags": ",".join(f"{key}={value}" for key, value in tags.items()),
    }
    return {**found, **({f"{_BALANCER}-internal": "true"} if traffic.internal else {})}
