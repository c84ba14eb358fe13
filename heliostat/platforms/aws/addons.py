"""What makes a cluster of EKS usable: add-ons that EKS maintains, a class of volumes, the device plugin, the autoscaler."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_aws import eks

from heliostat.platforms.aws import policies
from heliostat.platforms.aws.cluster import Cluster
from heliostat.platforms.aws.identity import ServiceRole, pod_identity
from heliostat.platforms.aws.nodes import GPU_LABEL
from heliostat.platforms.aws.scope import Scope

SYSTEM: Final = "kube-system"
STORAGE_CLASS: Final = "gp3"
_AUTOSCALER: Final = "cluster-autoscaler"


class PodRole(NamedTuple):
    """A service account of an add-on's, and the role that its pods act as."""

    service_account: str
    role: ServiceRole


@dataclass(frozen=True)
class AddonsArgs:
    """What the add-ons are made with."""

    version: str
    """Kubernetes', which the autoscaler's has to be."""
    key_arn: pulumi.Input[str]
    """The key of volumes."""
    gpus: bool
    """Whether any node may have some."""
    after: Sequence[pulumi.Resource]
    """The nodes that they run on: an add-on whose pods find none is never ready."""


class BaseAddons(pulumi.ComponentResource):
    """What a node needs to become ready: the pods' network, Kubernetes' proxy, and who pods are to AWS."""

    def __init__(self, name: str, cluster: Cluster, scope: Scope, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("heliostat:aws:BaseAddons", name, {}, opts)
        identity = addon("eks-pod-identity-agent", cluster, scope, self)
        role = ServiceRole(
            "cni", scope, policies.pods_trust(scope.names), managed=("AmazonEKS_CNI_Policy",), opts=scope.child(self)
        )
        cni = addon(
            "vpc-cni",
            cluster,
            scope,
            self,
            # Without it the cluster takes network policies and enforces none.
            settings={"enableNetworkPolicy": "true"},
            pods=PodRole("aws-node", role),
            after=(identity,),
        )
        self.ready: tuple[pulumi.Resource, ...] = (identity, cni, addon("kube-proxy", cluster, scope, self))
        self.register_outputs({})


class Addons(pulumi.ComponentResource):
    """What needs nodes to run on: names, volumes, GPUs, and more nodes."""

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        scope: Scope,
        args: AddonsArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("heliostat:aws:Addons", name, {}, opts)
        self._cluster, self._scope, self._after = cluster, scope, tuple(args.after)
        self._inside = scope.child(self, provider=cluster.provider)
        made = [
            addon("coredns", cluster, scope, self, after=self._after),
            *self._volumes(args.key_arn),
            self._autoscaler(args.version),
            *([self._device_plugin()] if args.gpus else []),
        ]
        self.ready: tuple[pulumi.Resource, ...] = tuple(made)
        self.register_outputs({})

    def _volumes(self, key_arn: pulumi.Input[str]) -> list[pulumi.Resource]:
        """EBS's driver, and the class that volumes are of where nobody says another."""
        scope = self._scope
        role = ServiceRole(
            "ebs-csi",
            scope,
            policies.pods_trust(scope.names),
            managed=("service-role/AmazonEBSCSIDriverPolicy",),
            rights={"key": pulumi.Output.from_input(key_arn).apply(policies.volumes_key)},
            opts=scope.child(self),
        )
        tags = {"controller": {"extraVolumeTags": dict(scope.tags)}}
        driver = addon(
            "aws-ebs-csi-driver",
            self._cluster,
            scope,
            self,
            settings=tags,
            pods=PodRole("ebs-csi-controller-sa", role),
            after=self._after,
        )
        gp3 = kubernetes.storage.v1.StorageClass(
            STORAGE_CLASS,
            metadata={
                "name": STORAGE_CLASS,
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            provisioner="ebs.csi.aws.com",
            parameters={"type": "gp3", "encrypted": "true", "kmsKeyId": key_arn},
            # A volume is in one zone: where its pod goes.
            volume_binding_mode="WaitForFirstConsumer",
            allow_volume_expansion=True,
            reclaim_policy="Delete",
            opts=pulumi.ResourceOptions.merge(self._inside, pulumi.ResourceOptions(depends_on=[driver])),
        )
        return [driver, gp3]

    def _device_plugin(self) -> kubernetes.helm.v3.Release:
        values = {"nodeSelector": {GPU_LABEL: "true"}}
        return self._release("nvidia-device-plugin", "0.18.2", "https://nvidia.github.io/k8s-device-plugin", values)

    def _autoscaler(self, version: str) -> kubernetes.helm.v3.Release:
        """What makes nodes for pods that find none, and takes away those that nobody needs."""
        scope, names = self._scope, self._scope.names
        role = ServiceRole(
            "autoscaler",
            scope,
            policies.pods_trust(names),
            rights={"scale": policies.autoscaler(names)},
            opts=scope.child(self),
        )
        identity = pod_identity(
            role,
            "autoscaler",
            cluster=self._cluster.name,
            namespace=SYSTEM,
            account=_AUTOSCALER,
            scope=scope,
            parent=self,
        )
        values = {
            "cloudProvider": "aws",
            "awsRegion": names.region,
            "autoDiscovery": {"clusterName": names.cluster},
            "fullnameOverride": _AUTOSCALER,
            "image": {"tag": f"v{version}.0"},
            "rbac": {"serviceAccount": {"create": True, "name": _AUTOSCALER}},
            # Ray's workers have volumes of their node: for those alone no node is kept.
            "extraArgs": {"expander": "least-waste", "skip-nodes-with-local-storage": "false"},
        }
        return self._release(_AUTOSCALER, "9.59.0", "https://kubernetes.github.io/autoscaler", values, identity)

    def _release(
        self, chart: str, version: str, repository: str, values: dict[str, Any], *after: pulumi.Resource
    ) -> kubernetes.helm.v3.Release:
        return kubernetes.helm.v3.Release(
            chart,
            kubernetes.helm.v3.ReleaseArgs(
                chart=chart,
                version=version,
                name=chart,
                namespace=SYSTEM,
                repository_opts=kubernetes.helm.v3.RepositoryOptsArgs(repo=repository),
                values=values,
            ),
            pulumi.ResourceOptions.merge(self._inside, pulumi.ResourceOptions(depends_on=[*self._after, *after])),
        )


def addon(
    name: str,
    cluster: Cluster,
    scope: Scope,
    parent: pulumi.Resource,
    *,
    settings: dict[str, Any] | None = None,
    pods: PodRole | None = None,
    after: tuple[pulumi.Resource, ...] = (),
) -> eks.Addon:
    """An add-on of EKS in the version that EKS prefers, whose `pods` act as a role."""
    identities = None
    if pods is not None:
        identities = [eks.AddonPodIdentityAssociationArgs(role_arn=pods.role.arn, service_account=pods.service_account)]
    return eks.Addon(
        name,
        addon_name=name,
        cluster_name=cluster.name,
        configuration_values=None if settings is None else json.dumps(settings),
        pod_identity_associations=identities,
        resolve_conflicts_on_create="OVERWRITE",
        resolve_conflicts_on_update="OVERWRITE",
        tags=scope.tagged(),
        opts=scope.child(parent, depends_on=[*after, *(pods.role.rights if pods else ())]),
    )
