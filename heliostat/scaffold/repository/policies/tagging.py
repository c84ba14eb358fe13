"""Whose a resource is, who pays for it, and until when it is there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from .model import UNKNOWN, Resource, Settings, document, each, get, is_whole, listed

NAMES = ("owner", "environment", "cost-centre")
_TABLE = Path(__file__).with_name("taggable.json")
_NAMESPACE = "kubernetes:core/v1:Namespace"
_INSIDE = {"gcp:sql/databaseInstance:DatabaseInstance": ("settings", "userLabels")}


def _places() -> dict[str, tuple[str, ...]]:
    """Where the tags of each type stand, for all types that take any."""
    table = json.loads(_TABLE.read_text(encoding="utf-8"))
    found = {
        f"{package}:{module}/{name[0].lower()}{name[1:]}:{name}": (key,)
        for package, keys in table.items()
        for key, modules in keys.items()
        for module, names in modules.items()
        for name in names.split()
    }
    return {**found, **_INSIDE, _NAMESPACE: ("metadata", "labels")}


PLACES = _places()
"""Of Kubernetes, namespaces alone: costs are told apart by them, and what lies in one belongs to whom it belongs to."""


def tags_of(resource: Resource) -> Any:
    """The tags of a resource with those of its provider: None where it takes none, UNKNOWN where they are not known."""
    path = PLACES.get(resource.type)
    if path is None:
        return None
    own, given = get(resource.props, *path), _given(resource)
    if UNKNOWN in (own, given) or (isinstance(own, list | tuple) and not is_whole(own)):
        return UNKNOWN
    return {**_by_name(given), **_by_name(own)}


def _given(resource: Resource) -> Any:
    """What the provider gives to all of its resources; a provider's objects may come as JSON."""
    if resource.type.startswith("aws:"):
        return get(document(resource.provider.get("defaultTags")), "tags")
    return document(resource.provider.get("defaultLabels"))


def _by_name(tags: Any) -> dict[str, Any]:
    """Tags as a mapping; groups that scale have a list of them."""
    if isinstance(tags, Mapping):
        return dict(tags)
    return {str(get(one, "key")): get(one, "value") for one in each(tags)}


def tagged(resource: Resource, settings: Settings) -> Iterator[str]:
    """Whatever takes tags or labels says whose it is, of which environment, and who pays."""
    tags = tags_of(resource)
    if tags is None or tags is UNKNOWN:
        return
    missing = [name for name in settings.get("names", NAMES) if tags.get(name) in (None, "")]
    if missing:
        place = ".".join(PLACES[resource.type])
        yield f"{place} has no {listed(missing)}: add to it, or to what the provider gives to all ({_advice(resource)})"


def _advice(resource: Resource) -> str:
    return "default_tags" if resource.type.startswith("aws:") else "default_labels"


def expires(resource: Resource, settings: Settings, today: date | None = None) -> Iterator[str]:
    """An environment for a preview says when it ends, and has not ended."""
    if not any(fnmatchcase(resource.stack, pattern) for pattern in settings.get("stacks", ())):
        return
    tags, most = tags_of(resource), settings.get("days")
    if tags is None or tags is UNKNOWN or tags.get("expires") is UNKNOWN:
        return
    said, now = tags.get("expires"), today or date.today()
    try:
        end = date.fromisoformat(str(said))
    except ValueError:
        yield f"expires is {said or 'not given'}: tag it with the day on which stack {resource.stack} goes, such as 2027-01-31"
        return
    if end < now:
        yield f"expires is {end}, which has passed: destroy stack {resource.stack}, or choose a later day"
    elif most is not None and (end - now).days > most:
        yield f"expires is {end}, {(end - now).days} days from now, at most {most:g} are allowed: choose an earlier day"
