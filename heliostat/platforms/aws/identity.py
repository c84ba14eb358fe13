"""Who may do what: the keys that data is encrypted with, and a role for each kind of pod, by EKS's Pod Identity."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi_aws import eks, iam, kms

from heliostat.platforms.aws import policies
from heliostat.platforms.aws.scope import Scope


class Keys(pulumi.ComponentResource):
    """The key of bucket and database, and the key of the cluster: its secrets, volumes and logs."""

    def __init__(self, name: str, scope: Scope, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("heliostat:aws:Keys", name, {}, opts)
        self._scope = scope
        self.data = self._key("data", policies.key(scope.names), "bucket and database")
        self.cluster = self._key("cluster", policies.cluster_key(scope.names), "secrets, volumes and logs")
        self.register_outputs({"data": self.data.arn, "cluster": self.cluster.arn})

    def _key(self, name: str, policy: dict[str, Any], what: str) -> kms.Key:
        base = self._scope.names.base
        key = kms.Key(
            name,
            description=f"{base}: {what}",
            policy=json.dumps(policy),
            enable_key_rotation=True,
            # AWS takes a deletion back for that long: what was encrypted with a key is lost with it.
            deletion_window_in_days=30,
            tags=self._scope.tagged(f"{base}-{name}"),
            opts=self._scope.protected(self),
        )
        kms.Alias(name, name=f"alias/{base}-{name}", target_key_id=key.key_id, opts=self._scope.child(self))
        return key


class ServiceRole(pulumi.ComponentResource):
    """A role that a service of AWS acts as, or pods do, with the rights that it needs and no others."""

    def __init__(
        self,
        purpose: str,
        scope: Scope,
        trust: Mapping[str, Any],
        *,
        managed: tuple[str, ...] = (),
        rights: Mapping[str, pulumi.Input[Mapping[str, Any]]] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Make the role `purpose`: policies that AWS maintains, by name, and its own `rights` by theirs."""
        super().__init__("heliostat:aws:ServiceRole", purpose, {}, opts)
        child = scope.child(self)
        self.role = iam.Role(
            purpose,
            name=scope.names.role(purpose),
            assume_role_policy=json.dumps(trust),
            tags=scope.tagged(scope.names.role(purpose)),
            opts=child,
        )
        attached = [
            iam.RolePolicyAttachment(
                f"{purpose}-{policy.rpartition('/')[2]}",
                role=self.role.name,
                policy_arn=scope.names.managed_policy(policy),
                opts=child,
            )
            for policy in managed
        ]
        own = [
            iam.RolePolicy(f"{purpose}-{each}", name=each, role=self.role.name, policy=_text(policy), opts=child)
            for each, policy in (rights or {}).items()
        ]
        self.arn: pulumi.Output[str] = self.role.arn
        self.rights: tuple[pulumi.Resource, ...] = (*attached, *own)
        """What has to be there before the role is of use."""
        self.register_outputs({"arn": self.arn})


def _text(policy: pulumi.Input[Mapping[str, Any]]) -> pulumi.Input[str]:
    """A policy as AWS takes it; in a preview it is known unless a part of it is not."""
    return json.dumps(policy) if isinstance(policy, Mapping) else pulumi.Output.json_dumps(policy)


def pod_identity(
    role: ServiceRole,
    name: str,
    *,
    cluster: pulumi.Input[str],
    namespace: str,
    account: str,
    scope: Scope,
    parent: pulumi.Resource,
) -> eks.PodIdentityAssociation:
    """Let the pods of a service account act as a role. Only pods that start afterwards do."""
    return eks.PodIdentityAssociation(
        name,
        cluster_name=cluster,
        namespace=namespace,
        service_account=account,
        role_arn=role.arn,
        tags=scope.tagged(scope.names.role(name)),
        opts=scope.child(parent, depends_on=role.rights),
    )
