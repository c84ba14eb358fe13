"""The nodes: a group for the system, which always stands, and one for each group of Ray's workers, which may be empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import autoscaling, ec2, eks

from heliostat.platforms.aws import policies
from heliostat.platforms.aws.identity import ServiceRole
from heliostat.platforms.aws.network import Network
from heliostat.platforms.aws.scope import Scope
from heliostat.spec.accelerators import Group
from heliostat.spec.machines import GROUP_LABEL, Pool, Taint, taints_of
from heliostat.spec.platforms.aws import Eks

GPU_LABEL: Final = "nvidia.com/gpu.present"
"""What NVIDIA's device plugin looks for."""
CAPACITY_LABEL: Final = "eks.amazonaws.com/capacityType"
"""EKS's own."""
SYSTEM_DISK_GIB: Final = 100
_ACCELERATOR_LABEL: Final = "k8s.amazonaws.com/accelerator"
"""By this the autoscaler knows that a node is not ready before its GPUs are."""
_TEMPLATE: Final = "k8s.io/cluster-autoscaler/node-template"
_EFFECTS: Final = {"NoSchedule": "NO_SCHEDULE"}


def image_of(pool: Pool) -> str:
    """The kind of image that a pool's nodes start from: Amazon Linux 2023, with NVIDIA's driver where there are GPUs."""
    return f"AL2023_{pool.machine.architecture}_{'NVIDIA' if pool.machine.accelerators else 'STANDARD'}"


def labels_of(name: str, pool: Pool) -> dict[str, str]:
    """The labels of a group's nodes, beside those that EKS sets by itself."""
    gpu = pool.machine.accelerator
    return {GROUP_LABEL: name, **({GPU_LABEL: "true", _ACCELERATOR_LABEL: gpu.lower()} if gpu else {})}


def template_of(
    pool: Pool, labels: Mapping[str, str], taints: Sequence[Taint], capacity: str, disk_gib: int
) -> dict[str, str]:
    """What the autoscaler is told of a group that has no node to look at, as tags of its scaling group."""
    told = {f"{_TEMPLATE}/label/{key}": value for key, value in {**labels, CAPACITY_LABEL: capacity}.items()}
    told |= {f"{_TEMPLATE}/taint/{each.key}": f"{each.value}:{each.effect}" for each in taints}
    told[f"{_TEMPLATE}/resources/ephemeral-storage"] = f"{disk_gib}Gi"
    if pool.machine.accelerators:
        told[f"{_TEMPLATE}/resources/nvidia.com/gpu"] = str(pool.machine.accelerators)
    return told


@dataclass(frozen=True)
class NodesArgs:
    """Where nodes are, and of what."""

    cluster: pulumi.Input[str]
    """The cluster's name."""
    network: Network
    groups: Mapping[str, Group]
    pools: Mapping[str, Pool]
    """The machines of each group."""
    after: Sequence[pulumi.Resource]
    """What a node needs to become ready."""


