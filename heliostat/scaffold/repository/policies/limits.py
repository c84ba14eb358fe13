"""What an environment may have: how many accelerators, and in which regions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from .machines import NOT_IN_TABLE, of_nodes, of_pods
from .model import Resource, Settings, each, get, listed

_PLACES = ("region", "location", "zone", "availabilityZone", "availabilityZones", "nodeLocations")
_EVERYWHERE = ("global",)
_CLOUDS = ("aws:", "gcp:", "pulumi:providers:aws", "pulumi:providers:gcp")
_ZONE = re.compile(r"(.*\d)-?[a-z]")


def accelerator_quota(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[str, str]]:
    """A stack does not come to more accelerators than its environment may have."""
    quota = settings.get("most")
    if quota is None:
        return
    for what, counts in (("machines", of_nodes(resources)), ("pods", of_pods(resources))):
        total: dict[str, float] = {}
        for kind, count in counts:
            total[kind] = total.get(kind, 0) + count
        for kind, count in sorted(total.items()):
            if said := _over(kind, count, quota, what):
                yield "", said


def _over(kind: str, count: float, quota: Mapping[str, float], what: str) -> str:
    if kind.startswith(NOT_IN_TABLE):
        return f"{kind[2:]} has accelerators, and the table in machines.py does not say how many: add it there"
    most = quota.get(kind, quota.get("*"))
    if most is None:
        return f"{what} may come to {count:g} {kind}, which `most` does not name: add it, or take {listed(quota)}"
    if count > most:
        return f"{what} may come to {count:g} {kind}, at most {most:g} are allowed: lower maximum sizes, or ask for more quota"
    return ""


def allowed_regions(resource: Resource, settings: Settings) -> Iterator[str]:
    """Resources lie in the regions that are allowed."""
    regions = settings.get("regions")
    if not regions or not resource.type.startswith(_CLOUDS):
        return
    for key in _PLACES:
        for place in each(get(resource.props, key)):
            if isinstance(place, str) and place not in _EVERYWHERE and not _is_in(place, regions):
                yield f"{key} is {place}, which is none of the allowed regions: {listed(regions)}"


def _is_in(place: str, regions: Sequence[str]) -> bool:
    zone = _ZONE.fullmatch(place.lower())
    names = [place.lower(), *([zone[1]] if zone else [])]
    return any(fnmatchcase(name, region.lower()) for name in names for region in regions)
