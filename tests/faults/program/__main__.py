"""Declares one application on a platform that is there: what it is comes from `declared.json` beside this file."""

from __future__ import annotations

import json
from pathlib import Path

import pulumi
from pydantic import TypeAdapter

from heliostat.resources import Platform
from heliostat.resources.application import Application, ServedVersion
from heliostat.spec.code import code_of
from heliostat.spec.strategies import Strategy
from heliostat.spec.workload import Serving

declared = json.loads(Path(__file__).with_name("declared.json").read_text())
platform = Platform(
    store=declared["store"],
    ray=declared["ray"],
    tracking_uri=declared["trackingUri"],
    controller=declared["controller"],
    public_url=declared["publicUrl"],
)
strategy: Strategy = TypeAdapter(Strategy).validate_python(declared["strategy"])
application = Application(
    declared["name"],
    code_of(Path(declared["root"]), declared["contract"]),
    declared["contract"],
    ServedVersion(declared["modelUri"]),
    Serving(
        replicas=declared["replicas"],
        cpus_per_replica=declared["cpusPerReplica"],
        startup_timeout_seconds=declared["startupTimeoutSeconds"],
        strategy=strategy,
    ),
    platform,
)
pulumi.export("url", application.url)
