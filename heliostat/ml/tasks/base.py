"""What is computed of a kind of problem; each kind has a module of its own beside this one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from heliostat.spec import metrics
from heliostat.spec.metrics import Needs
from heliostat.spec.task_kind import LabelType, TaskKind
from heliostat.systems.errors import PermanentError

Array = NDArray[Any]
K = TypeVar("K", bound=TaskKind)


@dataclass(frozen=True)
class Truth:
    """What is true of some rows."""

    labels: Array
    """As the task has them, a row each."""
    groups: NDArray[np.int64] | None = None
    """The number of each row's group, of a ranking."""

    def rows(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Truth:
        """The same of some of the rows, by a mask or by their numbers."""
        return Truth(self.labels[chosen], self.groups[chosen] if self.groups is not None else None)


Compute = Callable[[Truth, Array], float]


class Kind(ABC, Generic[K]):
    """One kind of problem, of a task that says the rest."""

    compute: ClassVar[Mapping[str, Callable[..., float]]] = {}
    """Its metrics by name, where none of them depends on the task."""

    def __init__(self, task: K) -> None:
        self.task = task

    @abstractmethod
    def checked(self, predictions: Any, rows: int) -> Any:
        """The predictions of so many rows in the form that metrics take.

        Raises:
            PermanentError: they are none of this kind; the text has the value, the limit and the fix.
        """

    def labels(self, column: pa.ChunkedArray) -> Array:
        """A column of labels that fit, in the form that metrics take."""
        return np.asarray(column.to_numpy(), dtype=np.float64)

    def truth(self, table: pa.Table, label: str) -> Truth:
        """What is true of a table's rows."""
        return Truth(self.labels(table[label]))

    def metric(self, name: str) -> Compute:
        """How a metric of the task is computed."""
        return self.compute[name]

    def unmet(self, truth: Truth) -> dict[Needs, str]:
        """What metrics may need of labels and these do not have, with the reason."""
        alike = not len(truth.labels) or bool((truth.labels == truth.labels[0]).all())
        return {Needs.UNLIKE: f"all {len(truth.labels)} labels are alike"} if alike else {}

    def why_undefined(self, metric: str, truth: Truth) -> str:
        """Why one of the task's metrics is not defined on some labels; empty where it is."""
        unmet = self.unmet(truth)
        return unmet.get(Needs.ANY) or unmet.get(needed(metric)) or ""

    def wrong_values(self, column: pa.ChunkedArray) -> dict[str, int]:
        """Why labels of a fitting type cannot be the task's, and of how many rows: for `the label ... in 2 rows`."""
        return {}

    def wrong_tables(self, tables: Mapping[str, pa.Table], label: str) -> Iterator[str]:
        """What does not fit in the splits of a data set as wholes."""
        for split, table in tables.items():
            for column in self.task.columns_needed:
                if column not in table.column_names:
                    yield f"the {split} split has no column {column!r}, which the task {self.task.kind} names"

    def statistics(self, truth: Truth) -> dict[str, Any]:
        """The label's statistics beyond those of any column, as JSON."""
        return {}


def wrong_label(kind: Kind[Any] | None, column: pa.ChunkedArray) -> dict[str, int]:
    """Why models cannot be judged by labels, and of how many rows, for `the label ... in 2 rows`; empty where they can.

    Each part of a column can be asked about by itself, and the counts added.
    """
    types = kind.task.label_types if kind is not None else (LabelType.BOOLEAN, LabelType.INTEGER, LabelType.NUMBER)
    if types and not any(_IS[each](column.type) for each in types):
        told = "it must be a number or a boolean: give classes numbers from 0 on, or declare a task; so"
        if kind is not None:
            told = f"of the task {kind.task.kind} it must be {' or '.join(types)}; so"
        return {f"is of type {column.type}, {told}": len(column)}
    found = {"is missing": column.null_count if types else 0, "is no finite number": _endless(column)}
    if not any(found.values()) and kind is not None:
        found = kind.wrong_values(column)
    return {reason: rows for reason, rows in found.items() if rows}


class OtherPredictionsError(PermanentError):
    """Predictions are of another form than the task's: what made them was made for another task."""


def numbers(predictions: Any, what: str) -> NDArray[np.float64]:
    """Predictions that are to be finite numbers, of any shape.

    Raises:
        PermanentError: they are none.
    """
    try:
        found = np.asarray(predictions, dtype=np.float64)
    except (TypeError, ValueError):
        kind = type(predictions).__name__
        raise OtherPredictionsError(f"the predictor answered a {kind} that is no array of numbers: {what} is needed") from None
    if not np.isfinite(found).all():
        wrong = int((~np.isfinite(found.reshape(len(found), -1))).any(axis=1).sum()) if found.ndim else 1
        raise PermanentError(f"{wrong} of {len(found) if found.ndim else 1} scores are no finite number: {what} is needed")
    return found


def one_a_row(predictions: Any, rows: int) -> NDArray[np.float64]:
    """Predictions that are one finite number a row.

    Raises:
        PermanentError: they are not.
    """
    found = numbers(predictions, "one number a row")
    if found.shape == (rows, 1):
        found = found[:, 0]
    if found.shape != (rows,):
        raise OtherPredictionsError(f"there are {found.shape} scores for {(rows,)} labels: one score a row is needed")
    return found


def several_a_row(predictions: Any, rows: int, names: tuple[str, ...], what: str) -> NDArray[np.float64]:
    """Predictions that are a finite number for each of `names` in each row.

    Raises:
        PermanentError: they are not.
    """
    found = numbers(predictions, f"{what} a row")
    if found.shape != (rows, len(names)):
        shown = ", ".join(names[:_MOST_SHOWN]) + (", ..." if len(names) > _MOST_SHOWN else "")
        raise OtherPredictionsError(
            f"there are {found.shape} scores for {rows} rows: {what} is needed, ({rows}, {len(names)}) in the order {shown}"
        )
    return found


def probabilities(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same, seen to be between 0 and 1; what rounding left beyond is cut.

    Raises:
        PermanentError: some are not.
    """
    wrong = (found < -_ROUNDING) | (found > 1 + _ROUNDING)
    if wrong.any():
        worst = float(found[wrong][np.abs(found[wrong] - 0.5).argmax()])
        raise PermanentError(
            f"{int(wrong.sum())} of {found.size} scores are no probabilities, as {worst:g}: they must be between 0 and 1; "
            "give what `predict_proba` gives, not a margin"
        )
    clipped: NDArray[np.float64] = np.clip(found, 0.0, 1.0)
    return clipped


def sklearn(name: str, **arguments: Any) -> Compute:
    """A metric of scikit-learn's of labels and predictions."""

    def compute(truth: Truth, predictions: Array) -> float:
        from sklearn import metrics as of_sklearn

        return float(getattr(of_sklearn, name)(truth.labels, predictions, **arguments))

    return compute


def needed(name: str) -> Needs:
    """What labels a metric is defined on."""
    return metrics.needs(name)


_MOST_SHOWN: Final = 5
_ROUNDING: Final = 1e-6


def _endless(column: pa.ChunkedArray) -> int:
    """Rows with a number that is not finite."""
    kind = column.type
    if pa.types.is_floating(kind):
        return int(pc.sum(pc.invert(pc.is_finite(column))).as_py() or 0)
    if is_list(kind) and pa.types.is_floating(kind.value_type):
        return int(pc.sum(pc.invert(pc.is_finite(pc.list_flatten(column)))).as_py() or 0)
    return 0


def is_list(kind: pa.DataType) -> bool:
    """Whether a column of this type holds lists, of any lengths or all of one."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def rows_with(column: pa.ChunkedArray, values: Any) -> int:
    """How many rows of a column of lists have a value of which `values`, one for each, is true."""
    return len(pc.unique(pc.filter(pc.list_parent_indices(column), values)))


def _is_text(kind: pa.DataType) -> bool:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(plain) or pa.types.is_large_string(plain))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


_IS: Final[Mapping[LabelType, Callable[[pa.DataType], bool]]] = {
    LabelType.BOOLEAN: pa.types.is_boolean,
    LabelType.INTEGER: pa.types.is_integer,
    LabelType.NUMBER: pa.types.is_floating,
    LabelType.TEXT: _is_text,
    LabelType.TEXTS: lambda kind: is_list(kind) and _is_text(kind.value_type),
    LabelType.NUMBERS: lambda kind: is_list(kind) and _is_number(kind.value_type),
}
