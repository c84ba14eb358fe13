"""From a group of nodes to the machines that it is made of."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from heliostat.spec.accelerators import Group
from heliostat.spec.machines.model import Cloud, Pool
from heliostat.spec.mistakes import Path


def pool_of(cloud: Cloud, group: Group, region: str, zones: Collection[str]) -> Pool:
    """The machines of a group: the cheapest that has what it asks for, in those of the zones that have it.

    Raises:
        NoSuchMachineError: there is none; the text says what would fit.
    """
    raise NotImplementedError


def mistakes(cloud: Cloud, region: str, zones: Collection[str], groups: Mapping[str, Group]) -> Iterator[tuple[Path, str]]:
    """What is wrong with groups on a cloud, each with its path below the platform: `("groups", name, key)`."""
    raise NotImplementedError
