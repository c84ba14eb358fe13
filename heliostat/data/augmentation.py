"""Further rows of the train split, which a workload's function makes of it, and which no other split gets. Pure."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from heliostat.data.splits import SplitTables


def augmented(
    found: SplitTables, augment: Callable[[pa.Table], pa.Table], made_by: str | None, notes: list[str]
) -> SplitTables:
    """The splits, the train split with the further rows that `augment` makes of it.

    Args:
        found: the splits.
        augment: it is given the train split.
        made_by: its entry point.
        notes: get how many rows there are more.

    Raises:
        ValueError: these have other columns, or values that do not fit their types.
    """
    more = augment(found.train)
    if not isinstance(more, pa.Table):
        raise ValueError(f"{made_by} returned {type(more).__name__}: it must return a pyarrow.Table of further rows")
    lacking = sorted({*found.train.column_names} ^ {*more.column_names})
    if lacking:
        raise ValueError(f"the rows of {made_by} have other columns than the train split: {', '.join(lacking)}")
    notes.append(f"{more.num_rows:,} rows of the train split are made by {made_by}")
    train = pa.concat_tables([found.train, _as_in(found.train.schema, more, made_by)])
    return SplitTables(train, found.validation, found.test, found.notes)


def _as_in(schema: pa.Schema, more: pa.Table, made_by: str | None) -> pa.Table:
    """The rows with the types of the others. An error names no value: it may be a person's."""
    columns, wrong = [], []
    for field in schema:
        try:
            columns.append(more[field.name].cast(field.type))
        except pa.ArrowException:
            wrong.append(f"{field.name!r} is {more[field.name].type}, and {field.type} in the train split")
    if wrong:
        raise ValueError(f"the rows of {made_by} have values that do not fit: {'; '.join(wrong)}. Cast them there")
    return pa.table(columns, schema=schema)
