"""What `ignoreChanges` does to a resource's inputs: what it names is as it was before; all pure.

The rules are the CLI's since 3.194. Nothing is added to a list or taken from it, since that would move what stands behind:
so a path into a list whose length changed is ignored as far as both lists go, and that it was not wholly so is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from heliostat.engine.protocol.paths import Path
from heliostat.engine.state.snapshot import SECRET_SIGNATURE_KEY, UNKNOWN, Secret


@dataclass(frozen=True)
class Ignoring:
    """Inputs in which what a program ignores is as before, and the paths that could not be ignored, or not wholly.

    `partly` are paths to what was added or removed, `nowhere` those that lead to nothing, neither before nor now.
    """

    inputs: dict[str, Any]
    partly: tuple[str, ...] = ()
    nowhere: tuple[str, ...] = ()


def ignoring(inputs: dict[str, Any], olds: Mapping[str, Any], paths: Iterable[str]) -> Ignoring:
    """`inputs` with what `paths` name as in `olds`."""
    result: Any = inputs
    partly, nowhere = [], []
    for path in paths:
        parts = Path.parse(path).parts
        if not (_leads_somewhere(olds, parts) or _leads_somewhere(inputs, parts)):
            nowhere.append(path)
            continue
        result, whole = _reset(olds, result, parts, _Wrapping())
        if not whole:
            partly.append(path)
    return Ignoring(result, tuple(partly), tuple(nowhere))


@dataclass(frozen=True)
class _Wrapping:
    """Whether what is looked at stands inside a secret, before and now."""

    old: bool = False
    new: bool = False

    def kept(self, old: Any) -> Any:
        """A value of before as it stands now: what was in a secret stays one."""
        return Secret(old) if self.old and not self.new and not isinstance(old, Secret) else old


_Path = tuple[str | int, ...]
_Found = tuple[Any, bool]


def _reset(old: Any, new: Any, path: _Path, inside: _Wrapping) -> _Found:
    """`new` with the value of `old` at `path`, and whether that was wholly possible."""
    if isinstance(new, Secret):
        inner, whole = _reset(old, new.value, path, _Wrapping(inside.old, new=True))
        return (new if inner is new.value else Secret(inner)), whole
    if isinstance(old, Secret):
        return _reset(old.value, new, path, _Wrapping(old=True, new=inside.new))
    if isinstance(new, str) and new == UNKNOWN:
        return new, True  # only the update can tell
    key, rest = path[0], path[1:]
    step = _reset_each if key == "*" else _reset_position if isinstance(key, int) else _reset_name
    return step(old, new, path, lambda before, now: _reset(before, now, rest, inside) if rest else (inside.kept(before), True))


_Below = Callable[[Any, Any], _Found]


def _reset_each(old: Any, new: Any, path: _Path, below: _Below) -> _Found:
    if _is_object(old) and _is_object(new):
        if len(path) == 1:
            return {key: below(value, None)[0] for key, value in old.items()}, True
        found = {key: below(value, new[key]) for key, value in old.items() if key in new}
        return {**new, **{key: one for key, (one, _) in found.items()}}, len(found) == len(old) and _all(found.values())
    if isinstance(old, list) and isinstance(new, list):
        items = [below(before, now) for before, now in zip(old, new, strict=False)]
        return [one for one, _ in items] + new[len(items) :], len(old) == len(new) and _all(items)
    return new, False


def _reset_position(old: Any, new: Any, path: _Path, below: _Below) -> _Found:
    key = int(path[0])
    if not (isinstance(old, list) and isinstance(new, list)):
        return new, not (isinstance(old, list) or isinstance(new, list))
    if key >= min(len(old), len(new)):
        return new, len(path) == 1 and key >= max(len(old), len(new))
    item, whole = below(old[key], new[key])
    return [*new[:key], item, *new[key + 1 :]], whole


def _reset_name(old: Any, new: Any, path: _Path, below: _Below) -> _Found:
    key = str(path[0])
    before, now = _is_object(old) and key in old, _is_object(new) and key in new
    if len(path) == 1:
        if before:
            return ({**new, key: below(old[key], None)[0]}, True) if _is_object(new) else (new, False)
        return ({name: value for name, value in new.items() if name != key} if now else new), True
    if not (_is_object(old) and _is_object(new)):
        return new, not (_is_object(old) or _is_object(new))
    if not now:
        return new, not before
    value, whole = below(old.get(key), new[key])
    return {**new, key: value}, whole


def _all(found: Iterable[_Found]) -> bool:
    return all(whole for _, whole in found)


def _is_object(value: Any) -> bool:
    """Whether a value has names; an asset or a reference to a resource is a value in itself."""
    return isinstance(value, Mapping) and SECRET_SIGNATURE_KEY not in value


def _leads_somewhere(value: Any, path: _Path) -> bool:
    while isinstance(value, Secret):
        value = value.value
    if not path or (isinstance(value, str) and value == UNKNOWN):
        return True
    key, rest = path[0], path[1:]
    if key == "*":
        items = list(value.values()) if _is_object(value) else value if isinstance(value, list) else None
        # An empty list is what `*` names, even if nothing is in it now.
        return items is not None and (not items or any(_leads_somewhere(item, rest) for item in items))
    if isinstance(value, list):
        return isinstance(key, int) and key < len(value) and _leads_somewhere(value[key], rest)
    return _is_object(value) and key in value and _leads_somewhere(value[key], rest)
