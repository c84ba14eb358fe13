# Made by scripts/policy_prices.py of heliostat/pricing: change it there.
"""What Google Cloud's resources cost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .hourly import hourly
from .inputs import at, flag, number, text
from .model import HOURS_A_MONTH, ByUse, Finding, Item, Unknown
from .tables import NOWHERE, Table

_NODE_DISK_GIB = 100
_NODE_DISK = "pd-balanced"
"""What a node pool's nodes have where it does not say."""


def findings(kind: str, name: str, inputs: Any, region: str | None, prices: Table) -> Iterator[Finding]:
    """What a resource of a type costs; nothing where it costs nothing."""
    match kind:
        case "gcp:container/cluster:Cluster":
            yield hourly(f"control plane {name}", prices.everywhere["clusterHour"])
            if not flag(inputs, "removeDefaultNodePool") and number(inputs, "initialNodeCount"):
                yield Unknown(f"default node pool of {name}")
        case "gcp:container/nodePool:NodePool":
            yield from _node_pool(name, inputs, region, prices)
        case "gcp:sql/databaseInstance:DatabaseInstance":
            yield from _database(name, inputs, region, prices)
        case "gcp:kms/cryptoKey:CryptoKey":
            yield hourly(f"key {name}, each version", prices.everywhere["keyVersionMonth"] / HOURS_A_MONTH)
        case "gcp:compute/routerNat:RouterNat":
            yield ByUse(f"NAT {name}, by machine and traffic")
        case "gcp:compute/address:Address" | "gcp:compute/forwardingRule:ForwardingRule":
            yield Unknown(f"{name} ({kind.rpartition(':')[2]})")
        case "gcp:storage/bucket:Bucket":
            yield ByUse(f"bucket {name}")
        case "gcp:artifactregistry/repository:Repository":
            yield ByUse(f"images in {name}")


def _node_pool(name: str, inputs: Any, region: str | None, prices: Table) -> Iterator[Finding]:
    sizes, machine = _sizes(inputs), text(inputs, "nodeConfig", "machineType")
    if machine is None or sizes is None:
        yield Unknown(f"node pool {name}: its machine or size is not known")
        return
    least, most = sizes
    spot = flag(inputs, "nodeConfig", "spot")
    told = f"node pool {name}: {least:g} to {most:g} {machine}{' at spot' if spot else ''}"
    each = prices.machine(region, machine, spot=spot)
    beside = _beside(inputs, region, prices, spot=spot)
    if each is None or beside is None:
        yield Unknown(f"{told} in {region or NOWHERE}")
    else:
        yield Item(told, least * (each + beside), most * (each + beside), spot)
    kind = text(inputs, "nodeConfig", "diskType") or _NODE_DISK
    disk = prices.service(region, "volumeGibMonth", kind)
    if disk is None:
        yield Unknown(f"disks of the nodes of {name} ({kind}) in {region or NOWHERE}")
        return
    hour = (number(inputs, "nodeConfig", "diskSizeGb") or _NODE_DISK_GIB) * disk / HOURS_A_MONTH
    yield Item(f"disks of the nodes of {name}", least * hour, most * hour)


def _beside(inputs: Any, region: str | None, prices: Table, *, spot: bool) -> float | None:
    """GPUs that are put beside a machine; those of other machines are in the machine's own price. None: not known."""
    total = 0.0
    for given in at(inputs, "nodeConfig", "guestAccelerators") or ():
        accelerator, count = text(given, "type"), number(given, "count")
        if not (text(inputs, "nodeConfig", "machineType") or "").startswith("n1-"):
            continue
        each = prices.accelerator(region, accelerator, spot=spot) if accelerator else None
        if each is None or count is None:
            return None
        total += each * count
    return total


def _sizes(inputs: Any) -> tuple[float, float] | None:
    """The fewest and most nodes in all zones."""
    locations = at(inputs, "nodeLocations")
    zones = len(locations) if isinstance(locations, (list, tuple)) and locations else 1
    in_all = number(inputs, "autoscaling", "totalMinNodeCount"), number(inputs, "autoscaling", "totalMaxNodeCount")
    if in_all[1] is not None:
        return in_all[0] or 0, in_all[1]
    in_each = number(inputs, "autoscaling", "minNodeCount"), number(inputs, "autoscaling", "maxNodeCount")
    if in_each[1] is not None:
        return (in_each[0] or 0) * zones, in_each[1] * zones
    fixed = number(inputs, "nodeCount")
    return (fixed * zones, fixed * zones) if fixed is not None else None


def _database(name: str, inputs: Any, region: str | None, prices: Table) -> Iterator[Finding]:
    tier = text(inputs, "settings", "tier") or "its machine is not known"
    place = 1 if text(inputs, "settings", "availabilityType") == "REGIONAL" else 0
    told = f"database {name}: {tier}{' in two zones' if place else ''}"
    custom, costs = re.fullmatch(r"db-custom-([0-9]+)-([0-9]+)", tier), prices.service(region, "database")
    if custom is None or costs is None:
        yield Unknown(told)
    else:
        cpus, gib = int(custom[1]), int(custom[2]) / 1024
        yield hourly(told, cpus * costs["vcpuHour"][place] + gib * costs["memoryGibMonth"][place] / HOURS_A_MONTH)
    gib_of_disk = number(inputs, "settings", "diskSize")
    if gib_of_disk is None or costs is None or (text(inputs, "settings", "diskType") or "PD_SSD") != "PD_SSD":
        yield Unknown(f"storage of database {name}")
    else:
        yield hourly(f"storage of database {name}", gib_of_disk * costs["storageGibMonth"][place] / HOURS_A_MONTH)
    yield ByUse(f"backups of database {name}")
