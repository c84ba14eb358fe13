"""The Kubernetes cluster: EKS, whose users are access entries, and whose secrets are encrypted with a key of ours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_aws import eks

from heliostat.platforms.aws import policies
from heliostat.platforms.aws.identity import ServiceRole
from heliostat.platforms.aws.scope import Scope
from heliostat.spec.platforms.aws import Eks

_LOGS = ("api", "audit", "authenticator", "controllerManager", "scheduler")
_ADMIN = "cluster-access-policy/AmazonEKSClusterAdminPolicy"


class Cluster(pulumi.ComponentResource):
    """The control plane, and who may do everything in it."""

    def __init__(
        self,
        name: str,
        spec: Eks,
        scope: Scope,
        *,
        subnet_ids: Sequence[pulumi.Input[str]],
        key_arn: pulumi.Input[str],
        log_group: pulumi.Resource,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("heliostat:aws:Cluster", name, {}, opts)
        self._scope = scope
        role = ServiceRole(
            "cluster",
            scope,
            policies.trust("eks.amazonaws.com"),
            managed=("AmazonEKSClusterPolicy",),
            opts=scope.child(self),
        )
        self.eks = eks.Cluster(
            "cluster",
            name=scope.names.cluster,
            version=spec.version,
            role_arn=role.arn,
            vpc_config=_endpoints(spec, subnet_ids),
            access_config=eks.ClusterAccessConfigArgs(
                authentication_mode="API", bootstrap_cluster_creator_admin_permissions=True
            ),
            # All of them are add-ons, which EKS maintains.
            bootstrap_self_managed_addons=False,
            encryption_config=eks.ClusterEncryptionConfigArgs(
                provider=eks.ClusterEncryptionConfigProviderArgs(key_arn=key_arn), resources=["secrets"]
            ),
            enabled_cluster_log_types=list(_LOGS),
            tags=scope.tagged(),
            opts=scope.child(self, depends_on=[*role.rights, log_group]),
        )
        self.name: pulumi.Output[str] = self.eks.name
        admins = [access for arn in spec.admins for access in self._admin(arn)]
        self.security_group_id: pulumi.Output[str] = self.eks.vpc_config.cluster_security_group_id
        """Of the control plane, the nodes and the pods; EKS makes it."""
        self.provider = kubernetes.Provider(
            "cluster",
            kubeconfig=self._kubeconfig(),
            enable_server_side_apply=True,
            # A cluster that does not answer is no reason to forget what is in it.
            delete_unreachable=False,
            opts=scope.child(self, depends_on=admins),
        )
        self.register_outputs({"name": self.name})

    def _admin(self, arn: str) -> list[pulumi.Resource]:
        scope, name = self._scope, arn.rpartition(":")[2].replace("/", "-")
        entry = eks.AccessEntry(
            name, cluster_name=self.name, principal_arn=arn, type="STANDARD", tags=scope.tagged(), opts=scope.child(self)
        )
        policy = eks.AccessPolicyAssociation(
            name,
            cluster_name=self.name,
            principal_arn=entry.principal_arn,
            policy_arn=f"arn:{scope.names.partition}:eks::aws:{_ADMIN}",
            access_scope=eks.AccessPolicyAssociationAccessScopeArgs(type="cluster"),
            opts=scope.child(self),
        )
        return [entry, policy]

    def _kubeconfig(self) -> pulumi.Output[str]:
        parts = pulumi.Output.all(endpoint=self.eks.endpoint, authority=self.eks.certificate_authority.data)
        names = self._scope.names
        return parts.apply(lambda it: json.dumps(kubeconfig(names.cluster, names.region, it["endpoint"], it["authority"])))


def kubeconfig(cluster: str, region: str, endpoint: str, authority: str) -> dict[str, Any]:
    """A kubeconfig whose tokens are AWS's own command line's: they last for a quarter of an hour, so none stands in it."""
    command = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "aws",
        "args": ["--region", region, "eks", "get-token", "--cluster-name", cluster, "--output", "json"],
        "interactiveMode": "Never",
    }
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": endpoint, "certificate-authority-data": authority}}],
        "users": [{"name": cluster, "user": {"exec": command}}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": cluster}}],
        "current-context": cluster,
    }


def _endpoints(spec: Eks, subnet_ids: Sequence[pulumi.Input[str]]) -> eks.ClusterVpcConfigArgs:
    """Where its API answers: in the network, and outside for those who are named."""
    public = list(spec.public_endpoint_cidrs)
    return eks.ClusterVpcConfigArgs(
        subnet_ids=subnet_ids,
        endpoint_private_access=True,
        endpoint_public_access=bool(public),
        public_access_cidrs=public or None,
    )
