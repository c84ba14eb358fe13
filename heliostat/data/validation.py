"""Tables held to a schema: every expectation that fails, with the rows, all at once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from heliostat.data.breaches import KEYS, Breach, Repeated, broken_by
from heliostat.data.columns import type_name
from heliostat.data.drift import Limit, Limits, compare
from heliostat.data.profiles import Profile
from heliostat.data.profiling import DRIFT, profile
from heliostat.data.schema import ColumnExpectations, Schema

_NAMED: Final = 5
"""Unexpected texts that a finding names."""


@dataclass(frozen=True)
class Finding:
    """An expectation that does not hold."""

    column: str
    expectation: str
    """The key of the schema."""
    limit: Any
    value: Any
    """What was found instead."""
    text: str
    rows: tuple[int, ...] = ()
    """The first rows that break it, counted from 0."""
    count: int = 0
    """All rows that do; 0 where the column as a whole breaks it."""

    def as_json(self) -> dict[str, Any]:
        """The finding as plain JSON."""
        return {**asdict(self), "rows": list(self.rows)}


@dataclass(frozen=True)
class Validation:
    """What became of a table."""

    rows: int
    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        """Whether every expectation does."""
        return not self.findings

    def __str__(self) -> str:
        if self.holds:
            return f"{self.rows:,} rows are as the schema expects"
        return "\n".join(finding.text for finding in self.findings)


def validate(schema: Schema, table: pa.Table, environment: str = "training", reference: Profile | None = None) -> Validation:
    """Hold a table to a schema, in one of its environments, and its distributions to a reference where one is given.

    Raises:
        ValueError: the schema has no such environment.
    """
    validator = Validator(schema, environment)
    validator.add(table)
    found = validator.validation()
    if reference is None or not table.num_rows:
        return found
    there = {*table.column_names}
    limited = [name for name in limits_of(schema, environment) if name in there]
    window = profile(table.select(limited), DRIFT) if limited else Profile(table.num_rows, {})
    return Validation(found.rows, (*found.findings, *drifted(schema, window, reference, environment)))


class Validator:
    """Holds the parts of a table to a schema, one after another: memory holds a part, and 16 bytes for each value of a column
    that is `unique`. All parts have the same columns.

    Raises:
        ValueError: the schema has no such environment.
    """

    def __init__(self, schema: Schema, environment: str = "training") -> None:
        self._schema, self._environment = schema, environment
        self._expected = schema.expected_in(environment)
        self._rows = 0
        self._columns: dict[str, pa.DataType] | None = None
        self._breaches: dict[tuple[str, str], Breach] = {}
        self._repeated: dict[str, Repeated] = {}

    def add(self, table: pa.Table) -> None:
        """Take in rows."""
        if self._columns is None or self._rows == 0:
            self._columns = {field.name: _plain(field.type) for field in table.schema}
        there = dict(zip(table.column_names, table.columns, strict=True))  # a table looks each name up among all of them
        for name, expected in self._expected.items():
            if name in there and _is_of(_plain(there[name].type), expected.type):
                self._add(name, expected, there[name])
        self._rows += table.num_rows

    def validation(self) -> Validation:
        """What became of all rows so far."""
        columns = self._columns or {}
        for name, repeated in self._repeated.items():
            self._breaches[name, "unique"] = repeated.breach()
        findings: list[Finding] = []
        for name, expected in self._expected.items():
            if name in columns:
                findings += self._of_column(name, expected, columns[name])
            else:
                text = f"the column {name!r} is not there: the schema expects it as {expected.type} in {self._environment!r}"
                findings.append(Finding(name, "presence", True, False, text))
        findings += _unexpected(self._schema, self._expected, columns, self._environment)
        return Validation(self._rows, tuple(findings))

    def _add(self, name: str, expected: ColumnExpectations, column: pa.ChunkedArray) -> None:
        column = column.cast(_plain(column.type))
        for broken in broken_by(expected, column):
            broken.into(self._breaches.setdefault((name, broken.key), Breach()), self._rows)
        if expected.unique:
            self._repeated.setdefault(name, Repeated()).add(self._rows, column)

    def _of_column(self, name: str, expected: ColumnExpectations, kind: pa.DataType) -> Iterator[Finding]:
        if not _is_of(kind, expected.type):
            text = (
                f"the column {name!r} is of type {type_name(kind)}, and {expected.type} is expected: cast it, or change "
                "the schema"
            )
            yield Finding(name, "type", expected.type, type_name(kind), text)
            return
        for key in KEYS:
            breach = self._breaches.get((name, key))
            if breach is not None and breach.count:
                found = _judged(key, expected, breach, self._rows)
                if found is not None:
                    yield _finding(name, key, *found, breach)


def limits_of(schema: Schema, environment: str = "training") -> dict[str, Limit]:
    """How far columns may be from a reference's, of those for which the schema says it."""
    return {
        name: Limit(column.drift.distance, column.drift.limit)
        for name, column in schema.expected_in(environment).items()
        if column.drift is not None
    }


