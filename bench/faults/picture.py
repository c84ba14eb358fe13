"""The table in a terminal, as it fills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from bench.faults.records import Record
from bench.faults.table import SCENES, WHAT, Cell, Kind


def picture(records: Mapping[str, Record], kinds: Sequence[Kind], strategies: Sequence[str], now: Cell | None) -> Table:
    """A row a kind, a column a strategy, a sign a state."""
    shown = Table(title="faults survived", title_justify="left", box=None)
    shown.add_column("killed")
    for strategy in strategies:
        shown.add_column(strategy)
    for kind in kinds:
        shown.add_row(WHAT[kind], *(_signs(records, kind, strategy, now) for strategy in strategies))
    return shown


def _signs(records: Mapping[str, Record], kind: Kind, strategy: str, now: Cell | None) -> Text:
    text = Text()
    for state in SCENES[strategy]:
        cell = Cell(kind, strategy, state)
        text.append(*_sign(records.get(cell.name), cell == now))
    return text


def _sign(record: Record | None, is_now: bool) -> tuple[str, str]:
    if is_now:
        return "◌", "bold cyan"
    if record is None:
        return "·", "dim"
    if record["nothing"]:
        return "-", "dim"
    if not record["holds"]:
        return "✗", "bold red"
    return ("●", "green") if not record["failed"] else ("◐", "green")
