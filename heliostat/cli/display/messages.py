"""The words, signs and colours of operations, as users of the official CLI know them; pure."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from heliostat.cli.say import line
from heliostat.engine.events import Op, PropertyChange, Summary
from heliostat.engine.state.snapshot import UNKNOWN, Secret

SECRET_TEXT = "[secret]"  # noqa: S105 -- what stands for a secret
_LONGEST_VALUE = 120
GOES_ON = "goes on by itself"
"""What a step began that the operation left."""

SIGNS = {
    Op.SAME: " ",
    Op.CREATE: "+",
    Op.UPDATE: "~",
    Op.DELETE: "-",
    Op.REPLACE: "+-",
    Op.CREATE_REPLACEMENT: "++",
    Op.DELETE_REPLACED: "--",
    Op.READ: ">",
    Op.READ_REPLACEMENT: ">>",
    Op.READ_DISCARD: "<",
    Op.DISCARD_REPLACED: "<<",
    Op.REFRESH: "~",
    Op.IMPORT: "=",
}
COLOURS = {
    Op.SAME: "dim",
    Op.CREATE: "green",
    Op.UPDATE: "yellow",
    Op.DELETE: "red",
    Op.REPLACE: "magenta",
    Op.CREATE_REPLACEMENT: "green",
    Op.DELETE_REPLACED: "red",
    Op.READ: "cyan",
    Op.READ_REPLACEMENT: "cyan",
    Op.READ_DISCARD: "red",
    Op.DISCARD_REPLACED: "red",
    Op.REFRESH: "cyan",
    Op.IMPORT: "green",
}
# while it runs, when it is done, before it is done
_WORDS = {
    Op.SAME: ("checking", "unchanged", "unchanged"),
    Op.CREATE: ("creating", "created", "create"),
    Op.UPDATE: ("updating", "updated", "update"),
    Op.DELETE: ("deleting", "deleted", "delete"),
    Op.REPLACE: ("replacing", "replaced", "replace"),
    Op.CREATE_REPLACEMENT: ("creating replacement", "created replacement", "create replacement"),
    Op.DELETE_REPLACED: ("deleting original", "deleted original", "delete original"),
    Op.READ: ("reading", "read", "read"),
    Op.READ_REPLACEMENT: ("reading replacement", "read replacement", "read for replacement"),
    Op.READ_DISCARD: ("discarding", "discarded", "discard"),
    Op.DISCARD_REPLACED: ("discarding original", "discarded original", "discard original"),
    Op.REFRESH: ("refreshing", "refreshed", "refresh"),
    Op.IMPORT: ("importing", "imported", "import"),
}
_GONE = ("x", "yellow", "gone")
"""Sign, colour and word of what a look at the world does not find any more: it leaves the state, and nothing was deleted."""
_REPLACING = frozenset({Op.CREATE_REPLACEMENT, Op.DELETE_REPLACED, Op.READ_REPLACEMENT, Op.DISCARD_REPLACED})
_SUMMED = (Op.CREATE, Op.IMPORT, Op.UPDATE, Op.REPLACE, Op.DELETE, Op.READ, Op.READ_DISCARD, Op.REFRESH)


def result_of(summary: Summary) -> str:
    """How an operation ended, in the history's words."""
    return "succeeded" if summary.succeeded else "goes-on" if summary.goes_on else "failed"


def running(op: Op) -> str:
    """`creating`."""
    return _WORDS[op][0]


def done(op: Op, *, preview: bool) -> str:
    """`created`, or `create` in a preview."""
    return _WORDS[op][2 if preview else 1]


def marks(op: Op, *, preview: bool, gone: bool = False) -> tuple[str, str, str]:
    """Sign, colour and word of an operation; `gone`: it is what a look at the world found out."""
    return _GONE if gone else (SIGNS[op], COLOURS[op], done(op, preview=preview))


def is_change(op: Op) -> bool:
    """Whether the operation alters a resource."""
    return op not in {Op.SAME, Op.READ, Op.REFRESH}


def has_changes(changes: Mapping[Op, int]) -> bool:
    """Whether anything was (or would be) altered."""
    return any(count for op, count in changes.items() if is_change(op))


