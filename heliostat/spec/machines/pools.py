"""From a group of nodes to the machines that it is made of; where there are none, what would fit."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence

from heliostat.spec.accelerators import CpuGroup, GpuGroup, Group, TpuGroup
from heliostat.spec.machines import tpus
from heliostat.spec.machines.allocatable import cpus_for_a_worker, gib_for_a_worker
from heliostat.spec.machines.catalog import Offer, accelerators, catalog, region_of, regions_of, zones_of
from heliostat.spec.machines.model import Cloud, NoSuchMachineError, Pool
from heliostat.spec.mistakes import Path

_CLOUDS: Mapping[Cloud, str] = {"aws": "AWS", "gcp": "Google Cloud"}
_HEAD = "headgroup"


def pool_of(cloud: Cloud, group: Group, region: str, zones: Collection[str]) -> Pool:
    """The machines of a group: the smallest that has what it asks for, in those of the zones that have it.

    Raises:
        NoSuchMachineError: there is none; the text says what would fit.
    """
    match group:
        case CpuGroup():
            return _cpu_pool(cloud, group, region, zones)
        case GpuGroup():
            return _gpu_pool(cloud, group, region, zones)
        case TpuGroup():
            return _tpu_pool(cloud, group, region, zones)


def mistakes(cloud: Cloud, region: str, zones: Collection[str], groups: Mapping[str, Group]) -> Iterator[tuple[Path, str]]:
    """What is wrong with region, zones and groups on a cloud, each with its path below the platform."""
    known = regions_of(cloud)
    if region not in known:
        near = difflib.get_close_matches(region, known, n=3) or known
        yield ("region",), f"{_CLOUDS[cloud]} has no machines known in {region!r}; there are: {', '.join(near)}"
        return
    of_region = zones_of(cloud, region)
    place: Path = ("network", "zones") if cloud == "aws" else ("zones",)
    for index, zone in enumerate(zones):
        if zone not in of_region:
            yield (*place, index), f"{zone!r} is no zone of {region}; there are: {', '.join(of_region)}"
    right = [zone for zone in zones if zone in of_region]
    for name, group in groups.items():
        if name == _HEAD:
            yield ("groups", name), f"`{_HEAD}` is what KubeRay calls the head's own group: give the group another name"
        if group.node_selector:
            text = "is for nodes that somebody else made: those of a group here are found by the group's own label"
            yield ("groups", name, "nodeSelector"), text
        try:
            pool_of(cloud, group, region, right or of_region)
        except NoSuchMachineError as error:
            yield ("groups", name, error.key), str(error)


def worker_of(cloud: Cloud, offer: Offer) -> tuple[int, int]:
    """CPUs and GiB that a worker can have of a machine."""
    return cpus_for_a_worker(cloud, offer.machine), gib_for_a_worker(cloud, offer.machine, offer.pods)


def _cpu_pool(cloud: Cloud, group: CpuGroup, region: str, zones: Collection[str]) -> Pool:
    offers = list(catalog(cloud).with_accelerator(None))
    there = [offer for offer in offers if offer.in_region(cloud, region)]
    found = _large_enough(cloud, _in_zones(there, zones), group.cpus, group.memory_gib)
    if not found:
        raise NoSuchMachineError("cpus", _too_large(cloud, there, group.cpus, group.memory_gib, region, zones))
    return _pool(cloud, found[0], zones)


def _gpu_pool(cloud: Cloud, group: GpuGroup, region: str, zones: Collection[str]) -> Pool:
    if group.type in tpus.GENERATIONS:
        raise NoSuchMachineError("type", f"{group.type} is a TPU: declare the group with `kind: tpu` and a `topology`")
    offers = list(catalog(cloud).with_accelerator(group.type))
    there = _there(cloud, group.type, offers, region, zones)
    counted = [offer for offer in there if offer.machine.accelerators == group.count]
    if not counted:
        text = f"no machine in {_places(region, zones)} has {group.count} {group.type}: {_counts(there)} a node"
        raise NoSuchMachineError("count", text)
    sold = [offer for offer in counted if group.spot or not offer.only_spot]
    if not sold:
        whole = [offer for offer in there if not offer.only_spot]
        others = f", or {_counts(whole)} a node" if whole else ""
        text = f"machines with {group.count} {group.type} are sold as spot only: set `spot: true`{others}"
        raise NoSuchMachineError("spot", text)
    found = _large_enough(cloud, sold, group.cpus or 0, group.memory_gib or 0)
    if not found:
        key = "cpus" if group.cpus else "memoryGib"
        raise NoSuchMachineError(key, _too_large(cloud, sold, group.cpus or 0, group.memory_gib or 0, region, zones))
    return _pool(cloud, found[0], zones)


def _tpu_pool(cloud: Cloud, group: TpuGroup, region: str, zones: Collection[str]) -> Pool:
    if cloud != "gcp":
        raise NoSuchMachineError("kind", f"{_CLOUDS[cloud]} has no TPUs, which are on Google Cloud: declare GPUs")
    if group.topology not in tpus.topologies(group.type):
        near = ", ".join(tpus.near(group.type, group.topology))
        raise NoSuchMachineError("topology", f"{group.type} has no topology {group.topology}; nearest are: {near}")
    chips = tpus.chips_of_a_host(group.type, group.topology)
    offers = [offer for offer in catalog(cloud).with_accelerator(group.type) if offer.machine.accelerators == chips]
    there = _there(cloud, group.type, offers, region, zones)
    return _pool(cloud, there[0], zones, tpus.hosts_of(group.type, group.topology), group.topology)


def _there(cloud: Cloud, accelerator: str, offers: Sequence[Offer], region: str, zones: Collection[str]) -> list[Offer]:
    """Those of the offers that are in the zones.

    Raises:
        NoSuchMachineError: the cloud, the region or the zones have none; the text says what they have.
    """
    if found := _in_zones(offers, zones):
        return found
    everywhere = catalog(cloud).offers
    if not offers:
        near = [each for each in accelerators(everywhere) if each.startswith(accelerator)]
        known = ", ".join(near or accelerators(everywhere))
        raise NoSuchMachineError("type", f"{_CLOUDS[cloud]} has no {accelerator} known; there are: {known}")
    elsewhere = sorted({zone for offer in offers for zone in offer.in_region(cloud, region)})
    if elsewhere:
        here = ", ".join(accelerators(_in_zones(everywhere, zones))) or "none"
        text = f"{', '.join(zones)} have no {accelerator}, {', '.join(elsewhere)} have; in the declared zones are: {here}"
        raise NoSuchMachineError("type", text)
    here = ", ".join(accelerators(_in_zones(everywhere, zones_of(cloud, region)))) or "no others either"
    regions = sorted({region_of(cloud, zone) for offer in offers for zone in offer.zones})
    text = f"{region} has no {accelerator}; there are: {here}; {accelerator} is in {', '.join(regions)}"
    raise NoSuchMachineError("type", text)


def _in_zones(offers: Sequence[Offer], zones: Collection[str]) -> list[Offer]:
    return [offer for offer in offers if not offer.zones.isdisjoint(zones)]


def _large_enough(cloud: Cloud, offers: Sequence[Offer], cpus: float, gib: float) -> list[Offer]:
    """Those whose worker can have so much."""
    return [offer for offer in offers if worker_of(cloud, offer) >= (cpus, 0) and worker_of(cloud, offer)[1] >= gib]


def _too_large(cloud: Cloud, offers: Sequence[Offer], cpus: float, gib: float, region: str, zones: Collection[str]) -> str:
    """That no machine leaves a worker so much, and the largest that there are."""
    left = [(worker_of(cloud, offer), offer.machine) for offer in _in_zones(offers, zones)]
    most = f"a worker of {cpus:g} CPUs and {gib:g} GiB fits on no machine in {_places(region, zones)}"
    largest = (
        {max(left, key=lambda each: each[0])[1].name: 0, max(left, key=lambda each: each[0][1])[1].name: 1} if left else {}
    )
    told = [
        f"{name} leaves {had[0]} CPUs and {had[1]} GiB" for had, machine in left for name in largest if name == machine.name
    ]
    return f"{most}; {' and '.join(told)}" if told else f"{most}, which have none"


def _counts(offers: Sequence[Offer]) -> str:
    counts = [str(count) for count in sorted({offer.machine.accelerators for offer in offers})]
    return " or ".join(filter(None, [", ".join(counts[:-1]), counts[-1]]))


def _places(region: str, zones: Collection[str]) -> str:
    return ", ".join(zones) or region


def _pool(cloud: Cloud, offer: Offer, zones: Collection[str], hosts: int = 1, topology: str | None = None) -> Pool:
    return Pool(
        cloud=cloud,
        machine=offer.machine,
        zones=tuple(zone for zone in zones if zone in offer.zones),
        hosts=hosts,
        topology=topology,
        accelerator_type=offer.label,
        pods=offer.pods,
    )
