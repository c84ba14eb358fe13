"""Stacks whose platform is `aws`, for the tests of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.platforms.recorded_stack import RecordedStack

IMAGE = "registry.example/heliostat@sha256:" + "0" * 64
PLATFORM: dict[str, Any] = {
    "kind": "aws",
    "region": "eu-central-1",
    "account": "123456789012",
    "network": {"zones": ["eu-central-1a", "eu-central-1b"]},
    "eks": {"admins": ["arn:aws:iam::123456789012:role/platform"], "publicEndpointCidrs": ["198.51.100.0/24"]},
    "bucket": "heliostat-dev-objects",
    "budget": {"monthlyUsd": 5000, "emails": ["ml@example.org"]},
    "image": IMAGE,
    "tags": {"owner": "ml", "environment": "dev", "costCentre": "cc-1"},
    "groups": {
        "cpu": {"kind": "cpu", "cpus": 6, "memoryGib": 24, "max": 8},
        "l4": {"kind": "gpu", "type": "L4", "spot": True, "max": 4},
    },
}


def aws_stack(folder: Path, **changed: Any) -> RecordedStack:
    """A stack of the platform, with some keys of its config changed."""
    return RecordedStack(folder, {"heliostat:platform": PLATFORM | changed}, ("aws", "kubernetes", "heliostat"))
