"""Tables held to a schema: every expectation that fails, with the rows, all at once. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heliostat.data.columns import Mask, as_numbers, is_list, is_number, is_text, mask, type_name
from heliostat.data.drift import Limit, Limits, compare
from heliostat.data.profiles import Profile
from heliostat.data.profiling import DRIFT, profile
from heliostat.data.schema import ColumnExpectations, Schema

EXAMPLES: Final = 10
"""Rows that a finding names."""


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


@dataclass(frozen=True)
class Validation:
    """What became of a table."""

    rows: int
    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        """Whether every expectation does."""
        return not self.findings

    def stops(self, needed: Iterable[str]) -> tuple[Finding, ...]:
        """The findings that stop what needs these columns; others stop nothing of it."""
        columns = set(needed)
        return tuple(finding for finding in self.findings if finding.column in columns)

    def __str__(self) -> str:
        if self.holds:
            return f"{self.rows:,} rows are as the schema expects"
        return "\n".join(finding.text for finding in self.findings)


def validate(schema: Schema, table: pa.Table, environment: str = "training", reference: Profile | None = None) -> Validation:
    """Hold a table to a schema, in one of its environments, and its distributions to a reference where one is given.

    Raises:
        ValueError: the schema has no such environment.
    """
    expected = schema.expected_in(environment)
    findings: list[Finding] = []
    for name, column in expected.items():
        if name in table.column_names:
            findings += _column(name, column, table[name])
        else:
            text = f"the column {name!r} is not there: the schema expects it as {column.type} in {environment!r}"
            findings.append(Finding(name, "presence", True, False, text))
    findings += _unexpected(schema, expected, table, environment)
    if reference is not None and table.num_rows:
        findings += _drifted(expected, table, reference)
    return Validation(table.num_rows, tuple(findings))


def _unexpected(
    schema: Schema, expected: Mapping[str, ColumnExpectations], table: pa.Table, environment: str
) -> Iterator[Finding]:
    for name in table.column_names:
        if name in expected:
            continue
        if name in schema.columns:
            text = f"the column {name!r} is there in {environment!r}; the schema says absentIn: leave it out, or change that"
            yield Finding(name, "absentIn", list(schema.columns[name].absent_in), environment, text)
        elif not schema.allow_new_columns:
            text = f"the column {name!r} is not in the schema, which allows no new ones: add it to `columns`"
            yield Finding(name, "allowNewColumns", False, True, text)


def _column(name: str, expected: ColumnExpectations, column: pa.ChunkedArray) -> Iterator[Finding]:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not _is_of(kind, expected.type):
        text = (
            f"the column {name!r} is of type {type_name(kind)}, and {expected.type} is expected: cast it, or change the schema"
        )
        yield Finding(name, "type", expected.type, type_name(kind), text)
        return
    column = column.cast(kind) if pa.types.is_dictionary(column.type) else column
    yield from _missing(name, expected, column)
    if pa.types.is_null(kind):
        return
    if is_number(kind):
        yield from _numbers(name, expected, column)
    elif is_text(kind):
        yield from _texts(name, expected, column)
    elif is_list(kind):
        yield from _lengths(name, expected, column)
    if expected.unique:
        yield from _unique(name, column)


def _is_of(kind: pa.DataType, expected: str) -> bool:
    """A column without any value is of every type: that it is missing is told by itself."""
    return bool(pa.types.is_null(kind)) or type_name(kind) in expected.split(" | ")


def _missing(name: str, expected: ColumnExpectations, column: pa.ChunkedArray) -> Iterator[Finding]:
    missing = mask(pc.is_null(column, nan_is_null=pa.types.is_floating(column.type)))
    yield from _share(name, "maxMissing", expected.max_missing, missing, lambda: "are missing")


def _numbers(name: str, expected: ColumnExpectations, column: pa.ChunkedArray) -> Iterator[Finding]:
    values = np.asarray(as_numbers(column).fill_null(np.nan).to_numpy(), np.float64)
    yield from _share(name, "maxInfinite", expected.max_infinite, np.isinf(values), lambda: "are infinite")
    finite = np.isfinite(values)
    for key, limit, beyond in (
        ("minimum", expected.minimum, np.less),
        ("maximum", expected.maximum, np.greater),
    ):
        if limit is None:
            continue
        broken = finite & beyond(values, limit)
        if broken.any():
            worst = float(values[broken].min() if key == "minimum" else values[broken].max())
            below = "below" if key == "minimum" else "above"
            yield _finding(name, key, limit, worst, broken, f"are {below} the {key} {limit:g}, as far as {worst:g}")


def _texts(name: str, expected: ColumnExpectations, column: pa.ChunkedArray) -> Iterator[Finding]:
    if expected.values is None:
        return
    texts = column.cast(pa.string())
    known = pc.is_in(texts, pa.array(expected.values, pa.string()))
    unknown = ~mask(known) & mask(texts.is_valid())

    def described() -> str:
        found = texts.filter(pa.array(unknown)).unique().to_pylist()
        named = ", ".join(map(repr, found[:5])) + (f" and {len(found) - 5:,} more" if len(found) > 5 else "")
        return f"have texts that are not among the {len(expected.values or ())} expected: {named}"

    yield from _share(name, "values", expected.max_unknown, unknown, described)


def _lengths(name: str, expected: ColumnExpectations, column: pa.ChunkedArray) -> Iterator[Finding]:
    if expected.length is None:
        return
    lengths = pc.list_value_length(column).fill_null(expected.length.minimum).to_numpy()
    most = np.inf if expected.length.maximum is None else expected.length.maximum
    broken = (lengths < expected.length.minimum) | (lengths > most)
    if broken.any():
        worst = sorted(set(lengths[broken].tolist()))
        limit = {"minimum": expected.length.minimum, "maximum": expected.length.maximum}
        text = f"have {worst[0]} to {worst[-1]} values, and {limit['minimum']} to {most:g} are expected"
        yield _finding(name, "length", limit, worst, broken, text)


def _unique(name: str, column: pa.ChunkedArray) -> Iterator[Finding]:
    """Missing values are not the same as each other."""
    valid = np.flatnonzero(mask(column.is_valid()))
    encoded = column.drop_null().combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    _, first = np.unique(encoded.indices.to_numpy(), return_index=True)
    broken = np.zeros(len(column), np.bool_)
    broken[valid] = True
    broken[valid[first]] = False
    if broken.any():
        yield _finding(name, "unique", True, int(broken.sum()), broken, "have a value that an earlier row has")


def _drifted(expected: Mapping[str, ColumnExpectations], table: pa.Table, reference: Profile) -> Iterator[Finding]:
    limits = {
        name: Limit(column.drift.distance, column.drift.limit)
        for name, column in expected.items()
        if column.drift is not None and name in table.column_names
    }
    if not limits:
        return
    window = profile(table.select(list(limits)), DRIFT)
    for column in compare(reference, window, Limits(columns=limits), list(limits)).columns:
        if column.status != "stable":
            limit = limits[column.name]
            value = column.distances.get(limit.distance)
            yield Finding(
                column.name, "drift", {limit.distance: limit.least}, value, f"the column {column.name!r} {column.text}"
            )


def _share(name: str, key: str, limit: float, broken: Mask, what: Callable[[], str]) -> Iterator[Finding]:
    count = int(broken.sum())
    if count and count > limit * len(broken):
        share = count / len(broken)
        yield _finding(name, key, limit, share, broken, f"{what()}: {share:.3%} of all, limit {limit:.3%}")


def _finding(name: str, key: str, limit: Any, value: Any, broken: Mask, text: str) -> Finding:
    count = int(broken.sum())
    rows = tuple(np.flatnonzero(broken)[:EXAMPLES].tolist())
    named = ", ".join(map(str, rows)) + (" …" if count > len(rows) else "")
    return Finding(name, key, limit, value, f"the column {name!r}: {count:,} rows {text} (rows {named})", rows, count)
