"""The machines of each cloud and where they are offered: files of this package, each with its source and date."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from heliostat.spec.machines.model import Cloud, Machine


@dataclass(frozen=True)
class Offer:
    """A machine, and where it is."""

    machine: Machine
    pods: int
    """Pods that a node may have, for which Kubernetes keeps memory."""
    label: str | None
    """What the cloud calls the accelerator, where nodes carry that as a label."""
    only_spot: bool
    """Whether it is sold at the spot price only."""
    zones: frozenset[str]

    def in_region(self, cloud: Cloud, region: str) -> frozenset[str]:
        """Its zones in a region."""
        return self.zones & frozenset(zones_of(cloud, region))


@dataclass(frozen=True)
class Catalog:
    """The machines of a cloud, the smallest first."""

    source: str
    date: str
    offers: tuple[Offer, ...]

    def with_accelerator(self, accelerator: str | None) -> Iterator[Offer]:
        """Those with this accelerator; with none where that is None."""
        return (offer for offer in self.offers if offer.machine.accelerator == accelerator)


@cache
def catalog(cloud: Cloud) -> Catalog:
    """The machines of `cloud`."""
    read = json.loads((files(__package__) / "data" / f"{cloud}.json").read_text())
    return Catalog(read["source"], read["date"], tuple(_offer(cloud, name, said) for name, said in read["machines"].items()))


@cache
def regions_of(cloud: Cloud) -> tuple[str, ...]:
    """The regions where a cloud has any machine, by name."""
    return tuple(sorted({region_of(cloud, zone) for offer in catalog(cloud).offers for zone in offer.zones}))


def region_of(cloud: Cloud, zone: str) -> str:
    """The region of a zone: `eu-central-1` of `eu-central-1a`, `us-central1` of `us-central1-a`."""
    return zone[:-1] if cloud == "aws" else zone[:-2]


@cache
def zones_of(cloud: Cloud, region: str) -> tuple[str, ...]:
    """The zones of a region where there is any machine, by name."""
    zones = {zone for offer in catalog(cloud).offers for zone in offer.zones}
    return tuple(sorted(zone for zone in zones if region_of(cloud, zone) == region))


def accelerators(offers: Iterable[Offer]) -> list[str]:
    """What accelerators some machines have, by name."""
    return sorted({offer.machine.accelerator for offer in offers if offer.machine.accelerator is not None})


def _offer(cloud: Cloud, name: str, said: dict[str, object]) -> Offer:
    """One entry. A machine that takes several numbers of GPUs has an entry for each, named `MACHINE+GPUS`."""
    between = "" if cloud == "aws" else "-"
    zones = said["zones"]
    assert isinstance(zones, dict)  # noqa: S101 - the package's own file
    machine = Machine(
        name=name.partition("+")[0],
        vcpus=int(str(said["vcpus"])),
        memory_gib=float(str(said["memoryGib"])),
        accelerator=str(said["accelerator"]) if "accelerator" in said else None,
        accelerators=int(str(said.get("accelerators", 0))),
    )
    return Offer(
        machine=machine,
        pods=int(str(said["pods"])),
        label=str(said["label"]) if "label" in said else None,
        only_spot=bool(said.get("onlySpot", False)),
        zones=frozenset(f"{region}{between}{letter}" for region, letters in zones.items() for letter in letters),
    )
