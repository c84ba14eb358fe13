"""A number at a time to come: measured as any number, and split by time."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from heliostat.ml.tasks.regression import NumberKind
from heliostat.spec.tasks import Forecasting


class ForecastingKind(NumberKind[Forecasting]):
    """Of `Forecasting`."""

    def wrong_tables(self, tables: Any, label: str) -> Any:
        """That a series is tested on what is older than its training, or on fewer times than the horizon has."""
        lacking = list(super().wrong_tables(tables, label))
        yield from lacking
        if lacking:
            return
        kind = tables["train"][self.task.time].type
        if not (pa.types.is_temporal(kind) or pa.types.is_integer(kind)):
            yield f"the column {self.task.time!r} is of type {kind}: times, or whole numbers that count them, are needed"
            return
        trained = {name: last for name, (_, last, _) in self._spans(tables["train"]).items()}
        for name, (first, _, times) in self._spans(tables["test"]).items():
            what = f"the series {', '.join(map(str, name))}" if name else "the series"
            if name in trained and first <= trained[name]:
                yield f"{what} is tested from {first} on, and trained until {trained[name]}: split the rows by their time"
            if times < self.task.horizon:
                yield f"{what} is tested on {times} times, and the horizon is {self.task.horizon}: test on more or lower it"

    def _spans(self, table: pa.Table) -> dict[tuple[Any, ...], tuple[Any, Any, int]]:
        """The first time, the last and how many there are, by series."""
        time, series = self.task.time, list(self.task.series)
        if not table.num_rows:
            return {}
        if not series:
            found = pc.min_max(table[time]).as_py()
            return {(): (found["min"], found["max"], pc.count_distinct(table[time]).as_py())}
        grouped = table.group_by(series).aggregate([(time, "min"), (time, "max"), (time, "count_distinct")])
        return {
            tuple(row[name] for name in series): (row[f"{time}_min"], row[f"{time}_max"], row[f"{time}_count_distinct"])
            for row in grouped.to_pylist()
        }
