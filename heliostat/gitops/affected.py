"""Which stacks and workloads a change affects: two trees are compared by the digests that decide in an update. Pure.

So what is told here is what an update would do: a file that no entry point needs, a comment or a document affects nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from heliostat.gitops.declarations import PARTS, DeclaredTree, DeclaredWorkload
from heliostat.spec.base import PROJECT

_ENTRY_POINT: Final = re.compile(r"[A-Za-z_][\w]*(\.\w+)+:[A-Za-z_]\w*")
GONE: Final = "its config is gone"
LOST: Final = "no history has the commit before"
_OF_SECTIONS: Final = {"data": "dataset", "training": "training", "gate": "model", "model": "model", "mlflow": "model"}
"""The first part of a workload that a section of its config decides about; every other one is the application's."""


@dataclass(frozen=True)
class Tree:
    """One side of a change."""

    declared: DeclaredTree
    configs: Mapping[str, Mapping[str, Any]]
    """Each stack's config, by the stack's name."""
    shared: Mapping[str, str] = field(default_factory=dict)
    """Digests of what all stacks are made with, by what it is: the program, the project, the library."""


@dataclass(frozen=True)
class AffectedStack:
    """A stack that an update would change."""

    stack: str
    whole: tuple[str, ...] = ()
    """What of it is not a workload's and differs."""
    workloads: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Why each workload is affected: a part of its code, or a place in the config."""


def affected(before: Tree, after: Tree) -> list[AffectedStack]:
    """The stacks of either side that differ, by name."""
    shared = tuple(
        name for name in sorted({*before.shared, *after.shared}) if before.shared.get(name) != after.shared.get(name)
    )
    found = []
    for stack in sorted({*before.configs, *after.configs}):
        if stack not in after.configs:
            found.append(AffectedStack(stack, (GONE,)))
            continue
        old, new = sections(before.configs.get(stack, {})), sections(after.configs[stack])
        whole = (*shared, *(["it is new"] if stack not in before.configs else _other(old, new)))
        workloads = dict(_workloads(before, after, _of(old), _of(new)))
        if whole or workloads:
            found.append(AffectedStack(stack, whole, workloads))
    return found


def both(one: AffectedStack, other: AffectedStack) -> AffectedStack:
    """A stack that differs from two sides: by whatever it does from either."""
    workloads = {
        name: tuple(dict.fromkeys((*one.workloads.get(name, ()), *other.workloads.get(name, ()))))
        for name in sorted({*one.workloads, *other.workloads})
    }
    return AffectedStack(one.stack, tuple(dict.fromkeys((*one.whole, *other.whole))), workloads)


def sections(content: Mapping[str, Any]) -> dict[str, Any]:
    """What a stack's file says, but for the salt, which decides nothing; this project's keys without its name."""
    config = content.get("config") or {}
    return {str(key).removeprefix(f"{PROJECT}:"): value for key, value in config.items()}


def entry_points_in(value: Any) -> set[str]:
    """Every entry point that a config names, as in a strategy's own checks."""
    if isinstance(value, Mapping):
        return set().union(*map(entry_points_in, value.values()))
    if isinstance(value, list):
        return set().union(*map(entry_points_in, value))
    return {value} if isinstance(value, str) and _ENTRY_POINT.fullmatch(value) else set()


def _of(found: Mapping[str, Any]) -> Mapping[str, Any]:
    workloads = found.get("workloads")
    return workloads if isinstance(workloads, Mapping) else {}


def _other(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    keys = sorted((old.keys() | new.keys()) - {"workloads"})
    return (f"config: {key}" for key in keys if old.get(key) != new.get(key))


def _workloads(
    before: Tree, after: Tree, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name in sorted({*old, *new}):
        if name not in new:
            yield name, ("it is gone",)
        elif name not in old:
            yield name, ("it is new",)
        elif why := (*_code(before, after, name), *_config(old[name], new[name]), *_named(before, after, new[name])):
            yield name, why


def _code(before: Tree, after: Tree, name: str) -> Iterator[str]:
    nothing = DeclaredWorkload()
    was, now = before.declared.workloads.get(name, nothing), after.declared.workloads.get(name, nothing)
    if now.mistake or was.mistake:
        if now != was:
            yield f"its code cannot be read{'' if now.mistake else ' on the other side'}: {now.mistake or was.mistake}"
        return
    yield from (part for part in PARTS if was.parts.get(part) != now.parts.get(part))


def _config(old: Any, new: Any) -> Iterator[str]:
    return (f"config: {'.'.join(path)}" for path in _differences(old or {}, new or {}))


def _named(before: Tree, after: Tree, config: Any) -> Iterator[str]:
    was, now = before.declared.entry_points, after.declared.entry_points
    return (each for each in sorted(entry_points_in(config)) if was.get(each) != now.get(each))


def _differences(old: Any, new: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The shortest paths below which two values differ; lists are one value."""
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}, key=str):
            yield from _differences(old.get(key), new.get(key), (*path, str(key)))
    else:
        yield path


def first_part(reasons: Iterable[str]) -> str:
    """The first part of a workload that an update makes anew, of why it is affected; all behind it may follow."""
    parts: Sequence[str] = [_part_of(reason) for reason in reasons]
    return next((part for part in PARTS if part in parts), PARTS[-1])


def _part_of(reason: str) -> str:
    if reason in PARTS:
        return reason
    if reason.startswith(("it is new", "its code")):
        return PARTS[0]
    return _OF_SECTIONS.get(reason.removeprefix("config: ").partition(".")[0], PARTS[-1])
