"""Secrets of other stacks that cannot be decrypted: what stands for one, and where it is used after all; all pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

from heliostat.engine.state.snapshot import Secret

_MARK = "2f0b7c1e-unreadable-secret-91d4"
_PATTERN = re.compile(rf"{_MARK}:([^:]*):([^:]*):")


def stand_in(stack: str, output: str) -> str:
    """The text that a program gets for an output; it is known again wherever the program puts it."""
    return f"{_MARK}:{quote(stack)}:{quote(output)}:"


def complaint(value: Any) -> str:
    """Which outputs of which stacks a value uses that cannot be read, and what to do; empty where it uses none."""
    used = sorted(set(_used(value)))
    if not used:
        return ""
    listed = ", ".join(f"{output!r} of stack {stack!r}" for stack, output in used)
    return (
        f"the output {listed} is secret and cannot be decrypted: that stack has another passphrase than this process has. "
        "Give both stacks one passphrase, or do not use it here; outputs that are no secret can be read"
    )


def _used(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield from ((unquote(stack), unquote(output)) for stack, output in _PATTERN.findall(value))
    elif isinstance(value, Secret):
        yield from _used(value.value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _used(item)
    elif isinstance(value, list):
        for item in value:
            yield from _used(item)
