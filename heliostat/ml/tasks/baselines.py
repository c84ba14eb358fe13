"""A baseline for each task that has one: what is answered without looking at the rows, or hardly.

baseline = Baseline.fit(context.task, table, label)
context.finish(Trained(..., save_baseline=baseline.save, baseline=Baseline))
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import TypeAdapter

from heliostat.ml.contracts import Columns, columns_of
from heliostat.spec.tasks import Forecasting, Quantiles, Ranking, Task
from heliostat.systems.errors import PermanentError

__all__ = ["Baseline"]

_FILE: Final = "baseline.json"
_SEPARATOR: Final = "\x1f"


class Baseline:
    """Binary, Multiclass and Multilabel answer the shares of the training's labels, Regression and Embedding their mean,
    Quantiles their quantiles; Ranking the mean relevance of the row's item, or 0 where it names none; Forecasting the last
    value of the series, or that of a season before. It is kept as JSON.
    """

    def __init__(self, task: Task, known: Mapping[str, Any]) -> None:
        self._task, self._known = task, known

    @classmethod
    def fit(cls, task: Task, table: pa.Table, label: str) -> Self:
        """The baseline of the rows of a table.

        Raises:
            PermanentError: there is none for the task, or there are no rows.
        """
        from heliostat.ml.tasks.evaluation import kind_of

        if not task.has_baseline:
            raise PermanentError(f"there is no baseline for the task {task.kind}: save one of the workload's own, or none")
        if not table.num_rows:
            raise PermanentError("a baseline needs rows, and the table has none")
        labels = kind_of(task).labels(table[label])
        if isinstance(task, Forecasting):
            return cls(task, _series(task, columns_of(table), labels))
        if isinstance(task, Ranking):
            return cls(task, _items(task, columns_of(table), labels))
        if isinstance(task, Quantiles):
            return cls(task, {"row": np.quantile(labels, task.levels).tolist()})
        if task.kind == "multiclass":
            return cls(task, {"row": (np.bincount(labels, minlength=task.width or 0) / len(labels)).tolist()})
        return cls(task, {"row": labels.mean(axis=0).tolist()})

    def save(self, directory: Path) -> None:
        """Write what `load` reads."""
        kept = {"task": self._task.model_dump(mode="json"), "known": self._known}
        (directory / _FILE).write_text(json.dumps(kept))

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The baseline in `directory`.

        Raises:
            ValueError: there is none.
        """
        try:
            kept = json.loads((directory / _FILE).read_text())
        except FileNotFoundError:
            raise ValueError(f"{directory} holds no {_FILE}: something else than {cls.__qualname__} was saved there") from None
        task: Task = TypeAdapter(Task).validate_python(kept["task"])
        return cls(task, kept["known"])

    def predict(self, columns: Columns) -> NDArray[np.float64]:
        """The same for each row, but for the rows' items or series and times."""
        if isinstance(self._task, Forecasting):
            return self._forecast(self._task, columns)
        if isinstance(self._task, Ranking):
            return self._relevance(self._task, columns)
        row, rows = np.asarray(self._known["row"]), len(next(iter(columns.values())))
        return np.broadcast_to(row, (rows, *row.shape)).copy()

    def _relevance(self, task: Ranking, columns: Columns) -> NDArray[np.float64]:
        if task.item is None:
            return np.zeros(len(columns[task.group]))
        items, usual = self._known["items"], self._known["usual"]
        return np.array([items.get(str(item), usual) for item in columns[task.item]], dtype=np.float64)

    def _forecast(self, task: Forecasting, columns: Columns) -> NDArray[np.float64]:
        found = np.empty(len(columns[task.time]))
        for row, (name, time) in enumerate(zip(_names(task, columns), _times(columns[task.time]).tolist(), strict=True)):
            known = self._known["series"].get(name)
            if known is None:
                found[row] = self._known["usual"]
                continue
            ahead = max(1, round((time - known["last"]) / known["step"]))
            found[row] = known["values"][(ahead - 1) % len(known["values"])]
        return found


def _items(task: Ranking, columns: Columns, labels: NDArray[Any]) -> dict[str, Any]:
    if task.item is None:
        return {}
    names, places = np.unique([str(item) for item in columns[task.item]], return_inverse=True)
    means = np.bincount(places, labels) / np.bincount(places)
    return {"items": dict(zip(names.tolist(), means.tolist(), strict=True)), "usual": float(labels.mean())}


def _series(task: Forecasting, columns: Columns, labels: NDArray[Any]) -> dict[str, Any]:
    """The last season of each series, when it ended and how far its times are apart."""
    names, places = np.unique(_names(task, columns), return_inverse=True)
    times, series = _times(columns[task.time]), {}
    for place, name in enumerate(names.tolist()):
        mine = np.flatnonzero(places == place)
        ordered = mine[np.argsort(times[mine], kind="stable")]
        # The mean, for months are not all as long as the next.
        apart = (times[ordered[-1]] - times[ordered[0]]) / max(1, len(ordered) - 1)
        values = labels[ordered[-task.season :]].tolist()
        series[name] = {"last": float(times[ordered[-1]]), "step": float(apart) or 1.0, "values": values}
    return {"series": series, "usual": float(np.mean([each["values"][-1] for each in series.values()]))}


def _names(task: Forecasting, columns: Columns) -> list[str]:
    if not task.series:
        return [""] * len(columns[task.time])
    return [_SEPARATOR.join(map(str, parts)) for parts in zip(*(columns[name] for name in task.series), strict=True)]


def _times(column: Any) -> NDArray[np.float64]:
    found = np.asarray(column)
    if found.dtype.kind not in "iuf":
        found = found.astype("datetime64[s]").astype(np.int64)
    return found.astype(np.float64)
