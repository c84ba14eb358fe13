"""Reads the stack's config, builds or finds its platform, declares its workloads, and exports where they are."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pulumi

from heliostat.resources import Platform
from infra import config
from infra.platforms import local

root = Path(pulumi.get_root_directory())
stack = config.read(root / "workloads")

if stack.platform:
    platform = local.LocalPlatform("local", stack.platform, root / ".heliostat" / "stacks" / pulumi.get_stack()).platform
else:
    platform = Platform.of_stack(str(stack.platform_stack))
pulumi.export("platform", platform.exported())

for name, spec in stack.workloads.items():
    workload = import_module(f"workloads.{name.replace('-', '_')}.workload")
    pulumi.export(name, workload.declare(name, spec, root, platform).exported())
