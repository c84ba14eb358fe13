"""Pins: the registered version that a stack's config serves of a workload. The rest of the file stays as it was. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heliostat.engine.config import yamledit
from heliostat.engine.config.stackconfig import is_secure, revealed
from heliostat.spec.base import PROJECT
from heliostat.systems.errors import PermanentError


def pin_in(text: str, file: str, workload: str) -> str | None:
    """The version that a config pins; None where it pins none.

    Raises:
        PermanentError: it does not have the workload, or says something else of it, or serves somebody else's model.
    """
    section = section_of(text, file)[1]
    if workload not in section:
        there = ", ".join(map(str, section)) or "none"
        raise PermanentError(f"{file} has no workload {workload!r}; there are: {there}")
    found = section[workload]
    if found is not None and not isinstance(found, Mapping):
        raise PermanentError(f"{file}: {workload} is one value, perhaps encrypted as a whole, and no mapping: write it so")
    spec: Mapping[str, Any] = found or {}
    if spec.get("mlflow"):
        raise PermanentError(f"{file}: {workload} serves {spec['mlflow']}, which others logged: change `mlflow` there")
    return spec.get("model")


def pinned(text: str, file: str, workload: str, version: str) -> str:
    """The config with `models:/<name>/<version>` pinned; its comments and the order of the rest stay.

    Raises:
        PermanentError: as `pin_in`, or it is written in a way that cannot be changed in place.
    """
    if pin_in(text, file, workload) == version:
        return text
    try:
        return yamledit.put(text, ("config", section_of(text, file)[0], workload, "model"), version)
    except yamledit.EditError as error:
        raise PermanentError(
            f"{file}: `model: {version}` cannot be put below {workload}: {error}; write it yourself"
        ) from None


def section_of(text: str, file: str) -> tuple[str, Mapping[str, Any]]:
    """The key of the section `workloads`, and what is in it, as a program gets it: days are texts there.

    Raises:
        PermanentError: it is no YAML, or has the whole section encrypted.
    """
    from ruamel.yaml.error import YAMLError

    try:
        content = yamledit.load(text)
    except YAMLError as error:
        raise PermanentError(f"{file} is no YAML: {str(error).splitlines()[0]}") from None
    config = content.get("config") if isinstance(content, Mapping) else None
    config = config if isinstance(config, Mapping) else {}
    key = next((each for each in (f"{PROJECT}:workloads", "workloads") if each in config), f"{PROJECT}:workloads")
    found = config.get(key)
    if is_secure(found):
        raise PermanentError(
            f"{file}: {key} is encrypted as a whole, so that nothing of it can be read or pinned here: write it in plain, and "
            "only what is secret in it as `secure`"
        )
    return key, revealed(found, lambda encrypted: encrypted) if isinstance(found, dict) else {}