def tally(changes: Mapping[Op, int], *, preview: bool, gone: int = 0) -> str:
    """`+ 3 created, ~ 1 updated, = 5 unchanged`; the halves of a replacement count as one.

    `gone` of those that were counted as deleted had died by themselves.
    """
    counts = {op: changes.get(op, 0) - (gone if op is Op.DELETE else 0) for op in _SUMMED}
    if not counts[Op.REPLACE]:
        counts[Op.REPLACE] = max((changes.get(op, 0) for op in _REPLACING), default=0)
    to = "to " if preview else ""
    parts = [f"{SIGNS[op]} {count} {to}{done(op, preview=preview)}" for op, count in counts.items() if count]
    parts += [f"{_GONE[0]} {gone} {_GONE[2]}"] if gone else []
    same = changes.get(Op.SAME, 0)
    return ", ".join([*parts, f"= {same} unchanged"] if same or not parts else parts)


def duration(seconds: float) -> str:
    """`0.3s`, `12s`, `3m07s`."""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02d}m"


def shown(value: Any, *, show_secrets: bool) -> Any:
    """The value with secrets hidden or opened, and what only an update will know said so."""
    if isinstance(value, Secret):
        return shown(value.value, show_secrets=True) if show_secrets else SECRET_TEXT
    if value == UNKNOWN:
        return "[unknown]"
    if isinstance(value, dict):
        return {name: shown(item, show_secrets=show_secrets) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [shown(item, show_secrets=show_secrets) for item in value]
    return value


def text_of(value: Any, *, show_secrets: bool, longest: int = _LONGEST_VALUE) -> str:
    """A value on one line, cut where it is long."""
    import json

    plain = shown(value, show_secrets=show_secrets)
    if isinstance(plain, str) and plain in {SECRET_TEXT, "[unknown]"}:
        return plain
    text = json.dumps(plain, ensure_ascii=False, default=str)
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text)} characters)"


def output_lines(
    old: Mapping[str, Any], new: Mapping[str, Any], *, show_secrets: bool, indent: str = "", whole: bool = False
) -> Iterator[tuple[str, str]]:
    """Colour and text of each output, in the order of their names; an object's own below it. Long ones are cut but `whole`."""
    longest = sys.maxsize if whole else _LONGEST_VALUE
    names = sorted({*old, *new})
    width = max(map(len, names), default=0)
    for name in names:
        before, after = old.get(name), new.get(name)
        sign, colour = _mark(name in old, name in new, same=before == after)
        value = after if name in new else before
        if isinstance(value, dict) and value:
            yield colour, f"{sign} {indent}{line(name)}:"
            inner = {side: part if isinstance(part, dict) else {} for side, part in (("old", before), ("new", after))}
            yield from output_lines(inner["old"], inner["new"], show_secrets=show_secrets, indent=f"{indent}  ", whole=whole)
            continue
        text = text_of(value, show_secrets=show_secrets, longest=longest)
        if sign == "~":
            text = f"{text_of(before, show_secrets=show_secrets, longest=longest)} => {text}"
        yield colour, f"{sign} {indent}{line(name):<{width}} : {text}"


def _mark(was: bool, is_now: bool, *, same: bool) -> tuple[str, str]:
    if not was:
        return "+", "green"
    if not is_now:
        return "-", "red"
    return (" ", "") if same else ("~", "yellow")


def paths_of(changes: tuple[PropertyChange, ...], most: int = 6) -> str:
    """The properties that differ, for one line; those that the program hides are not among them."""
    return line(", ".join([change.path for change in changes if not change.hidden][:most]))


def diff_lines(changes: tuple[PropertyChange, ...], *, show_secrets: bool, whole: bool = False) -> Iterator[tuple[str, str]]:
    """Colour and text of each property that differs, values cut where they are long unless `whole`."""
    longest = sys.maxsize if whole else _LONGEST_VALUE
    for change in changes:
        why = "  (forces replacement)" if change.replaces else ""
        path = line(change.path)
        if change.hidden:
            yield "yellow", f"~ {path} (hidden){why}"
            continue
        new = text_of(change.new, show_secrets=show_secrets, longest=longest)
        old = text_of(change.old, show_secrets=show_secrets, longest=longest)
        if change.old is None:
            yield "green", f"+ {path}: {new}{why}"
        elif change.new is None:
            yield "red", f"- {path}: {old}{why}"
        else:
            hidden = " (changed)" if old == new else ""
            yield "yellow", f"~ {path}: {old} => {new}{hidden}{why}"
