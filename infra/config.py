"""Reads the stack's config as a whole, so that every mistake in it is told at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime import config as runtime_config

from heliostat.spec.stack import PROJECT, ConfigError, Stack, parse


def read(workloads: Path) -> Stack:
    """The stack that `configs/Pulumi.<stack>.yaml` declares, of the workloads in that folder.

    Raises:
        pulumi.RunError: with every mistake; the engine shows its text alone.
    """
    file = f"configs/Pulumi.{pulumi.get_stack()}.yaml"
    known = sorted(path.parent.name.replace("_", "-") for path in workloads.glob("*/workload.py"))
    try:
        return parse(sections(runtime_config.CONFIG.get()), file, known)
    except ConfigError as error:
        raise pulumi.RunError(str(error)) from None


def sections(config: Mapping[str, str]) -> dict[str, Any]:
    """This project's keys without their namespace, each parsed where it is JSON, as structured config is."""
    found = {}
    for key, text in config.items():
        namespace, _, name = key.partition(":")
        if namespace == PROJECT:
            found[name] = _parsed(text)
    return found


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
