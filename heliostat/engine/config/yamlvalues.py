"""How values are written in YAML: one line where that will do, in quotes that every reader takes alike; pure."""

from __future__ import annotations

import json
import math
import re
from typing import Any

INDENT = 2
"""How far what is new is indented where nothing says otherwise."""


def scalar(value: Any, style: str | None = None) -> str:
    """A value on one line, in the quotes that stood there before where it needs some or they are no matter."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    if isinstance(value, float):
        return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value))
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if style == '"' or not value.isprintable():
        return _escaped(value)
    return value if style != "'" and _is_plain(value) else "'" + value.replace("'", "''") + "'"


def _escaped(text: str) -> str:
    unsafe = "[\x7f-\xa0\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]"
    return re.sub(unsafe, lambda found: f"\\u{ord(found.group()):04x}", json.dumps(text, ensure_ascii=False))


def _is_plain(text: str) -> bool:
    """Whether the text means itself without quotes, for readers of YAML 1.1 and 1.2, in a block and between braces."""
    import yaml
    from ruamel.yaml import YAML

    reader = YAML(typ="safe", pure=True)
    try:
        told = [reader.load(f"k: {text}"), reader.load(f"{{k: {text}}}"), yaml.safe_load(f"k: {text}")]
    except Exception:  # a text that no reader takes, of whatever library's error
        return False
    return all(one == {"k": text} for one in told)


def block(value: Any, indent: int, newline: str) -> str:
    """A value behind `key:` or `-`: on the same line, or below it at `indent`."""
    pad = newline + " " * indent
    if isinstance(value, dict) and value:
        return "".join(f"{pad}{scalar(key)}:{block(inner, indent + INDENT, newline)}" for key, inner in value.items())
    if isinstance(value, list) and value:
        return "".join(f"{pad}-{item(inner, indent + INDENT, newline)}" for inner in value)
    return f" {flow(value)}"


def item(value: Any, indent: int, newline: str) -> str:
    """A value behind a dash; what is a mapping begins beside it."""
    text = block(value, indent, newline)
    return " " + text.lstrip() if text.startswith(newline) else text


def flow(value: Any) -> str:
    """A value between braces and brackets."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)
