"""Predictions and labels as tables, as the log and whoever knows the truth have them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from heliostat.monitoring.labels import LABELS

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def predictions(
    ids: Sequence[str], times: Sequence[datetime] | None = None, rows: Sequence[int] | None = None, **columns: Any
) -> pa.Table:
    times = times or [NOW - timedelta(hours=1)] * len(ids)
    return pa.table(
        {
            "request_id": pa.array(ids, pa.string()),
            "row": pa.array(rows or [0] * len(ids), pa.int32()),
            "time": pa.array(times, pa.timestamp("us", "UTC")),
            "version": pa.array(["1"] * len(ids), pa.string()),
            **columns,
        }
    )


def labels(ids: Sequence[str], values: Sequence[float], known: Sequence[datetime | None] | None = None) -> pa.Table:
    return pa.table(
        [
            pa.array(ids, pa.string()),
            pa.array([0] * len(ids), pa.int32()),
            pa.array(np.asarray(values, dtype=float)),
            pa.array(known or [None] * len(ids), pa.timestamp("us", "UTC")),
            pa.nulls(len(ids), pa.float64()),
        ],
        schema=LABELS,
    )
