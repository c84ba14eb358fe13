"""Changes one value of a YAML text and leaves every other byte of it as it was; pure.

The parser says where each node stands, and the change is spliced into the text there. Whatever comes out is read again:
where it does not say exactly what was wanted (anchors, keys that are lists, several documents), that is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from heliostat.engine.config.yamlvalues import INDENT, block, flow, item, scalar

Step = str | int


class EditError(ValueError):
    """The text cannot be changed in place."""


def load(text: str) -> Any:
    """The text as plain values; raises ruamel's YAMLError."""
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)


def position(text: str, path: tuple[Step, ...]) -> tuple[int, int] | None:
    """Line and column, both from 1, of what stands at `path`: a key, or an item; of its nearest holder where it is missing."""
    from ruamel.yaml.error import YAMLError

    try:
        found = _Text(text).nearest(path)
    except YAMLError:
        return None
    return None if found is None else (found.line + 1, found.column + 1)


def put(text: str, path: tuple[Step, ...], value: Any) -> str:
    """The text in which `value` stands at `path`; what has to hold it is made. Raises EditError."""
    return _checked(_Text(text).put(path, value), _with(load(text), path, value))


def drop(text: str, path: tuple[Step, ...]) -> str:
    """The text without what stands at `path`, which is there. Raises EditError."""
    return _checked(_Text(text).drop(path), _without(load(text), path))


def _checked(text: str, wanted: Any) -> str:
    from ruamel.yaml.error import YAMLError

    try:
        right = _same(load(text), wanted)
    except YAMLError:
        right = False
    if not right:
        raise EditError("it is written in a way that cannot be changed in place")
    return text


def _same(one: Any, other: Any) -> bool:
    """Equality that tells 1 from true and from 1.0, and takes one NaN for another."""
    return repr(one) == repr(other)


def _with(data: Any, path: tuple[Step, ...], value: Any) -> Any:
    if not path:
        return value
    step = path[0]
    if isinstance(step, int):
        items = list(data) if isinstance(data, list) else []
        items[step : step + 1] = [_with(items[step] if step < len(items) else None, path[1:], value)]
        return items
    holder = dict(data) if isinstance(data, dict) else {}
    holder[step] = _with(holder.get(step), path[1:], value)
    return holder


def _without(data: Any, path: tuple[Step, ...]) -> Any:
    holder: Any = list(data) if isinstance(data, list) else dict(data)
    if len(path) == 1:
        del holder[path[0]]
    else:
        holder[path[0]] = _without(holder[path[0]], path[1:])
    return holder


@dataclass(frozen=True)
class _Entry:
    """A key and its value, or an item: where it begins, where its value may begin and where it ends."""

    key: Step
    start: int
    after: int
    """Behind the colon or the dash."""
    end: int
    node: Any
    line: int
    column: int
    is_alias: bool = False


