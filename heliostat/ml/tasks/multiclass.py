"""One of several classes: labels are the classes' places, predictions a probability for each."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from heliostat.ml.tasks.base import Array, Compute, Kind, Truth, probabilities, several_a_row
from heliostat.spec.metrics import Needs
from heliostat.spec.tasks import Multiclass
from heliostat.systems.errors import PermanentError

_FURTHEST: Final = 1e-3
"""How far a row's probabilities may be from a sum of 1: of float32 some thousand classes are that far by rounding."""
_MOST_SHOWN: Final = 5


class MulticlassKind(Kind[Multiclass]):
    """Of `Multiclass`."""

    def checked(self, predictions: Any, rows: int) -> Array:  # noqa: D102
        what = f"a probability for each of {len(self.task.classes)} classes"
        found = probabilities(several_a_row(predictions, rows, self.task.classes, what))
        sums = found.sum(axis=1)
        if (wrong := np.abs(sums - 1) > _FURTHEST).any():
            first = int(wrong.argmax())
            raise PermanentError(
                f"the probabilities of {int(wrong.sum())} of {rows} rows do not sum to 1, as those of row {first} to "
                f"{sums[first]:g}: they may be {_FURTHEST:g} away; divide each row by its sum, or declare Multilabel"
            )
        shares: Array = found / sums[:, None]
        return shares

    def labels(self, column: pa.ChunkedArray) -> Array:
        """The place of each label's class, from 0."""
        if pa.types.is_integer(column.type):
            return np.asarray(column.to_numpy(), dtype=np.int64)
        places = pc.index_in(column.cast(pa.string()), value_set=pa.array(self.task.classes, pa.string()))
        return np.asarray(places.to_numpy(), dtype=np.int64)

    def wrong_values(self, column: pa.ChunkedArray) -> dict[str, int]:  # noqa: D102
        known: pa.Array = pa.array(self.task.classes, pa.string())
        if pa.types.is_integer(column.type):
            places = column.cast(pa.int64())
            others = pc.filter(places, pc.or_(pc.less(places, 0), pc.greater_equal(places, len(known))))
            classes = f"0 to {len(known) - 1}"
        else:
            text = column.cast(pa.string())
            others = pc.filter(text, pc.invert(pc.is_in(text, value_set=known)))
            classes = ", ".join(self.task.classes[:_MOST_SHOWN]) + (", ..." if len(known) > _MOST_SHOWN else "")
        if not len(others):
            return {}
        shown = ", ".join(map(repr, pc.unique(others).to_pylist()[:_MOST_SHOWN]))
        return {f"is {shown}, none of the task's classes {classes} (declare them, or leave the rows out)": len(others)}

    def wrong_tables(self, tables: Any, label: str) -> Any:
        """That a class is in no row to train on: a model could never say it."""
        yield from super().wrong_tables(tables, label)
        if lacking := self._lacking(self.labels(tables["train"][label])):
            shown = ", ".join(lacking[:_MOST_SHOWN])
            yield f"the train split has no row of the classes {shown}: declare only classes that the data holds"

    def unmet(self, truth: Truth) -> dict[Needs, str]:  # noqa: D102
        lacking = self._lacking(truth.labels)
        text = f"no label is of the class {', '.join(lacking[:_MOST_SHOWN])}"
        return super().unmet(truth) | ({Needs.EVERY_CLASS: text} if lacking else {})

    def _lacking(self, labels: Array) -> list[str]:
        counts = np.bincount(labels, minlength=len(self.task.classes))
        return [name for name, count in zip(self.task.classes, counts, strict=True) if not count]

    def statistics(self, truth: Truth) -> dict[str, Any]:  # noqa: D102
        counts = np.bincount(truth.labels, minlength=len(self.task.classes))
        return {"counts": {name: int(count) for name, count in zip(self.task.classes, counts, strict=True)}}

    def metric(self, name: str) -> Compute:  # noqa: D102
        places = np.arange(len(self.task.classes))
        if name.startswith("roc_auc_"):
            _, _, way, *weighted = name.split("_")
            return _areas(way, "weighted" if weighted else "macro", places)
        if name == "log_loss":
            return _log_loss
        if name == "brier_score":
            return lambda truth, found: float(np.mean(((found - np.eye(len(places))[truth.labels]) ** 2).sum(axis=1)))
        return _of_the_class(name, places)


def _areas(way: str, average: str, places: NDArray[Any]) -> Compute:
    def compute(truth: Truth, found: Array) -> float:
        from sklearn.metrics import roc_auc_score

        if len(places) == 2:
            return float(roc_auc_score(truth.labels, found[:, 1]))
        return float(roc_auc_score(truth.labels, found, multi_class=way, average=average, labels=places))

    return compute


def _log_loss(truth: Truth, found: Array) -> float:
    mine = found[np.arange(len(found)), truth.labels]
    return float(-np.log(np.clip(mine, np.finfo(np.float64).eps, 1)).mean())


def _of_the_class(name: str, places: NDArray[Any]) -> Compute:
    """A metric of the most probable classes."""

    def compute(truth: Truth, found: Array) -> float:
        from sklearn import metrics

        told = found.argmax(axis=1)
        if name == "accuracy":
            return float((told == truth.labels).mean())
        if name == "balanced_accuracy":
            return float(np.mean([(told[truth.labels == place] == place).mean() for place in np.unique(truth.labels)]))
        if name == "matthews_corrcoef":
            return float(metrics.matthews_corrcoef(truth.labels, told))
        figure, _, average = name.partition("_")
        score = getattr(metrics, f"{figure}_score")
        return float(score(truth.labels, told, average=average, labels=places, zero_division=0))

    return compute
