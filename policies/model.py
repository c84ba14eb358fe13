"""What the rules look at: resources as plain values, in which what only an update will know is `UNKNOWN`.

Nothing here imports Pulumi's SDK, so that rules are tested as what they are, and nothing of Heliostat's, because the pack
runs in an environment of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


class Unknown:
    """A value that a preview cannot know. A rule that needs it says nothing, and is asked again in the update."""

    def __repr__(self) -> str:
        return "[unknown]"


UNKNOWN = Unknown()
Settings = Mapping[str, Any]
"""A rule's config, with the defaults of its schema."""


@dataclass(frozen=True)
class Resource:
    """One resource; `needs` are the URNs that its properties come from, `provider` the inputs of its provider."""

    type: str
    name: str = "r"
    props: Mapping[str, Any] = field(default_factory=dict)
    urn: str = ""
    protect: bool = False
    provider: Mapping[str, Any] = field(default_factory=dict)
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def stack(self) -> str:
        """The name of the stack that it is in."""
        return self.urn.split("::", 1)[0].rpartition(":")[2]


ResourceCheck = Callable[[Resource, Settings], Iterator[str]]
"""Yields what breaks the rule, in words that name the value, the limit and the fix."""
StackCheck = Callable[[Sequence[Resource], Settings], Iterator[tuple[str, str]]]
"""The same over all resources of a stack, each with the URN that it is about (empty: the stack as a whole)."""


def get(value: Any, *path: str | int) -> Any:
    """What lies at a path: None where nothing does, UNKNOWN where that cannot be told yet."""
    for part in path:
        if value is UNKNOWN:
            return UNKNOWN
        if isinstance(value, Mapping):
            value = value.get(str(part))
        elif isinstance(value, list | tuple) and isinstance(part, int):
            value = value[part] if part < len(value) else None
        else:
            return None
    return value


def each(value: Any) -> list[Any]:
    """The known elements of a list; a single value is one."""
    if value is None or value is UNKNOWN:
        return []
    return [one for one in (value if isinstance(value, list | tuple) else [value]) if one is not UNKNOWN]


def is_whole(value: Any) -> bool:
    """Whether everything in a value is known."""
    if isinstance(value, Mapping):
        return all(map(is_whole, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_whole, value))
    return value is not UNKNOWN


def is_off(value: Any) -> bool:
    """Whether a switch is known to be off: false, or not given."""
    return value is None or value is False or value == "false"


def number(value: Any, otherwise: float = 0.0) -> float:
    """A known number; `otherwise` where there is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def document(value: Any) -> Any:
    """A JSON document, which may be given as its text: UNKNOWN where that is not known, None where it is no JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return None


def listed(values: Iterable[Any]) -> str:
    """Values as they stand in a message."""
    return ", ".join(sorted(map(str, values)))
