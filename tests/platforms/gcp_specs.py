"""A platform on Google Cloud as a config declares it."""

from __future__ import annotations

from typing import Any

from heliostat.spec.platforms.gcp import GcpPlatform

SECTION: dict[str, Any] = {
    "kind": "gcp",
    "project": "acme-ml",
    "region": "europe-west4",
    "zones": ["europe-west4-a", "europe-west4-b"],
    "bucket": "acme-models",
    "tags": {"owner": "ml", "environment": "production", "costCentre": "c-42"},
    "image": f"europe-west4-docker.pkg.dev/acme-ml/images/heliostat@sha256:{'a' * 64}",
    # GKE's own, by whose webhook a slice's hosts find each other.
    "operator": {"install": False},
    "groups": {
        "cpu": {"kind": "cpu", "cpus": 6, "memoryGib": 20, "min": 1, "max": 4},
        "l4": {"kind": "gpu", "type": "L4", "max": 4, "spot": True},
        "v6e": {"kind": "tpu", "type": "v6e", "topology": "4x4", "min": 1, "max": 2},
    },
}


def section(**changes: Any) -> dict[str, Any]:
    """The section with some keys of its own."""
    return {**SECTION, **changes}


def spec_of(**changes: Any) -> GcpPlatform:
    return GcpPlatform.model_validate(section(**changes))
