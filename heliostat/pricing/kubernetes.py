"""What objects in a cluster make a cloud charge for: load balancers, and volumes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from heliostat.pricing.hourly import load_balancer, volume
from heliostat.pricing.inputs import at, number, text
from heliostat.pricing.model import Finding
from heliostat.pricing.tables import Table

_DISKS = {"aws": "gp3", "gcp": "pd-balanced"}
"""What a cluster's default class makes."""
_UNITS = {"Ki": 1 / 1024**2, "Mi": 1 / 1024, "Gi": 1.0, "Ti": 1024.0}


def findings(kind: str, name: str, inputs: Any, region: str | None, prices: Table) -> Iterator[Finding]:
    """What an object of a type costs; nothing where it costs nothing."""
    disk = _DISKS[prices.cloud]
    match kind:
        case "kubernetes:core/v1:Service":
            if text(inputs, "spec", "type") == "LoadBalancer":
                yield load_balancer(f"load balancer {name}", region, prices)
        case "kubernetes:core/v1:PersistentVolumeClaim":
            yield volume(f"volume {name}", gib_of(inputs), disk, region, prices)
        case "kubernetes:apps/v1:StatefulSet":
            replicas = number(inputs, "spec", "replicas")
            for claim in at(inputs, "spec", "volumeClaimTemplates") or ():
                count = 1 if replicas is None else replicas
                yield volume(f"volumes of {name}", gib_of(claim), disk, region, prices, count)


def gib_of(claim: Any) -> float | None:
    """GiB that a claim asks for."""
    asked = text(claim, "spec", "resources", "requests", "storage") or ""
    found = re.fullmatch(r"([0-9.]+)(Ki|Mi|Gi|Ti)", asked)
    return float(found[1]) * _UNITS[found[2]] if found else None
