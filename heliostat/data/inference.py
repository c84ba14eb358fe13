"""A first schema, from a profile: what data showed is what is expected, with some room. People review it. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, Final

from heliostat.data.leakage_expectations import LeakageExpectations
from heliostat.data.profiles import ColumnProfile, FiniteNumbers, Profile
from heliostat.data.schema import ColumnExpectations, ListLength, Schema

_DOMAIN: Final = 1_000
"""A column with more different texts has no domain: it names things instead of sorting them."""
_REPEATED: Final = 0.5
"""Nor has one in which so many of the rows have a text that no other row has."""
_ROOM: Final = 0.1
"""Of a range's width, on both sides; a range that does not go below nothing stays there."""
_MISSING_ROOM: Final = 2.0
"""Times as much may be missing as was."""
_KNOWS: Final = 0.99
"""How well one feature may predict the label, before somebody has to look at it."""
MOST_SUSPECTS: Final = 100
"""Features up to which each is held to that by default: it takes a small tree each, about half a second."""
_TIMES: Final = ("timestamp", "date", "time")


def infer(profile: Profile, label: str | None = None, known_later: Collection[str] = ()) -> Schema:
    """The schema that a profile suggests; with more than `MOST_SUSPECTS` features it does not ask which knows the label.

    Args:
        profile: of training data.
        label: the column to predict, which serving does not have; the profile's own where it is not given.
        known_later: columns that are known only after the event: no features either.

    Raises:
        ValueError: the profile has no rows, or not such columns.
    """
    label = label or profile.label
    named = [name for name in (label, *known_later) if name is not None]
    if unknown := [name for name in named if name not in profile.columns]:
        raise ValueError(f"no columns of the profile: {', '.join(map(repr, unknown))}; it has {len(profile.columns)} others")
    if not profile.rows:
        raise ValueError("a profile without rows suggests no schema: make one of data")
    later = {label, *known_later}
    columns = {name: _column(column, name in later) for name, column in profile.columns.items()}
    suspects = len(columns) - len(later - {None})
    looks = label is not None and suspects <= MOST_SUSPECTS
    return Schema(label=label, columns=columns, leakage=LeakageExpectations(knows_label=_KNOWS) if looks else None)


def _column(column: ColumnProfile, is_later: bool) -> ColumnExpectations:
    found: dict[str, Any] = {"type": column.type, "max_missing": _missing(column)}
    numbers = column.numbers
    if numbers is not None and numbers.finite is not None and column.kind == "number":
        infinite = numbers.positive_infinity + numbers.negative_infinity
        found["max_infinite"] = _room(infinite, column.rows)
        found["minimum"], found["maximum"] = _range(numbers.finite, column.type)
    if column.texts is not None and column.kind == "text" and _is_domain(column):
        found["values"] = tuple(sorted(column.texts.values.to_pylist()))
    if column.lengths is not None and column.lengths.finite is not None:
        finite = column.lengths.finite
        found["length"] = ListLength(minimum=int(finite.least), maximum=int(finite.greatest))
    if is_later:
        found |= {"absent_in": ("serving",), "known_at_prediction": False}
    return ColumnExpectations.model_validate(found)


def _missing(column: ColumnProfile) -> float:
    """NaN is missing as well."""
    return _room(column.missing + (column.numbers.nan if column.numbers else 0), column.rows)


def _room(count: int, rows: int) -> float:
    return min(1.0, math.ceil(_MISSING_ROOM * count / rows * 1_000) / 1_000) if count else 0.0


def _range(finite: FiniteNumbers, type_: str) -> tuple[float | None, float | None]:
    """A time has none: it goes on, and a microsecond of 1970 is nothing that people review."""
    if type_.startswith(_TIMES):
        return None, None
    room = (finite.greatest - finite.least) * _ROOM
    low, high = finite.least - room, finite.greatest + room
    if finite.least >= 0:
        low = max(low, 0.0)
    if finite.greatest <= 0:
        high = min(high, 0.0)
    if finite.histogram.is_exact and finite.histogram.shift and type_.startswith(("int", "uint")):
        return math.floor(low), math.ceil(high)
    return _rounded(low, math.floor), _rounded(high, math.ceil)


def _rounded(value: float, towards: Any) -> float:
    """Three digits, which people can read; outwards."""
    if not value or not math.isfinite(value):
        return value
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 2)
    rounded = float(f"{towards(value / unit) * unit:.3g}")
    return rounded if math.isfinite(rounded) else value


def _is_domain(column: ColumnProfile) -> bool:
    texts = column.texts
    if texts is None or texts.distinct is not None or len(texts.values) > _DOMAIN:
        return False
    alone = int((texts.counts == 1).sum())
    return len(texts.values) <= 2 or alone < _REPEATED * texts.count
