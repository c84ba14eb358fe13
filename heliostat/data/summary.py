"""A profile in figures that people read: plain JSON."""

from __future__ import annotations

import math
from typing import Any, Final

from heliostat.data.correlations import Correlations
from heliostat.data.frequencies import Frequencies
from heliostat.data.profiles import ColumnProfile, FiniteNumbers, Numbers, Profile

_QUANTILES: Final = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_TOP: Final = 20


def summary(profile: Profile) -> dict[str, Any]:
    """Counts, moments, quantiles, top values and correlations; how the label is spread, and each column by its classes."""
    found: dict[str, Any] = {
        "rows": profile.rows,
        "columns": {name: _column(column) for name, column in profile.columns.items()},
        "notes": list(profile.notes),
    }
    if profile.correlations is not None:
        found["correlations"] = _pairs(profile.correlations)
    if profile.by_class:
        rows = {name: each.rows for name, each in profile.by_class.items()}
        found["label"] = {
            "column": profile.label,
            "classes": rows,
            "imbalance": max(rows.values()) / min(rows.values()),
            "by": {name: _by_class(profile, name) for name in profile.columns if name != profile.label},
        }
    return found


def _column(column: ColumnProfile) -> dict[str, Any]:
    found: dict[str, Any] = {"type": column.type, "rows": column.rows, "missing": column.missing}
    if column.numbers is not None:
        found |= _numbers(column.numbers)
    if column.texts is not None:
        found |= _texts(column.texts)
    if column.lengths is not None:
        found["lengths"] = _numbers(column.lengths)
    return found


def _numbers(numbers: Numbers) -> dict[str, Any]:
    odd = {"nan": numbers.nan, "positiveInfinity": numbers.positive_infinity, "negativeInfinity": numbers.negative_infinity}
    return odd | (_finite(numbers.finite) if numbers.finite else {})


def _finite(finite: FiniteNumbers) -> dict[str, Any]:
    moments = finite.moments
    figures = {
        "min": finite.least,
        "max": finite.greatest,
        "mean": moments.mean,
        "std": moments.deviation,
        "skewness": moments.skewness,
        "kurtosis": moments.kurtosis,
    }
    return {
        "count": moments.count,
        **{name: value if math.isfinite(value) else None for name, value in figures.items()},
        "distinct": finite.estimated_distinct,
        "distinctError": finite.distinct_error,
        "quantiles": {str(share): finite.quantile(share) for share in _QUANTILES},
        "exact": finite.histogram.is_exact,
        "relativeError": 0.0 if finite.histogram.is_exact else 2.0**-finite.histogram.digits,
    }


def _texts(texts: Frequencies) -> dict[str, Any]:
    top = zip(texts.values[:_TOP].to_pylist(), texts.counts[:_TOP].tolist(), strict=True)
    return {
        "texts": texts.count,
        "distinct": texts.estimated_distinct,
        "distinctError": texts.distinct_error,
        "top": dict(top),
        "countError": texts.error,
    }


def _pairs(correlations: Correlations) -> dict[str, dict[str, float | None]]:
    names, matrix = correlations.names, correlations.coefficients
    return {
        name: {
            names[other]: None if math.isnan(matrix[place, other]) else float(matrix[place, other]) for other in range(place)
        }
        for place, name in enumerate(names)
    }


def _by_class(profile: Profile, column: str) -> dict[str, Any]:
    """The column's mean and median, or its most frequent texts, in each class."""
    found: dict[str, Any] = {}
    for name, each in profile.by_class.items():
        of_class = each.columns.get(column)
        if of_class is None:
            continue
        found[name] = {"missing": of_class.missing}
        if of_class.numbers is not None and of_class.numbers.finite is not None:
            finite = of_class.numbers.finite
            found[name] |= {"mean": finite.moments.mean, "median": finite.quantile(0.5)}
        if of_class.texts is not None:
            texts = of_class.texts
            found[name]["top"] = dict(zip(texts.values[:5].to_pylist(), texts.counts[:5].tolist(), strict=True))
    return found
