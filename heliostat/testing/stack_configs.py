"""The config of a repository's stacks: read as the program reads it, and changed so that a copy runs beside what is there."""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, Final

from heliostat.engine.config import yamledit
from heliostat.layout import workload_names
from heliostat.spec.base import PROJECT
from heliostat.spec.stack import SECTIONS, Stack, parse

_FIXED: Final = {"publicPort": None, "store": None, "tracking": None, "ray": {"dashboardPort": None}, "onDestroy": "delete"}
"""What two stacks of one machine cannot both have goes; what the copy makes goes with it."""


def stack_file(repository: Path, stack: str) -> Path:
    """The file of a stack's config."""
    return repository / "configs" / f"Pulumi.{stack}.yaml"


def load_stack(repository: str | os.PathLike[str], stack: str = "local") -> Stack:
    """Read what a stack of a repository declares, e.g. to `simulate` its strategies.

    The workloads' own modules are imported as `workloads.<name>`, for the types of their parameters.

    Raises:
        ConfigError: with every mistake in it.
        FileNotFoundError: the repository has no such stack.
    """
    from heliostat.resources.workload_modules import parameters_of, problem_of

    root = Path(repository)
    file, names = stack_file(root, stack), workload_names(root / "workloads")
    return parse(sections_of(file), str(file.relative_to(root)), names, parameters_of=parameters_of, problem_of=problem_of)


def sections_of(file: Path) -> dict[str, Any]:
    """This project's sections of a stack's config, by name: `platform`, `workloads`."""
    config = (yamledit.load(file.read_text(encoding="utf-8")) or {}).get("config") or {}
    found = {name: config.get(key_of(config, name)) for name in SECTIONS}
    return {name: section for name, section in found.items() if section is not None}


def key_of(config: Mapping[str, Any], name: str) -> str:
    """The key of a section: with the project's name, or without it."""
    return name if name in config and f"{PROJECT}:{name}" not in config else f"{PROJECT}:{name}"


def standalone(sections: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The patch by which a stack with those sections runs beside any other: no fixed ports and places, and no data that stays.

    Raises:
        ValueError: its platform is elsewhere.
    """
    platform = sections.get("platform")
    kind = platform.get("kind") if isinstance(platform, Mapping) else None
    if not isinstance(platform, Mapping) or kind != "local":
        where = f"of kind {kind!r}" if kind else "another stack's"
        raise ValueError(f"the platform of the stack {name!r} is {where}: name a stack with `platform: {{kind: local}}`")
    fixed = {key: value for key, value in _FIXED.items() if key != "ray" or "ray" in platform}
    return {"platform": fixed}


def patch(into: MutableMapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Change `into` by a JSON merge patch (RFC 7386): mappings are merged, None takes a key away, all else takes its place."""
    for key, value in changes.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, Mapping):
            if not isinstance(into.get(key), MutableMapping):
                into[key] = {}
            patch(into[key], value)
        else:
            into[key] = value


def patch_file(file: Path, changes: Mapping[str, Any]) -> None:
    """Change the sections of a stack's config by a JSON merge patch; comments stay."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 1_000_000
    document = yaml.load(file.read_text(encoding="utf-8"))
    config = document["config"]
    patch(config, {key_of(config, name): section for name, section in changes.items()})
    with file.open("w", encoding="utf-8") as written:
        yaml.dump(document, written)
