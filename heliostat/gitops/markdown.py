"""Markdown of others' words and figures, which marks nothing up, breaks no table and calls nobody. Pure."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

_MARKS = ("\\", "`", "*", "_", "|", "[", "]", "#", "~", "$", "!")
"""`~` strikes out, and is a label of GitLab's; `$` is a formula of GitHub's; `!` is a picture, or a merge request."""
_FIRST = ("/", "-", "+")
"""What makes an order of GitLab's, or a list, where it begins a line."""


def text_of(text: str) -> str:
    """Words of others in a line."""
    plain = html.escape(" ".join(text.split()), quote=False)
    for mark in _MARKS:
        plain = plain.replace(mark, f"\\{mark}")
    plain = f"\\{plain}" if plain.startswith(_FIRST) else plain
    return plain.replace("@", "@\u200b")


def code(text: str) -> str:
    """A name, in a span that nothing in it closes."""
    return f"`{' '.join(text.replace('`', chr(39)).split())}`"


def fence(text: str) -> str:
    """A text as it is, in a fence that nothing in it closes."""
    ticks = "```"
    while ticks in text:
        ticks += "`"
    return f"{ticks}\n{text.strip()}\n{ticks}"


def folded(title: str, text: str) -> str:
    """What is shown when somebody asks for it."""
    return f"<details><summary>{html.escape(title)}</summary>\n\n{text}\n\n</details>"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; its cells are marked up already."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows))


def figure(value: Any) -> str:
    """A metric, as `0.7321`; empty where there is none."""
    return f"{value:.4g}" if isinstance(value, int | float) and not isinstance(value, bool) else ""
