# Made by scripts/policy_prices.py of heliostat/pricing: change it there.
"""What AWS's resources cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .hourly import hourly, listed, load_balancer, volume
from .inputs import at, flag, number, text
from .model import HOURS_A_MONTH, ByUse, Finding, Item, Unknown
from .tables import NOWHERE, Table

_NODE_DISK_GIB = 20
"""What a node group's nodes have where it does not say."""
_GATEWAY = "Gateway"
_DISK_TYPE = "diskType"
"""No input of a node group: its launch template's says it."""


def findings(kind: str, name: str, inputs: Any, region: str | None, prices: Table) -> Iterator[Finding]:
    """What a resource of a type costs; nothing where it costs nothing."""
    priced = _PRICED.get(kind)
    if priced is not None:
        yield from priced(name, inputs, region, prices)


def with_disk(group: Mapping[str, Any], template: Any) -> dict[str, Any]:
    """A node group's inputs with the disk that its launch template gives its nodes."""
    disk = at(template, "blockDeviceMappings", 0, "ebs")
    size, kind = number(disk, "volumeSize"), text(disk, "volumeType")
    if size is None or kind is None:
        return dict(group)
    without = {key: value for key, value in group.items() if key != "launchTemplate"}
    return {**without, "diskSize": size, _DISK_TYPE: kind}


def _node_group(name: str, inputs: Any, region: str | None, prices: Table) -> Iterator[Finding]:
    least, most = number(inputs, "scalingConfig", "minSize"), number(inputs, "scalingConfig", "maxSize")
    machine, spot = text(inputs, "instanceTypes", 0), text(inputs, "capacityType") == "SPOT"
    if machine is None or least is None or most is None:
        yield Unknown(f"node group {name}: its machine or size is not known")
        return
    told = f"node group {name}: {least:g} to {most:g} {machine}{' at spot' if spot else ''}"
    each = prices.machine(region, machine, spot=spot)
    yield Item(told, least * each, most * each, spot) if each is not None else Unknown(f"{told} in {region or NOWHERE}")
    if at(inputs, "launchTemplate") is not None:
        yield Unknown(f"disks of the nodes of {name}, which its launch template has")
        return
    disk = prices.service(region, "volumeGibMonth", text(inputs, _DISK_TYPE) or "gp2")
    gib = number(inputs, "diskSize") or _NODE_DISK_GIB
    if disk is None:
        yield Unknown(f"disks of the nodes of {name} in {region or NOWHERE}")
    else:
        hour = gib * disk / HOURS_A_MONTH
        yield Item(f"disks of the nodes of {name}", least * hour, most * hour)


def _database(name: str, inputs: Any, region: str | None, prices: Table) -> Iterator[Finding]:
    machine, place = text(inputs, "instanceClass"), 1 if flag(inputs, "multiAz") else 0
    both = prices.service(region, "database", machine) if machine else None
    told = f"database {name}: {machine or 'its class is not known'}{' in two zones' if place else ''}"
    yield listed(told, both[place] if both else None)
    kind, gib = text(inputs, "storageType") or "gp2", number(inputs, "allocatedStorage")
    each = prices.service(region, "database", "storageGibMonth", kind)
    disk = gib * each[place] / HOURS_A_MONTH if gib is not None and each else None
    yield listed(f"storage of database {name} ({kind})", disk)
    yield ByUse(f"backups of database {name} beyond its size")


def _endpoint(name: str, inputs: Any, region: str | None, prices: Table) -> Iterator[Finding]:
    if (text(inputs, "vpcEndpointType") or _GATEWAY) == _GATEWAY:
        return
    subnets = at(inputs, "subnetIds")
    each = prices.service(region, "interfaceEndpointHour")
    zones = len(subnets) if isinstance(subnets, (list, tuple)) else None
    yield listed(f"endpoint {name}", each * zones if each is not None and zones else None)


def _cluster(name: str, inputs: Any, region: str | None, prices: Table) -> Iterator[Finding]:
    yield hourly(f"control plane {name}", prices.everywhere["clusterHour"])


def _nat(name: str, inputs: Any, region: str | None, prices: Table) -> Iterator[Finding]:
    yield listed(f"NAT gateway {name}", prices.service(region, "natGatewayHour"))
    yield ByUse(f"traffic through NAT gateway {name}")


def _balancer(name: str, inputs: Any, region: str | None, prices: Table) -> Iterator[Finding]:
    yield load_balancer(f"load balancer {name}", region, prices)


def _address(name: str, inputs: Any, region: str | None, prices: Table) -> Iterator[Finding]:
    yield hourly(f"public address {name}", prices.everywhere["publicAddressHour"])


def _key(name: str, inputs: Any, region: str | None, prices: Table) -> Iterator[Finding]:
    yield hourly(f"key {name}", prices.everywhere["keyMonth"] / HOURS_A_MONTH)


def _bucket(name: str, inputs: Any, region: str | None, prices: Table) -> Iterator[Finding]:
    month = prices.service(region, "bucketGibMonth")
    yield ByUse(f"bucket {name}" + (f" (${month:g} a GiB and month)" if month is not None else ""))


def _images(name: str, inputs: Any, region: str | None, prices: Table) -> Iterator[Finding]:
    yield ByUse(f"images in {name}")


def _logs(name: str, inputs: Any, region: str | None, prices: Table) -> Iterator[Finding]:
    yield ByUse(f"logs in {name}")


def _volume(name: str, inputs: Any, region: str | None, prices: Table) -> Iterator[Finding]:
    yield volume(f"volume {name}", number(inputs, "size"), text(inputs, "type") or "gp2", region, prices)


_PRICED: Mapping[str, Callable[[str, Any, str | None, Table], Iterator[Finding]]] = {
    "aws:cloudwatch/logGroup:LogGroup": _logs,
    "aws:ebs/volume:Volume": _volume,
    "aws:ec2/eip:Eip": _address,
    "aws:ec2/natGateway:NatGateway": _nat,
    "aws:ec2/vpcEndpoint:VpcEndpoint": _endpoint,
    "aws:ecr/repository:Repository": _images,
    "aws:eks/cluster:Cluster": _cluster,
    "aws:eks/nodeGroup:NodeGroup": _node_group,
    "aws:kms/key:Key": _key,
    "aws:lb/loadBalancer:LoadBalancer": _balancer,
    "aws:rds/instance:Instance": _database,
    "aws:s3/bucket:Bucket": _bucket,
}
"""By type."""
