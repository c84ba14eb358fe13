"""Rows of the log that a contract takes again: something stands in for what is personal, as nobody has it in clear."""

from __future__ import annotations

import pyarrow as pa

from heliostat.jobs.monitoring.model import Described
from heliostat.serving.prediction_log.columns import Column
from heliostat.spec.personal import Treatment


class StandIns:
    """What stands in for a contract's personal inputs: its first example's values, as in what an analysis replays."""

    def __init__(self, contract: Described) -> None:
        """Take a contract; one without an example has nothing that could stand in."""
        marked = {column.name: column for column in contract.columns if column.kind.has_secrets}
        self._columns = marked if contract.example is not None else {}
        self._example = contract.example or {}

    def names(self, rows: pa.Table) -> list[str]:
        """The inputs of a table that are personal."""
        return [name for name in rows.column_names if name in self._columns]

    def put(self, rows: pa.Table, whole: bool) -> pa.Table:
        """Rows with them; `whole`: also for what was truncated, which by default stays as it is."""
        for number, name in enumerate(rows.column_names):
            column = self._columns.get(name)
            if column is not None and name in self._example and (whole or not _is_truncated(column)):
                rows = rows.set_column(number, name, pa.array([self._example[name]] * rows.num_rows))
        return rows


def _is_truncated(column: Column) -> bool:
    return column.kind.personal is not None and column.kind.personal.treatment is Treatment.TRUNCATED


def other_values(rows: pa.Table, name: str, known: pa.Table) -> pa.Table:
    """Rows with the values that known rows have in a column, of which each comes again and again; as they are where these
    have none."""
    if not known.num_rows or name not in known.column_names:
        return rows
    places = pa.array([number % known.num_rows for number in range(rows.num_rows)])
    return rows.set_column(rows.column_names.index(name), known.schema.field(name), known[name].take(places))
