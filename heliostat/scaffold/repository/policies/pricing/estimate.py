# Made by scripts/policy_prices.py of heliostat/pricing: change it there.
"""The estimate of a plan's resources, before and after."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from . import aws, gcp, kubernetes
from .inputs import text
from .model import Estimate, Finding
from .tables import Cloud, Table, table

_CLOUDS: tuple[Cloud, ...] = ("aws", "gcp")
_NODE_GROUP = "aws:eks/nodeGroup:NodeGroup"
_LAUNCH_TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


@dataclass(frozen=True)
class Declared:
    """A resource as a program or a state has it."""

    type: str
    """Pulumi's token, as `aws:eks/nodeGroup:NodeGroup`."""
    name: str
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """By Pulumi's names; any may be missing, secret or not known."""


@dataclass(frozen=True)
class Comparison:
    """What resources cost before and after."""

    before: Estimate
    after: Estimate

    @property
    def is_empty(self) -> bool:
        """Whether nothing costs anything, before and after."""
        return self.before.is_empty and self.after.is_empty


def price(resources: Iterable[Declared]) -> Estimate:
    """What `resources` cost by list.

    What runs in a cluster costs as the cloud does that has resources beside it, and nothing where none has: then somebody
    else pays for the cluster.
    """
    declared = list(resources)
    found: list[Finding] = []
    sources: list[str] = []
    for cloud in _CLOUDS:
        here = list(_findings(cloud, declared, table(cloud))) if _is_used(cloud, declared) else []
        found += here
        sources += table(cloud).told() if here else []
    return Estimate.of(found, sources)


def compare(before: Iterable[Declared], after: Iterable[Declared]) -> Comparison:
    """What a plan changes."""
    return Comparison(price(before), price(after))


def region_of(cloud: Cloud, resources: Iterable[Declared]) -> str | None:
    """The region that most resources of a cloud are in, as its provider or a resource says it; None where none does."""
    named: dict[str, int] = {}
    for resource in resources:
        is_here = resource.type.startswith((f"{cloud}:", f"pulumi:providers:{cloud}"))
        if is_here and (region := _region(cloud, resource)):
            named[region] = named.get(region, 0) + 1
    return max(named, key=lambda region: named[region]) if named else None


def _findings(cloud: Cloud, resources: list[Declared], prices: Table) -> Iterator[Finding]:
    usual = region_of(cloud, resources)
    kinds = aws if cloud == "aws" else gcp
    for resource in _with_disks(resources):
        if resource.type.startswith(f"{cloud}:"):
            region = _region(cloud, resource) or usual
            yield from kinds.findings(resource.type, resource.name, resource.inputs, region, prices)
        elif resource.type.startswith("kubernetes:"):
            yield from kubernetes.findings(resource.type, resource.name, resource.inputs, usual, prices)


def _with_disks(resources: list[Declared]) -> Iterator[Declared]:
    """The resources, node groups with what their launch templates say. A plan does not know a template's id: it is the one
    that is called like the group."""
    templates = {each.name: each.inputs for each in resources if each.type == _LAUNCH_TEMPLATE}
    for resource in resources:
        if resource.type == _NODE_GROUP and resource.name in templates and "launchTemplate" in resource.inputs:
            resource = replace(resource, inputs=aws.with_disk(resource.inputs, templates[resource.name]))
        yield resource


def _is_used(cloud: Cloud, resources: list[Declared]) -> bool:
    return any(resource.type.startswith(f"{cloud}:") for resource in resources)


def _region(cloud: Cloud, resource: Declared) -> str | None:
    inputs = resource.inputs
    if cloud == "aws":
        return text(inputs, "region") or (text(inputs, "availabilityZone") or "")[:-1] or None
    place = text(inputs, "region") or text(inputs, "location") or text(inputs, "zone") or ""
    place = place.lower()
    if re.fullmatch(r"[a-z]+-[a-z]+[0-9]+-[a-z]", place):
        place = place.rpartition("-")[0]
    return place if re.fullmatch(r"[a-z]+-[a-z]+[0-9]+", place) else None
