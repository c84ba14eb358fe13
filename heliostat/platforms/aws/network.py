"""The network: a VPC with a public and a private subnet in each zone. Nodes and the database are in private ones."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import ec2, iam

from heliostat.platforms.aws import policies
from heliostat.platforms.aws.scope import Scope
from heliostat.spec.platforms.aws import ZONES, AwsNetwork

EVERYWHERE: Final = "0.0.0.0/0"


@dataclass(frozen=True)
class Addresses:
    """The networks of one zone."""

    private: str
    public: str


def addresses(cidr: str, zone: str) -> Addresses:
    """The part of a VPC's addresses that a zone has: an eighth for nodes and pods, a sixty-fourth for gateways.

    It follows from the zone's letter alone, so that a zone that comes or goes moves no other.
    """
    place = ZONES.index(zone[-1])
    parts = list(ipaddress.IPv4Network(cidr).subnets(prefixlen_diff=3))
    return Addresses(str(parts[place]), str(list(parts[len(ZONES)].subnets(prefixlen_diff=3))[place]))


class Network(pulumi.ComponentResource):
    """The VPC, its subnets, and the ways out of it."""

    def __init__(
        self,
        name: str,
        spec: AwsNetwork,
        scope: Scope,
        log_group: pulumi.Resource,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Make it; refused connections are noted in `log_group`."""
        super().__init__("heliostat:aws:Network", name, {}, opts)
        self._spec, self._scope, base = spec, scope, scope.names.base
        self.vpc = ec2.Vpc(
            "network",
            cidr_block=spec.cidr,
            enable_dns_hostnames=True,
            enable_dns_support=True,
            tags=scope.tagged(),
            opts=scope.kept(self),
        )
        # Whatever names no security group gets this one, which lets nothing through.
        ec2.DefaultSecurityGroup("default", vpc_id=self.vpc.id, tags=scope.tagged(f"{base}-unused"), opts=scope.child(self))
        public = {zone: self._public(zone) for zone in spec.zones}
        private = {zone: self._private(zone) for zone in spec.zones}
        self._private_subnets = private
        out = self._ways_out(public)
        routes = [*out, *self._ways_through_nat(public, private, out)]
        self.private_subnet_ids = [subnet.id for subnet in private.values()]
        self.ready: tuple[pulumi.Resource, ...] = tuple(routes)
        """What nodes need to get out."""
        self._flow_log(log_group)
        self.register_outputs({"vpcId": self.vpc.id})

    def subnets_of(self, zones: tuple[str, ...]) -> list[pulumi.Output[str]]:
        """The ids of some zones' private subnets."""
        return [self._private_subnets[zone].id for zone in zones]

    def _public(self, zone: str) -> ec2.Subnet:
        name = f"public-{zone}"
        return ec2.Subnet(
            name,
            vpc_id=self.vpc.id,
            availability_zone=zone,
            cidr_block=addresses(self._spec.cidr, zone).public,
            map_public_ip_on_launch=False,
            # Where Kubernetes puts load balancers that the internet reaches.
            tags=self._scope.tagged(f"{self._scope.names.base}-{name}", **{"kubernetes.io/role/elb": "1"}),
            opts=self._scope.child(self),
        )

    def _private(self, zone: str) -> ec2.Subnet:
        name = f"private-{zone}"
        return ec2.Subnet(
            name,
            vpc_id=self.vpc.id,
            availability_zone=zone,
            cidr_block=addresses(self._spec.cidr, zone).private,
            map_public_ip_on_launch=False,
            tags=self._scope.tagged(f"{self._scope.names.base}-{name}", **{"kubernetes.io/role/internal-elb": "1"}),
            opts=self._scope.kept(self),
        )

    def _ways_out(self, public: dict[str, ec2.Subnet]) -> list[pulumi.Resource]:
        """The internet gateway, and the routes of public subnets to it."""
        base, child = self._scope.names.base, self._scope.child(self)
        gateway = ec2.InternetGateway("internet", vpc_id=self.vpc.id, tags=self._scope.tagged(), opts=child)
        table = ec2.RouteTable("public", vpc_id=self.vpc.id, tags=self._scope.tagged(f"{base}-public"), opts=child)
        route = ec2.Route(
            "public", route_table_id=table.id, destination_cidr_block=EVERYWHERE, gateway_id=gateway.id, opts=child
        )
        return [
            route,
            *(
                ec2.RouteTableAssociation(f"public-{zone}", route_table_id=table.id, subnet_id=subnet.id, opts=child)
                for zone, subnet in public.items()
            ),
        ]

    def _ways_through_nat(
        self, public: dict[str, ec2.Subnet], private: dict[str, ec2.Subnet], out: list[pulumi.Resource]
    ) -> list[pulumi.Resource]:
        """The NAT gateways, the routes of private subnets to them, and S3 beside them, which costs nothing."""
        scope, child = self._scope, self._scope.child(self)
        zones = sorted(self._spec.zones) if self._spec.nat_gateway == "per-zone" else [min(self._spec.zones)]
        gateways = {zone: self._nat(zone, public[zone], out) for zone in zones}
        made: list[pulumi.Resource] = []
        tables = []
        for zone, subnet in private.items():
            name = f"private-{zone}"
            tags = scope.tagged(f"{scope.names.base}-{name}")
            table = ec2.RouteTable(name, vpc_id=self.vpc.id, tags=tags, opts=child)
            gateway = gateways.get(zone, gateways[zones[0]])
            made += [
                ec2.Route(
                    name, route_table_id=table.id, destination_cidr_block=EVERYWHERE, nat_gateway_id=gateway.id, opts=child
                ),
                ec2.RouteTableAssociation(name, route_table_id=table.id, subnet_id=subnet.id, opts=child),
            ]
            tables.append(table.id)
        s3 = ec2.VpcEndpoint(
            "s3",
            vpc_id=self.vpc.id,
            service_name=f"com.amazonaws.{scope.names.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=tables,
            tags=scope.tagged(f"{scope.names.base}-s3"),
            opts=child,
        )
        return [*made, s3]

    def _nat(self, zone: str, subnet: ec2.Subnet, out: list[pulumi.Resource]) -> ec2.NatGateway:
        child, tags = self._scope.child(self, depends_on=out), self._scope.tagged(f"{self._scope.names.base}-{zone}")
        address = ec2.Eip(f"nat-{zone}", domain="vpc", tags=tags, opts=child)
        return ec2.NatGateway(f"nat-{zone}", allocation_id=address.id, subnet_id=subnet.id, tags=tags, opts=child)

    def _flow_log(self, log_group: pulumi.Resource) -> None:
        """A note of each connection that was refused."""
        scope, child = self._scope, self._scope.child(self)
        names = scope.names
        here = {"StringEquals": {"aws:SourceAccount": names.account}}
        role = iam.Role(
            "network-log",
            name=names.role("network-log"),
            assume_role_policy=json.dumps(policies.trust("vpc-flow-logs.amazonaws.com", here)),
            tags=scope.tagged(),
            opts=child,
        )
        rights = iam.RolePolicy(
            "network-log", name="write", role=role.name, policy=json.dumps(policies.flow_log(names)), opts=child
        )
        ec2.FlowLog(
            "refused",
            vpc_id=self.vpc.id,
            traffic_type="REJECT",
            log_destination_type="cloud-watch-logs",
            log_destination=names.arn("logs", f"log-group:{names.flow_log_group}"),
            iam_role_arn=role.arn,
            tags=scope.tagged(),
            opts=scope.child(self, depends_on=[rights, log_group]),
        )