def drifted(schema: Schema, window: Profile, reference: Profile, environment: str = "training") -> Iterator[Finding]:
    """The columns that are farther from a reference than the schema allows; those that the window does not have are told by
    their presence."""
    limits = {name: limit for name, limit in limits_of(schema, environment).items() if name in window.columns}
    for column in compare(reference, window, Limits(columns=limits), list(limits)).columns:
        if column.status != "stable":
            limit = limits[column.name]
            value = column.distances.get(limit.distance)
            text = f"the column {column.name!r} {column.text}"
            yield Finding(column.name, "drift", {limit.distance: limit.least}, value, text)


def _unexpected(
    schema: Schema, expected: Mapping[str, ColumnExpectations], columns: Iterable[str], environment: str
) -> Iterator[Finding]:
    for name in columns:
        if name in expected:
            continue
        if name in schema.columns:
            text = f"the column {name!r} is there in {environment!r}; the schema says absentIn: leave it out, or change that"
            yield Finding(name, "absentIn", list(schema.columns[name].absent_in), environment, text)
        elif not schema.allow_new_columns:
            text = f"the column {name!r} is not in the schema, which allows no new ones: add it to `columns`"
            yield Finding(name, "allowNewColumns", False, True, text)


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_of(kind: pa.DataType, expected: str) -> bool:
    """A column without any value is of every type: that it is missing is told by itself."""
    return bool(pa.types.is_null(kind)) or type_name(kind) in expected.split(" | ")


def _judged(key: str, expected: ColumnExpectations, breach: Breach, rows: int) -> tuple[Any, Any, str] | None:
    """The limit, what was found and how it is told; None where there is not more of it than the limit."""
    match key:
        case "maxMissing":
            return _share(expected.max_missing, breach, rows, "are missing")
        case "maxInfinite":
            return _share(expected.max_infinite, breach, rows, "are infinite")
        case "minimum":
            limit, worst = expected.minimum, breach.least
            return limit, worst, f"are below the minimum {limit:g}, as far as {worst:g}"
        case "maximum":
            limit, worst = expected.maximum, breach.greatest
            return limit, worst, f"are above the maximum {limit:g}, as far as {worst:g}"
        case "values":
            return _share(expected.max_unknown, breach, rows, _named(expected, breach))
        case "length":
            return _length(expected, breach)
        case _:
            return True, breach.count, "have a value that an earlier row has"


def _named(expected: ColumnExpectations, breach: Breach) -> str:
    texts = [*breach.texts]
    more = f" and {len(texts) - _NAMED:,} more" if len(texts) > _NAMED else ""
    named = ", ".join(map(repr, texts[:_NAMED]))
    return f"have texts that are not among the {len(expected.values or ())} expected: {named}{more}"


def _length(expected: ColumnExpectations, breach: Breach) -> tuple[Any, Any, str]:
    length = expected.length
    least, most = (length.minimum, length.maximum) if length is not None else (0, None)
    worst = [int(breach.least), int(breach.greatest)]
    found = f"{worst[0]}" if worst[0] == worst[1] else f"{worst[0]} to {worst[1]}"
    text = f"have {found} values, and {least} to {np.inf if most is None else most:g} are expected"
    return {"minimum": least, "maximum": most}, worst, text


def _share(limit: float, breach: Breach, rows: int, what: str) -> tuple[float, float, str] | None:
    share = breach.count / rows if rows else 0.0
    if share <= limit:  # not the count: 29 is more than 0.29 * 100
        return None
    return limit, share, f"{what}: {share:.3%} of all, limit {limit:.3%}"


def _finding(name: str, key: str, limit: Any, value: Any, text: str, breach: Breach) -> Finding:
    named = ", ".join(map(str, breach.rows)) + (" …" if breach.count > len(breach.rows) else "")
    whole = f"the column {name!r}: {breach.count:,} rows {text} (rows {named})"
    return Finding(name, key, limit, value, whole, tuple(breach.rows), breach.count)
