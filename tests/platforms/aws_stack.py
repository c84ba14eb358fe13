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
# What is in the cluster has a golden plan of its own, so here is AWS's part alone.
PROGRAM = """
import json

import pulumi

from heliostat.platforms.aws.names import Names
from heliostat.platforms.aws.underlay import AwsUnderlay
from heliostat.spec.machines import pool_of
from heliostat.spec.platforms.aws import AwsPlatform

spec = AwsPlatform.model_validate_json(pulumi.Config("heliostat").require("platform"))
pools = {name: pool_of("aws", group, spec.region, spec.network.zones) for name, group in spec.groups.items()}
names = Names.of("heliostat", pulumi.get_stack(), spec.region, spec.account)
made = AwsUnderlay("underlay", spec, names, pools, pulumi.Output.secret("sesame"))
pulumi.export("databaseUri", made.under.database_uri)
"""


def aws_stack(folder: Path, **changed: Any) -> RecordedStack:
    """A stack of AWS's part of the platform, with some keys of its config changed."""
    return RecordedStack(folder, {"heliostat:platform": PLATFORM | changed}, ("aws", "kubernetes"), PROGRAM)
