"""How differently a model of two classes treats groups of people.

The figures are fairlearn's, by which the tests hold them. They are counted here: fairlearn calls its functions group by
group, and takes minutes where a column has ten thousand of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from heliostat.data.codes import Coded, coded_texts
from heliostat.ml.tasks.evaluation import has_two_classes, require_column
from heliostat.spec.fairness import Fairness, FairnessMetric
from heliostat.systems.errors import PermanentError

Rates = Mapping[str, NDArray[np.float64]]
"""By name those of each group; NaN of a label that a group has no row of, which fairlearn tells as 0."""
_SELECTED, _TRUE, _FALSE = "selectionRate", "truePositiveRate", "falsePositiveRate"
_MOST_TOLD: Final = 100
"""Groups of too few rows whose names a report has."""
_COMPARED: Final = {
    FairnessMetric.DEMOGRAPHIC_PARITY: (_SELECTED,),
    FairnessMetric.DEMOGRAPHIC_PARITY_RATIO: (_SELECTED,),
    FairnessMetric.EQUALIZED_ODDS: (_TRUE, _FALSE),
    FairnessMetric.EQUAL_OPPORTUNITY: (_TRUE,),
}


def measured(
    table: pa.Table, labels: NDArray[Any], scores: NDArray[np.float64], checks: Sequence[Fairness]
) -> list[dict[str, Any]]:
    """Every check's value, with the rates of each group, and what cannot be compared: `leftOut` are groups of too few rows,
    the largest of `leftOutGroups`, `oneLabel` those that have no row of a label that the metric needs, `missing` is how many
    rows are of no group.

    Raises:
        PermanentError: the labels are not 0 and 1, or the data has no such column.
    """
    if not checks:
        return []
    if not has_two_classes(labels):
        raise PermanentError("the gate asks for fairness by group, and the labels are not 0 and 1 alone")
    return [_measured(table, labels == 1, scores, check) for check in checks]


def _measured(table: pa.Table, positive: NDArray[np.bool_], scores: NDArray[np.float64], check: Fairness) -> dict[str, Any]:
    require_column(table, check.column)
    groups = coded_texts(table[check.column])
    names: list[str] = groups.values.to_pylist()
    rows, positives = groups.counts(), groups.counts(positive)
    rates = _rates(groups, positive, scores >= check.threshold)
    enough = rows >= check.min_rows
    small = [place for place in np.argsort(-rows, kind="stable") if not enough[place]]
    of_label = {1.0: positives, 0.0: rows - positives}
    has_labels = np.all([rows > 0, *(of_label[label] > 0 for label in check.metric.labels_needed)], axis=0)
    told = {
        "column": check.column, "metric": check.metric.value, "limit": check.limit, "threshold": check.threshold,
        "leftOut": {names[place]: int(rows[place]) for place in small[:_MOST_TOLD]}, "leftOutGroups": len(small),
        "oneLabel": {names[place]: int(rows[place]) for place in np.flatnonzero(enough & ~has_labels)},
        "missing": groups.missing,
    }  # fmt: skip
    by_group = {
        names[place]: {
            "rows": int(rows[place]), "positives": int(positives[place]),
            **{rate: _finite(values[place]) for rate, values in rates.items()},
        }
        for place in sorted(np.flatnonzero(enough), key=lambda place: names[place])
    }  # fmt: skip
    return {**told, "value": _value(check.metric, rates, enough & has_labels), "groups": by_group}


def _rates(groups: Coded, positive: NDArray[np.bool_], selected: NDArray[np.bool_]) -> Rates:
    shares = {_SELECTED: np.ones(len(positive), dtype=bool), _TRUE: positive, _FALSE: ~positive}
    with np.errstate(invalid="ignore"):
        return {rate: groups.counts(selected & of) / groups.counts(of) for rate, of in shares.items()}


def _value(metric: FairnessMetric, rates: Rates, compared: NDArray[np.bool_]) -> float | None:
    """Between the groups that are compared; None of fewer than two, and of a ratio where nobody is selected."""
    if compared.sum() < 2:
        return None
    ends = [(float(rates[rate][compared].min()), float(rates[rate][compared].max())) for rate in _COMPARED[metric]]
    if metric.is_ratio:
        [(least, most)] = ends
        return least / most if most else None
    return max(most - least for least, most in ends)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
