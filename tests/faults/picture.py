"""The table in a terminal, as it fills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from tests.faults.records import Record
from tests.faults.table import SCENES, WHAT, Cell, Kind


def picture(records: Mapping[str, Record], kinds: Sequence[Kind], strategies: Sequence[str]) -> Table:
    """A row a kind, a column a strategy, a sign a state."""
    shown = Table(title="faults survived", title_justify="left", box=None)
    shown.add_column("killed")
    for strategy in strategies:
        shown.add_column(strategy)
    for kind in kinds:
        shown.add_row(WHAT[kind], *(_signs(records, kind, strategy) for strategy in strategies))
    return shown


def _signs(records: Mapping[str, Record], kind: Kind, strategy: str) -> Text:
    text = Text()
    for state in SCENES[strategy]:
        text.append(*_sign(records.get(Cell(kind, strategy, state).name)))
    return text


def _sign(record: Record | None) -> tuple[str, str]:
    if record is None:
        return "·", "dim"
    if record["nothing"]:
        return "-", "dim"
    if not record["holds"]:
        return "✗", "bold red"
    return ("●", "green") if not record["failed"] else ("◐", "green")
