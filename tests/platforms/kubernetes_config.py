"""What the platform `kubernetes` is declared with in these tests."""

from __future__ import annotations

from typing import Any

IMAGE = f"registry.example/heliostat@sha256:{'a' * 64}"
PLATFORM: dict[str, Any] = {
    "kind": "kubernetes",
    "context": "prod",
    "namespace": "ml",
    "createNamespace": False,
    "tags": {"owner": "vision", "environment": "production", "costCentre": "cc-42"},
    "image": IMAGE,
    "store": {"kind": "s3", "bucket": "models", "endpoint": "http://10.0.0.4:9000"},
    "storeSecret": "bucket",
    "groups": {
        "cpu": {"kind": "cpu", "cpus": 4, "memoryGib": 16, "min": 1, "max": 4},
        "l4": {"kind": "gpu", "type": "L4", "cpus": 6, "memoryGib": 24, "spot": True, "max": 8},
        "v6e": {"kind": "tpu", "type": "v6e", "topology": "4x4", "max": 2},
    },
    "apiServerCidrs": ["10.1.0.0/24"],
}
CONFIG: dict[str, Any] = {"heliostat:platform": PLATFORM}


def changed(**values: Any) -> dict[str, Any]:
    """The same, with other values at the platform's top."""
    return {"heliostat:platform": {**PLATFORM, **values}}
