"""The config of an environment's stack, made of its template's: the same text with the branch in it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heliostat.engine.config import yamledit
from heliostat.spec.base import PROJECT
from heliostat.spec.branch_environments import BranchEnvironment
from heliostat.systems.errors import PermanentError


@dataclass(frozen=True)
class Templated:
    """The config of an environment, and what it declares."""

    text: str
    platform: str
    """The stack that has the platform."""
    workloads: tuple[str, ...]
    batches: tuple[str, ...]
    sample: float | None = None
    """The share of the rows that it takes, where that is not all."""


def templated(text: str, file: str, environment: BranchEnvironment) -> Templated:
    """The config of an environment. `text` is the template's, `file` its name for messages.

    Raises:
        PermanentError: the template is none; with all that is wrong.
    """
    from ruamel.yaml.error import YAMLError

    from heliostat.spec.batch import batch_name  # which brings all that a workload may be

    try:
        content = yamledit.load(text)
    except YAMLError as error:
        raise PermanentError(f"{file} is no YAML: {str(error).splitlines()[0]}") from None
    config = _mapping(_mapping(content).get("config"))
    platform, workloads = _section(config, "platformStack"), _mapping(_section(config, "workloads"))
    rules = (
        (_is_full(platform), "platformStack: name the stack that has the platform, as organization/project/stack"),
        (not _section(config, "platform"), "platform: an environment makes none, leave it out"),
        (not _section(config, "environment"), "environment: is written by `heliostat env up`, leave it out"),
        (bool(workloads), "workloads: name at least one"),
    )
    mistakes = [text for is_right, text in rules if not is_right]
    if mistakes:
        raise PermanentError(f"{file} is no template of an environment:" + "".join(f"\n  {PROJECT}:{one}" for one in mistakes))
    try:
        made = yamledit.put(text, ("config", f"{PROJECT}:environment"), environment.model_dump(mode="json"))
    except yamledit.EditError as error:
        raise PermanentError(f"{file}: the environment cannot be written into it: {error}") from None
    batches = [batch_name(name, each) for name, spec in workloads.items() for each in _mapping(_mapping(spec).get("batch"))]
    sample = _mapping(_section(config, "snapshots")).get("sample")
    return Templated(made, str(platform), tuple(workloads), tuple(batches), sample if isinstance(sample, float) else None)


def _is_full(platform: Any) -> bool:
    return isinstance(platform, str) and platform.count("/") == 2


def _section(config: Mapping[str, Any], name: str) -> Any:
    return config.get(f"{PROJECT}:{name}", config.get(name))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