class _Text:
    def __init__(self, text: str) -> None:
        from ruamel.yaml import YAML

        self.text = text
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self.root = YAML(typ="safe", pure=True).compose(text)

    # --- entries of a holder

    def entries(self, node: Any) -> list[_Entry]:
        """What a mapping or a list holds."""
        value = getattr(node, "value", None)
        if not isinstance(value, list):
            return []
        if _kind(node) == "mapping":
            return [self._pair(key, inner) for key, inner in value]
        found: list[_Entry] = []
        for number, inner in enumerate(value):
            found.append(self._listed(number, inner, node, found[-1].end if found else None))
        return found

    def _pair(self, key: Any, node: Any) -> _Entry:
        colon = re.compile(r"\s*:").match(self.text, key.end_mark.index)
        if colon is None or _kind(key) != "scalar":
            raise EditError(f"line {key.start_mark.line + 1} has a key that is no simple text")
        after, alias = colon.end(), node.start_mark.index < key.start_mark.index
        end = self._end(node, after, alias=alias)
        return _Entry(key.value, key.start_mark.index, after, end, node, key.start_mark.line, key.start_mark.column, alias)

    def _listed(self, number: int, node: Any, holder: Any, before: int | None) -> _Entry:
        """An item; `before` is where the one before it ends."""
        braced = bool(holder.flow_style)
        begin = holder.start_mark.index + braced if before is None else before
        gap = re.compile(r"(?:\s|#[^\n]*|,)*" if braced else r"(?:\s|#[^\n]*)*-").match(self.text, begin)
        if gap is None:
            raise EditError(f"line {holder.start_mark.line + 1} begins a list of an unusual form")
        start, after = gap.end() - (not braced), gap.end()
        alias = node.start_mark.index < start
        line = self.text.count("\n", 0, start)
        end = self._end(node, after, alias=alias)
        return _Entry(number, start, after, end, node, line, start - self._line_start(start), alias)

    def _end(self, node: Any, after: int, *, alias: bool) -> int:
        if alias:
            found = re.compile(r"\s*\*[^\s,\]}]+").match(self.text, after)
            return found.end() if found else after
        if _is_nothing(node):
            return after
        if _kind(node) == "scalar":
            return self._block_scalar_end(node) if node.style in {"|", ">"} else int(node.end_mark.index)
        if node.flow_style:
            return int(node.end_mark.index)
        inside = self.entries(node)
        return inside[-1].end if inside else after

    def _block_scalar_end(self, node: Any) -> int:
        """Behind the last line of a `|` or `>` text that says something."""
        head = self._line_end(node.start_mark.index)
        body = self.text[head : node.end_mark.index]
        return head + len(body.rstrip()) if body.strip() else head

    def _line_end(self, index: int) -> int:
        """Where the line of `index` ends, before its line break."""
        end = self.text.find("\n", index)
        end = len(self.text) if end == -1 else end
        return end - (end > index and self.text[end - 1] == "\r")

    def _line_start(self, index: int) -> int:
        return self.text.rfind("\n", 0, index) + 1

    def find(self, path: tuple[Step, ...]) -> tuple[list[_Entry], Any]:
        """The entries on the way to `path` as far as there are any, and the node where the way ends."""
        node, way = self.root, []
        for step in path:
            entry = next((one for one in self.entries(node) if one.key == step), None)
            if entry is None:
                break
            way.append(entry)
            node = None if _is_nothing(entry.node) else entry.node
        return way, node

    def nearest(self, path: tuple[Step, ...]) -> _Entry | None:
        """The last entry on the way to `path`; None where not even its first step is there."""
        way, _ = self.find(path)
        return way[-1] if way else None

    # --- changes

    def splice(self, start: int, end: int, new: str) -> str:
        return self.text[:start] + new + self.text[end:]

    def put(self, path: tuple[Step, ...], value: Any) -> str:
        way, node = self.find(path)
        if len(way) == len(path):
            return self._replace(way, value)
        missing = path[len(way) :]
        for step in reversed(missing[1:]):
            value = [value] if isinstance(step, int) else {step: value}
        first = missing[0]
        holder = self.entries(node)
        if holder and (_kind(node) == "list") == isinstance(first, int):
            return self._add(way, node, holder[-1], first, value)
        made = [value] if isinstance(first, int) else {first: value}
        if way:
            return self._replace(way, made)
        if _flows(self.root):
            return self.splice(self.root.start_mark.index, self.root.end_mark.index, block(made, 0, self.newline).lstrip())
        return self._append(made)

    def _append(self, made: Any) -> str:
        """At the end of a text that says nothing yet."""
        gap = self.newline if self.text and not self.text.endswith("\n") else ""
        return self.text + gap + block(made, 0, self.newline).removeprefix(self.newline) + self.newline

    def _replace(self, way: list[_Entry], value: Any) -> str:
        entry, braced = way[-1], any(_flows(one.node) for one in way[:-1])
        node = entry.node
        short = flow(value) if isinstance(value, dict | list) else scalar(value, getattr(node, "style", None))
        if braced:
            return self.splice(entry.after, entry.end, (" " if self.text[entry.after - 1] == ":" else "") + short)
        if not isinstance(value, dict | list) or not value:
            return self._replace_by_scalar(entry, short)
        dash = self.text[entry.after - 1] == "-"
        column = entry.start - self._line_start(entry.start)
        indent = column + (INDENT if dash else self._step())
        was = self.entries(node) if not _flows(node) and _kind(node) != "scalar" else []
        if was:  # a block in the place of a block: at the column of the one before
            start = was[0].start
            there = start - self._line_start(start)
            indent = max(indent, there) if there <= column else there
            gap = " " * (indent - there)
            return self.splice(start, entry.end, gap + block(value, indent, self.newline).strip())
        body = block(value, indent, self.newline)
        if dash:
            return self.splice(entry.after, entry.end, " " + body.lstrip())
        line_end = self._line_end(entry.end)
        return self.text[: entry.after] + self.text[entry.end : line_end] + body + self.text[line_end:]

    def _replace_by_scalar(self, entry: _Entry, text: str) -> str:
        node = entry.node
        simple = (
            entry.is_alias or _is_nothing(node) or _flows(node) or (_kind(node) == "scalar" and node.style not in {"|", ">"})
        )
        if simple:
            return self.splice(entry.after, entry.end, (" " if entry.end == entry.after else self._lead(entry)) + text)
        if _kind(node) == "scalar":  # a block of text: its head goes too
            return self.splice(entry.after, entry.end, f" {text}")
        first = self.entries(node)[0]
        if self.text[entry.after - 1] == "-" or self._line_start(first.start) <= entry.start:
            return self.splice(entry.after, entry.end, f" {text}")
        line_end = self._line_end(entry.after)  # what stands behind the key, as a comment does, stays there
        return self.text[: entry.after] + f" {text}" + self.text[entry.after : line_end] + self.text[entry.end :]

    def _lead(self, entry: _Entry) -> str:
        """The blanks between the colon and the value."""
        found = re.compile(r"[^\S\n]*").match(self.text, entry.after)
        return (found.group() if found else "") or " "

    def _step(self) -> int:
        """How far this text indents: as its first nested mapping does."""
        for entry in self.entries(self.root):
            inside = [] if _flows(entry.node) else self.entries(entry.node)
            if inside and _kind(entry.node) == "mapping":
                return max(inside[0].column - entry.column, 1)
        return INDENT

    def _add(self, way: list[_Entry], node: Any, last: _Entry, step: Step, value: Any) -> str:
        """Behind the last entry of a holder that has some."""
        braced = bool(node.flow_style) or any(_flows(one.node) for one in way)
        new = flow(value) if isinstance(step, int) else f"{scalar(step)}: {flow(value)}"
        if braced:
            return self.splice(last.end, last.end, f", {new}")
        column = last.start - self._line_start(last.start)
        if isinstance(step, int):
            behind = f"-{item(value, column + INDENT, self.newline)}"
        else:
            behind = f"{scalar(step)}:{block(value, column + self._step(), self.newline)}"
        end = self._line_end(last.end)
        return self.splice(end, end, self.newline + " " * column + behind)

    def drop(self, path: tuple[Step, ...]) -> str:
        way, _ = self.find(path)
        if len(way) < len(path):
            raise EditError("there is nothing at this place")
        entry, holder = way[-1], way[-2].node if len(way) > 1 else self.root
        beside = self.entries(holder)
        if len(beside) == 1:
            return self._empty(way[:-1], _kind(holder))
        number = next(n for n, one in enumerate(beside) if one.start == entry.start)
        if holder.flow_style or any(_flows(one.node) for one in way[:-1]):
            if number + 1 < len(beside):
                return self.splice(entry.start, beside[number + 1].start, "")
            return self.splice(beside[number - 1].end, entry.end, "")
        start = self._line_start(entry.start)
        if self.text[start : entry.start].strip():  # beside a dash: what follows takes its place
            return self.splice(entry.start, beside[number + 1].start, "")
        end = self._line_end(entry.end)
        return self.splice(start, min(end + len(self.newline), len(self.text)), "")

    def _empty(self, way: list[_Entry], kind: str) -> str:
        """A holder whose only entry goes."""
        if not way:
            raise EditError("nothing would be left of it")
        nothing: Any = [] if kind == "list" else {}
        if any(_flows(one.node) for one in way):
            return self._replace(way, nothing)
        return self._replace_by_scalar(way[-1], flow(nothing))


def _kind(node: Any) -> str:
    name = type(node).__name__
    return {"MappingNode": "mapping", "SequenceNode": "list"}.get(name, "scalar")


def _flows(node: Any) -> bool:
    return bool(getattr(node, "flow_style", False))


def _is_nothing(node: Any) -> bool:
    return _kind(node) == "scalar" and node.value == "" and node.style is None and node.start_mark.index == node.end_mark.index