class Nodes(pulumi.ComponentResource):
    """All node groups, with the role that their machines have."""

    def __init__(
        self,
        name: str,
        spec: Eks,
        scope: Scope,
        args: NodesArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("heliostat:aws:Nodes", name, {}, opts)
        self._spec, self._scope, self._cluster, self._network = spec, scope, args.cluster, args.network
        self._role = ServiceRole(
            "node",
            scope,
            policies.trust("ec2.amazonaws.com"),
            managed=("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly"),
            opts=scope.child(self),
        )
        self._after = [*self._role.rights, *args.network.ready, *args.after]
        self.system = self._system()
        workers = [self._workers(each, args.groups[each], pool) for each, pool in args.pools.items()]
        self.ready: tuple[pulumi.Resource, ...] = (self.system, *workers)
        self.register_outputs({})

    def _system(self) -> eks.NodeGroup:
        count = self._spec.system_nodes
        return eks.NodeGroup(
            "system",
            node_group_name_prefix="system-",
            ami_type="AL2023_x86_64_STANDARD",
            instance_types=[self._spec.system_machine],
            scaling_config=eks.NodeGroupScalingConfigArgs(min_size=count, desired_size=count, max_size=count),
            subnet_ids=self._network.private_subnet_ids,
            cluster_name=self._cluster,
            version=self._spec.version,
            node_role_arn=self._role.arn,
            labels={GROUP_LABEL: "system"},
            launch_template=self._launch("system", SYSTEM_DISK_GIB),
            update_config=eks.NodeGroupUpdateConfigArgs(max_unavailable=1),
            node_repair_config=eks.NodeGroupNodeRepairConfigArgs(enabled=True),
            tags=self._scope.tagged(f"{self._scope.names.base}-system"),
            opts=self._scope.child(self, depends_on=self._after),
        )

    def _workers(self, name: str, group: Group, pool: Pool) -> eks.NodeGroup:
        labels, taints = labels_of(name, pool), taints_of(name, group, pool)
        # How many there are is the autoscaler's to say, once they are made. Another machine is another group, made before the
        # old one goes, hence a prefix.
        opts = self._scope.child(self, depends_on=self._after, ignore_changes=["scalingConfig.desiredSize"])
        capacity = "SPOT" if group.spot else "ON_DEMAND"
        nodes = eks.NodeGroup(
            name,
            node_group_name_prefix=f"{name}-",
            ami_type=image_of(pool),
            instance_types=[pool.machine.name],
            capacity_type=capacity,
            scaling_config=eks.NodeGroupScalingConfigArgs(min_size=group.min, desired_size=group.min, max_size=group.max),
            subnet_ids=self._network.subnets_of(pool.zones),
            cluster_name=self._cluster,
            version=self._spec.version,
            node_role_arn=self._role.arn,
            labels=labels,
            taints=[eks.NodeGroupTaintArgs(key=it.key, value=it.value, effect=_EFFECTS[it.effect]) for it in taints],
            launch_template=self._launch(name, self._spec.disk_gib),
            update_config=eks.NodeGroupUpdateConfigArgs(max_unavailable=1),
            node_repair_config=eks.NodeGroupNodeRepairConfigArgs(enabled=True),
            tags=self._scope.tagged(f"{self._scope.names.base}-{name}"),
            opts=opts,
        )
        scaling_group = nodes.resources.apply(lambda made: made[0].autoscaling_groups[0].name)
        for key, value in template_of(pool, labels, taints, capacity, self._spec.disk_gib).items():
            # EKS hands a node group's own tags to nothing.
            autoscaling.Tag(
                f"{name}-{key.removeprefix(f'{_TEMPLATE}/')}",
                autoscaling_group_name=scaling_group,
                tag=autoscaling.TagTagArgs(key=key, value=value, propagate_at_launch=False),
                opts=self._scope.child(nodes),
            )
        return nodes

    def _launch(self, name: str, disk_gib: int) -> eks.NodeGroupLaunchTemplateArgs:
        """How a group's machines start: an encrypted disk, and a metadata service that no pod reaches."""
        called = f"{self._scope.names.base}-{name}"
        disk = ec2.LaunchTemplateBlockDeviceMappingEbsArgs(
            volume_size=disk_gib, volume_type="gp3", encrypted="true", delete_on_termination="true"
        )
        template = ec2.LaunchTemplate(
            name,
            name=called,
            update_default_version=True,
            block_device_mappings=[ec2.LaunchTemplateBlockDeviceMappingArgs(device_name="/dev/xvda", ebs=disk)],
            metadata_options=ec2.LaunchTemplateMetadataOptionsArgs(
                http_endpoint="enabled", http_tokens="required", http_put_response_hop_limit=1
            ),
            tag_specifications=[
                ec2.LaunchTemplateTagSpecificationArgs(resource_type=kind, tags=self._scope.tagged(called))
                for kind in ("instance", "volume", "network-interface")
            ],
            tags=self._scope.tagged(called),
            opts=self._scope.child(self),
        )
        version = template.latest_version.apply(str)
        return eks.NodeGroupLaunchTemplateArgs(id=template.id, version=version)
