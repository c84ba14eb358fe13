"""What a provider had added to a resource's inputs, which the program does not say and the state has; all pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from heliostat.engine.state.snapshot import Secret

DEFAULTS = "__defaults"
"""In the inputs of bridged providers, at any depth: the names of those that the provider has filled in."""
AUTONAMED = "pulumi.com/autonamed"
"""The annotation by which the provider of Kubernetes knows a name that it made."""


def carried(news: Any, olds: Any) -> Any:
    """Inputs with what their provider had added to those of before, so that it does not count as withdrawn."""
    if isinstance(news, Secret) or isinstance(olds, Secret):
        return _of_secrets(news, olds)
    if isinstance(news, Mapping) and isinstance(olds, Mapping):
        found = {key: carried(value, olds.get(key)) for key, value in news.items()}
        return _autonamed(_with_defaults(found, olds), olds)
    if isinstance(news, list) and isinstance(olds, list) and len(news) == len(olds):
        return [carried(new, old) for new, old in zip(news, olds, strict=True)]
    return news


def _of_secrets(news: Any, olds: Any) -> Any:
    found = carried(_opened(news), _opened(olds))
    return Secret(found) if isinstance(news, Secret) else found


def _opened(value: Any) -> Any:
    while isinstance(value, Secret):
        value = value.value
    return value


def _with_defaults(found: dict[str, Any], olds: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(names := _opened(olds.get(DEFAULTS)), list):
        return found
    filled = {key: olds[key] for key in names if isinstance(key, str) and key in olds and key not in found}
    return {**found, **filled, DEFAULTS: olds[DEFAULTS]}


def _autonamed(found: dict[str, Any], olds: Mapping[str, Any]) -> dict[str, Any]:
    """With the name of an object of Kubernetes in its `metadata`, where the provider made it up."""
    before = _opened(olds.get("metadata"))
    annotations = before.get("annotations") if isinstance(before, Mapping) else None
    if not isinstance(annotations, Mapping) or AUTONAMED not in annotations or "name" not in before:
        return found
    metadata = found.get("metadata", {})
    if not isinstance(metadata, Mapping) or {"name", "generateName"} & metadata.keys():
        return found
    mine = metadata.get("annotations", {})
    marked = {**mine, AUTONAMED: annotations[AUTONAMED]} if isinstance(mine, Mapping) else mine
    return {**found, "metadata": {**metadata, "name": before["name"], "annotations": marked}}
