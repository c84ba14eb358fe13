"""Tables that fit: folded into a terminal's width; one line a row, as long as it is, for a pipe."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from heliostat.cli import say
from heliostat.cli.tables import table

if TYPE_CHECKING:
    from rich.console import RenderableType

COLOURS = {
    "ok": "green",
    "info": "dim",
    "degraded": "yellow",
    "unfit": "red",
    "warning": "yellow",
    "down": "bold red",
    "error": "bold red",
}
"""Of cells that hold just this word."""
_LEAST = 16
"""Letters that a folded column needs to be read; where they are not there, a row is a paragraph."""
_GAP = 2


@dataclass(frozen=True)
class Column:
    """One column; what is `whole` is never folded."""

    head: str
    whole: bool = False


def write(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Write a table to standard output; columns that say nothing are left out."""
    kept = [number for number, _ in enumerate(columns) if any(row[number] for row in rows)]
    columns, rows = [columns[number] for number in kept], [[row[number] for number in kept] for row in rows]
    if not sys.stdout.isatty():
        say.out(table([column.head for column in columns], rows))
        return
    console = say.console()
    console.print(drawn(columns, rows, console.width))


def drawn(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> RenderableType:
    """The table as a terminal of `width` columns can show it."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    if width < _needed(columns, rows):
        return Group(*(_paragraph(columns, row) for row in rows))
    shown = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    for column in columns:
        shown.add_column(Text(column.head), no_wrap=column.whole, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(say.line(cell), style=COLOURS.get(cell, "")) for cell in row))
    return shown


def _needed(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> int:
    """The width at which columns can be read."""
    cells = zip(*([column.head for column in columns], *rows), strict=True)
    widest = [max(len(say.line(cell)) for cell in column) for column in cells]
    least = (most if column.whole else min(most, _LEAST) for column, most in zip(columns, widest, strict=True))
    return sum(least) + _GAP * len(columns)


def _paragraph(columns: Sequence[Column], row: Sequence[str]) -> RenderableType:
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    first, *rest = row
    lines: list[RenderableType] = [Text(say.line(first), style="bold", overflow="fold")]
    for column, cell in zip(columns[1:], rest, strict=True):
        if cell:
            text = Text.assemble((f"{column.head.lower()} ", "dim"), (say.line(cell), COLOURS.get(cell, "")), overflow="fold")
            lines.append(Padding(text, (0, 0, 0, 2)))
    return Group(*lines)
