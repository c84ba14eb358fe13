"""What a provider says of a change, and what the engine makes of it; all pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from heliostat.engine.events import PropertyChange
from heliostat.engine.protocol.paths import Path
from heliostat.engine.protocol.properties import has_unknowns, without_secrets
from heliostat.engine.state.marked import is_content
from heliostat.engine.state.snapshot import Secret

INIT_ERRORS_KEY = "#initerror"


@dataclass(frozen=True)
class Diff:
    """How declared inputs differ from a resource: nothing, an update or a replacement.

    `detailed` maps the path of each changed property to whether the change replaces; empty where the provider gave none.
    """

    changes: bool
    replaces: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    detailed: Mapping[str, bool] = field(default_factory=dict)
    delete_before_replace: bool = False

    @property
    def replacing(self) -> bool:
        """Whether the resource has to be replaced."""
        return bool(self.replaces) or any(self.detailed.values())


SAME = Diff(changes=False)


def local_diff(olds: Mapping[str, Any], news: Mapping[str, Any]) -> Diff:
    """The difference of two sets of inputs, for a provider that leaves it to the engine."""
    keys = sorted(olds.keys() | news.keys())
    old, new = without_secrets(olds), without_secrets(news)
    changed = tuple(key for key in keys if not alike(old.get(key), new.get(key)))
    return Diff(changes=bool(changed), changed=changed)


def alike(old: Any, new: Any) -> bool:
    """Whether two values are the same. To Python, `True` is 1. Of an asset or an archive only the digest counts."""
    if old is new:
        return True
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        if "hash" in old and "hash" in new and is_content(old) and is_content(new):
            return bool(old["hash"] == new["hash"])
        return old.keys() == new.keys() and all(alike(value, new[key]) for key, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(alike, old, new))
    if isinstance(old, Secret) and isinstance(new, Secret):
        return alike(old.value, new.value)
    return isinstance(old, bool) == isinstance(new, bool) and bool(old == new)


def is_triggered(old: Any, new: Any) -> bool:
    """Whether a `replacementTrigger` replaces the resource: an unknown always does, none (before or now) never."""
    if has_unknowns(old) or has_unknowns(new):
        return True
    old, new = without_secrets(old), without_secrets(new)
    return old is not None and new is not None and not alike(old, new)


def with_replace_on_changes(diff: Diff, paths: Sequence[str], *, init_errors: bool) -> Diff:
    """`diff` in which a change of what `paths` name (`replaceOnChanges`) replaces the resource."""
    if not paths or not (diff.changes or init_errors):
        return diff
    wanted = [Path.parse(path) for path in paths]

    def chosen(path: str) -> bool:
        return any(one.contains(Path.parse(path)) for one in wanted)

    replaces = set(diff.replaces) | {key for key in diff.changed if chosen(key)}
    changes = diff.changes
    if init_errors and chosen(INIT_ERRORS_KEY):
        replaces.add(INIT_ERRORS_KEY)
        changes = True
    detailed = {path: replacing or chosen(path) for path, replacing in diff.detailed.items()}
    return replace(diff, changes=changes, replaces=tuple(sorted(replaces)), detailed=detailed)


def property_changes(
    diff: Diff, olds: Mapping[str, Any], news: Mapping[str, Any], hidden: Sequence[str] = ()
) -> tuple[PropertyChange, ...]:
    """What to show of a difference: each changed property with its old and new value, secrets still wrapped.

    What the paths `hidden` (`hideDiffs`) name or hold is marked as such.
    """
    paths: Mapping[str, bool] = diff.detailed or {key: key in diff.replaces for key in (*diff.changed, *diff.replaces)}
    veils = [Path.parse(path) for path in hidden]
    return tuple(
        PropertyChange(
            path, _at(olds, path), _at(news, path), replaces, hidden=any(veil.contains(Path.parse(path)) for veil in veils)
        )
        for path, replaces in sorted(paths.items())
    )


def _at(values: Any, path: str) -> Any:
    secret = False
    for part in Path.parse(path).parts:
        if isinstance(values, Secret):
            secret, values = True, values.value
        if isinstance(values, Mapping):
            values = values.get(str(part))
        elif isinstance(values, list) and isinstance(part, int) and part < len(values):
            values = values[part]
        else:
            return None
    return Secret(values) if secret and not isinstance(values, Secret) else values
