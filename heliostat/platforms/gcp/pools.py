"""From groups of nodes to GKE's node pools. Pure: what comes of it is declared by `cluster`.

A slice of TPUs on several hosts is one node pool, which GKE makes and removes whole: see docs/adr/0015.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from heliostat.platforms.gcp.naming import pool_name
from heliostat.platforms.room import too_little
from heliostat.spec.accelerators import Group
from heliostat.spec.machines import GROUP_LABEL, Pool, Taint, pool_of, taints_of
from heliostat.spec.platforms.gcp import GcpPlatform

_SYSTEM: Final = "system"


@dataclass(frozen=True)
class Scale:
    """How many nodes a pool has, all zones together."""

    least: int
    most: int
    by_demand: bool = True
    """Whether GKE's autoscaler brings them and takes them away; otherwise all are there, always."""
    at_once: bool = False
    """Whether they come and go together, all or none."""

    def initial(self, zones: int) -> int:
        """Nodes a zone to begin with: the fewest that make the least, without more than the most in all."""
        return min(-(-self.least // zones), self.most // zones)


@dataclass(frozen=True)
class NodePool:
    """A node pool to be declared."""

    name: str
    kind: Literal["cpu", "gpu", "tpu"]
    machine: str
    zones: tuple[str, ...]
    scale: Scale
    spot: bool = False
    gpu: tuple[str, int] | None = None
    """Google Cloud's name of the GPU, and how many a node has."""
    topology: str | None = None
    """Of a slice with several hosts: they are placed together."""
    labels: Mapping[str, str] | None = None
    taints: tuple[Taint, ...] = ()


def cloud_pools(spec: GcpPlatform) -> dict[str, Pool]:
    """The machines of each group.

    Raises:
        NoSuchMachineError: a group has none here.
    """
    return {name: pool_of("gcp", group, spec.region, spec.zones) for name, group in spec.groups.items()}


def node_pools(spec: GcpPlatform, pools: Mapping[str, Pool]) -> list[NodePool]:
    """All node pools of a platform: one for the system's own pods, and those of each group.

    Raises:
        ValueError: names clash or are too long, there are more nodes than addresses, or the hosts of a slice would not find
            each other; with every mistake.
    """
    system = spec.system_nodes
    first = NodePool(_SYSTEM, "cpu", spec.gke.system_machine, spec.zones, Scale(system, system, by_demand=False))
    found = [first, *(each for name, group in spec.groups.items() for each in _of_group(name, group, pools[name]))]
    crowded = too_little("gcp", spec.gke.system_machine, system, spec)
    if wrong := [*_clashes(found), *_too_many(found, spec), *_lonely(pools, spec), *crowded]:
        raise ValueError("; ".join(wrong))
    return found


def _of_group(name: str, group: Group, pool: Pool) -> Iterator[NodePool]:
    if pool.hosts > 1:
        yield from (_slice(name, group, pool, number) for number in range(group.max))
        return
    gpu = (pool.accelerator_type, pool.machine.accelerators) if group.kind == "gpu" and pool.accelerator_type else None
    yield NodePool(
        pool_name(name),
        group.kind,
        pool.machine.name,
        pool.zones,
        Scale(group.min, group.max),
        spot=group.spot,
        gpu=gpu,
        labels={GROUP_LABEL: name},
        taints=taints_of(name, group, pool),
    )


def _slice(name: str, group: Group, pool: Pool, number: int) -> NodePool:
    """One slice: of those that stay, all hosts; of the others, none until pods ask for them."""
    stays = number < group.min
    return NodePool(
        pool_name(name, number),
        group.kind,
        pool.machine.name,
        (pool.zones[number % len(pool.zones)],),
        Scale(pool.hosts if stays else 0, pool.hosts, by_demand=not stays, at_once=True),
        spot=group.spot,
        topology=pool.topology,
        labels={GROUP_LABEL: name},
        taints=taints_of(name, group, pool),
    )


def _clashes(pools: list[NodePool]) -> Iterator[str]:
    names = [each.name for each in pools]
    for name in sorted({each for each in names if names.count(each) > 1}):
        yield f"two node pools would be called {name}: slices are called GROUP-0, GROUP-1, ..., and `{_SYSTEM}` is taken"


def _too_many(pools: list[NodePool], spec: GcpPlatform) -> Iterator[str]:
    most = sum(each.scale.most for each in pools)
    if most > spec.network.nodes:
        yield (
            f"there may be {most} nodes, and the network has room for {spec.network.nodes}: widen network.podsCidr, of which "
            "each node holds 256 addresses, and network.cidr, or lower groups' max"
        )


def _lonely(pools: Mapping[str, Pool], spec: GcpPlatform) -> Iterator[str]:
    """Groups whose hosts nobody would tell of each other: KubeRay's own operator does not."""
    groups = [name for name, pool in pools.items() if pool.hosts > 1]
    if groups and spec.operator.install:
        yield (
            f"slices of {', '.join(groups)} have several hosts, which find each other by the webhook of GKE's own operator: "
            "set operator.install to false, and GKE's is switched on; or choose a topology of one host"
        )
