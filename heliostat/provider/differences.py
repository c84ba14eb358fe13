"""What differs between what was declared, what is, and what is declared now. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from heliostat.provider.properties import Path, path_of


class Kind(Enum):
    """How a property differs."""

    ADD = "ADD"
    DELETE = "DELETE"
    UPDATE = "UPDATE"


@dataclass(frozen=True)
class Difference:
    """One property that differs; `of_inputs` is False where the world drifted from what was declared."""

    path: Path
    kind: Kind
    of_inputs: bool = True


def differences(old: Mapping[str, Any], new: Mapping[str, Any], actual: Mapping[str, Any]) -> list[Difference]:
    """Differences of the inputs `old` and `new`; then of `new` and what the outputs say of the same properties."""
    found = list(_between(old, new, ()))
    known = {difference.path[0] for difference in found}
    for key, value in new.items():
        if key not in known and key in actual:
            found += (Difference(d.path, d.kind, of_inputs=False) for d in _between(actual[key], value, (key,)))
    return found


def without(found: Iterable[Difference], keys: Collection[str], ignored: Iterable[str]) -> list[Difference]:
    """`found` less what lies in the properties `keys` and what Pulumi's `ignoreChanges` names."""
    patterns = [path_of(text) for text in ignored]
    return [d for d in found if d.path[0] not in keys and not any(_matches(d.path, pattern) for pattern in patterns)]


def _between(old: Any, new: Any, path: Path) -> Iterable[Difference]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted(old.keys() | new.keys()):
            if key not in old:
                yield Difference((*path, key), Kind.ADD)
            elif key not in new:
                yield Difference((*path, key), Kind.DELETE)
            else:
                yield from _between(old[key], new[key], (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            if index >= len(old):
                yield Difference((*path, index), Kind.ADD)
            elif index >= len(new):
                yield Difference((*path, index), Kind.DELETE)
            else:
                yield from _between(old[index], new[index], (*path, index))
    elif old != new or isinstance(old, bool) != isinstance(new, bool):
        yield Difference(path, Kind.UPDATE)


def _matches(path: Path, pattern: Path) -> bool:
    return len(path) >= len(pattern) and all(wanted in ("*", part) for part, wanted in zip(path, pattern, strict=False))
