"""How differently a model of two classes treats groups of people, measured by fairlearn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from heliostat.data.codes import Coded, coded_texts
from heliostat.ml.extras import require
from heliostat.ml.tasks.evaluation import has_two_classes, require_column
from heliostat.spec.fairness import Fairness
from heliostat.systems.errors import PermanentError

_MOST_TOLD: Final = 100
_OF_LABEL: Final = {"truePositiveRate": 1.0, "falsePositiveRate": 0.0}
"""The label whose rows a rate is a share of."""

Groups = Mapping[str, NDArray[np.int64]]
"""The numbers of the rows of each."""


def measured(
    table: pa.Table, labels: NDArray[Any], scores: NDArray[np.float64], checks: Sequence[Fairness]
) -> list[dict[str, Any]]:
    """Every check's value, with the rates of each group, and what cannot be compared: `leftOut` are groups of too few rows,
    the largest of `leftOutGroups`, `oneLabel` those that have no row of a label that the metric needs, `missing` is how many
    rows are of no group.

    Raises:
        PermanentError: the labels are not 0 and 1, the data has no such column, or fairlearn is not installed.
    """
    if not checks:
        return []
    try:
        require("fairlearn", "fairness")
    except ModuleNotFoundError as error:
        raise PermanentError(f"the gate asks for fairness by group, and {error}, where jobs run") from None
    if not has_two_classes(labels):
        raise PermanentError("the gate asks for fairness by group, and the labels are not 0 and 1 alone")
    return [_measured(table, labels, scores, check) for check in checks]


def _measured(table: pa.Table, labels: NDArray[Any], scores: NDArray[np.float64], check: Fairness) -> dict[str, Any]:
    require_column(table, check.column)
    coded = coded_texts(table[check.column])
    counts = coded.counts()
    # fairlearn calls its functions group by group: it is asked of those alone that are judged.
    groups = _rows_of(coded, np.flatnonzero(counts >= max(check.min_rows, 1)))
    small = np.flatnonzero(counts < check.min_rows)
    told_of = small[np.argsort(-counts[small], kind="stable")][:_MOST_TOLD]
    needed = set(check.metric.labels_needed)
    one_label = {group: len(rows) for group, rows in groups.items() if not needed <= {*labels[rows].tolist()}}
    told = {
        "column": check.column, "metric": check.metric.value, "limit": check.limit, "threshold": check.threshold,
        "leftOut": {str(coded.values[place]): int(counts[place]) for place in told_of.tolist()}, "leftOutGroups": len(small),
        "oneLabel": one_label, "missing": coded.missing,
    }  # fmt: skip
    selected = (scores >= check.threshold).astype(float)
    compared = {group: rows for group, rows in groups.items() if group not in one_label}
    return {**told, "value": _difference(check, labels, selected, compared), "groups": _rates(labels, selected, groups)}


def _difference(check: Fairness, labels: NDArray[Any], selected: NDArray[np.float64], groups: Groups) -> float | None:
    """What fairlearn makes of the groups; None of fewer than two, and where it is not defined."""
    if len(groups) < 2:
        return None
    import fairlearn.metrics

    rows, names = _rows(groups)
    return _finite(getattr(fairlearn.metrics, check.metric.value)(labels[rows], selected[rows], sensitive_features=names))


def _rates(labels: NDArray[Any], selected: NDArray[np.float64], groups: Groups) -> dict[str, dict[str, float | None]]:
    """The rates of each group; None of the label that a group has no row of, which fairlearn tells as 0."""
    if not groups:
        return {}
    from fairlearn.metrics import MetricFrame, count, false_positive_rate, selection_rate, true_positive_rate

    rows, names = _rows(groups)
    rates = {"rows": count, "selectionRate": selection_rate, "truePositiveRate": true_positive_rate,
             "falsePositiveRate": false_positive_rate}  # fmt: skip
    frame = MetricFrame(metrics=rates, y_true=labels[rows], y_pred=selected[rows], sensitive_features=names)
    return {
        str(group): {
            "positives": int(labels[groups[group]].sum()),
            **{
                rate: _finite(value) if rate not in _OF_LABEL or (labels[groups[group]] == _OF_LABEL[rate]).any() else None
                for rate, value in row.items()
            },
        }
        for group, row in frame.by_group.to_dict(orient="index").items()
    }


def _rows_of(coded: Coded, places: NDArray[np.int64]) -> Groups:
    names = coded.values.take(pa.array(places)).to_pylist()
    return dict(zip(names, coded.rows(places), strict=True))


def _rows(groups: Groups) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The rows of all groups, and of which each is."""
    names = [np.full(len(rows), group, dtype=object) for group, rows in groups.items()]
    return np.concatenate(list(groups.values())), np.concatenate(names)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
