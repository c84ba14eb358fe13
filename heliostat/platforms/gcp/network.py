"""The network: one subnet whose nodes have no public addresses, its way out, and Google's services inside of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
from pulumi_gcp import compute, servicenetworking

from heliostat.spec.platforms.gcp import GcpNetwork

PODS, SERVICES = "pods", "services"
"""The subnet's secondary ranges."""


@dataclass(frozen=True)
class NetworkArgs:
    """What the network is made of."""

    prefix: str
    """What names begin with."""
    region: str
    spec: GcpNetwork
    ready: Sequence[pulumi.Resource]
    """What has to be there before: Google Cloud's interfaces."""
    keep: bool
    """Whether the network, and the way to the database in it, outlive `destroy`: a database that does needs both."""


class Network(pulumi.ComponentResource):
    """A VPC with one subnet. Nothing comes in but what is let in: Google Cloud's default without any rule."""

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions) -> None:
        super().__init__("heliostat:gcp:Network", name, {}, opts)
        kept = pulumi.ResourceOptions(parent=self, retain_on_delete=args.keep)
        first = pulumi.ResourceOptions(parent=self, retain_on_delete=args.keep, depends_on=args.ready)
        # No name of its own: one that was kept must not be in the way of the next.
        self.network = compute.Network(
            f"{args.prefix}-network", auto_create_subnetworks=False, routing_mode="REGIONAL", opts=first
        )
        self.subnet = self._subnet(args)
        self._way_out(args)
        self.database_access = self._database_access(args, kept)
        """Has to be there before a database gets its address."""
        self.register_outputs({"network": self.network.id})

    def _subnet(self, args: NetworkArgs) -> compute.Subnetwork:
        ranges = {PODS: args.spec.pods_cidr, SERVICES: args.spec.services_cidr}
        return compute.Subnetwork(
            f"{args.prefix}-nodes",
            network=self.network.id,
            region=args.region,
            ip_cidr_range=args.spec.cidr,
            secondary_ip_ranges=[
                compute.SubnetworkSecondaryIpRangeArgs(range_name=name, ip_cidr_range=cidr) for name, cidr in ranges.items()
            ],
            private_ip_google_access=True,
            log_config=compute.SubnetworkLogConfigArgs(
                aggregation_interval="INTERVAL_10_MIN", flow_sampling=0.1, metadata="INCLUDE_ALL_METADATA"
            ),
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _way_out(self, args: NetworkArgs) -> None:
        child = pulumi.ResourceOptions(parent=self)
        router = compute.Router(f"{args.prefix}-router", network=self.network.id, region=args.region, opts=child)
        compute.RouterNat(
            f"{args.prefix}-nat",
            router=router.name,
            region=args.region,
            nat_ip_allocate_option="AUTO_ONLY",
            source_subnetwork_ip_ranges_to_nat="LIST_OF_SUBNETWORKS",
            subnetworks=[compute.RouterNatSubnetworkArgs(name=self.subnet.id, source_ip_ranges_to_nats=["ALL_IP_RANGES"])],
            log_config=compute.RouterNatLogConfigArgs(enable=True, filter="ERRORS_ONLY"),
            opts=child,
        )

    def _database_access(self, args: NetworkArgs, kept: pulumi.ResourceOptions) -> pulumi.Resource:
        block = IPv4Network(args.spec.database_cidr)
        addresses = compute.GlobalAddress(
            f"{args.prefix}-services",
            network=self.network.id,
            purpose="VPC_PEERING",
            address_type="INTERNAL",
            address=str(block.network_address),
            prefix_length=block.prefixlen,
            opts=kept,
        )
        return servicenetworking.Connection(
            f"{args.prefix}-services",
            network=self.network.id,
            service="servicenetworking.googleapis.com",
            reserved_peering_ranges=[addresses.name],
            # Google refuses to delete it for days after the last database is gone; the network takes it along.
            deletion_policy="ABANDON",
            opts=kept,
        )


def let_control_plane_in(
    prefix: str,
    network: compute.Network,
    control_plane_cidr: str,
    nodes: pulumi.Input[str],
    ports: Sequence[int],
    opts: pulumi.ResourceOptions,
) -> compute.Firewall:
    """Let the API server reach services through its proxy, and webhooks: GKE itself lets it reach kubelets and port 443 only.

    Args:
        prefix: What the name begins with.
        network: The VPC.
        control_plane_cidr: Where the API server is.
        nodes: The service account of the nodes.
        ports: Of the pods.
        opts: Options of the rule.
    """
    return compute.Firewall(
        f"{prefix}-control-plane",
        network=network.id,
        direction="INGRESS",
        source_ranges=[control_plane_cidr],
        target_service_accounts=[nodes],
        allows=[compute.FirewallAllowArgs(protocol="tcp", ports=[str(port) for port in ports])],
        opts=opts,
    )
