"""Rows that come after a data set was made to which they would have belonged. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from heliostat.data.ingestion import Ingestion, before, codes_of, newest, timed


def late(ingestion: Ingestion, fresh: Iterable[pa.Table], earlier: Iterable[pa.Table], until: datetime | None) -> int:
    """How many rows came since the last data set, up to `until`, and happened before that.

    Args:
        ingestion: whose `time` and `key` count.
        fresh: what was read since, in parts. A query reads some rows again, and so does a file that changed.
        earlier: the parts that the last data set was made of; a row of them that came again as it was is not late.
        until: up to when that was.

    Raises:
        ValueError: the column holds no times.
    """
    name = ingestion.time
    if until is None or name is None:
        return 0
    timely = (timed(ingestion, part) for part in fresh if name in part.column_names)
    parts = [part.filter(before(part[name], name, until)) for part in timely]
    if not any(part.num_rows for part in parts):
        return 0
    found = pa.concat_tables(parts, promote_options="permissive")
    if all(column in found.column_names for column in ingestion.key) and ingestion.key:
        found = newest(found, ingestion.key)
    again = np.zeros(found.num_rows, np.bool_)
    for part in earlier:
        again |= _among(found, timed(ingestion, part))
    return int(found.num_rows - again.sum())


def _among(rows: pa.Table, others: pa.Table) -> NDArray[np.bool_]:
    """Which rows are among others, with the same value in each column that both have."""
    shared = tuple(name for name in rows.column_names if name in others.column_names)
    try:
        together = pa.concat_tables([others.select(shared), rows.select(shared)], promote_options="permissive")
    except pa.ArrowException:  # a column has another type by now: no row is as it was
        return np.zeros(rows.num_rows, np.bool_)
    codes, _ = codes_of(together, shared)
    return np.isin(codes[others.num_rows :], codes[: others.num_rows])
