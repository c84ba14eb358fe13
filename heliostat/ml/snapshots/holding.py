"""Data held to what its workload expects of it, before it becomes a snapshot."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa

from heliostat.data.declared_leaks import leaks
from heliostat.data.leakage import Leak
from heliostat.data.profiles import Profile
from heliostat.data.schema import Schema, Transformed
from heliostat.data.validation import Finding, Validator, drifted, limits_of
from heliostat.ml.contracts import columns_of
from heliostat.ml.snapshots.profiling import parts_in, profile_of
from heliostat.ml.snapshots.splits import Split
from heliostat.ml.transformations import TransformationError, transformed
from heliostat.spec.base import EntryPoint
from heliostat.systems.errors import PermanentError

_SAMPLE: Final = 20_000
"""Rows of the train split in which a feature is looked for that knows the label."""


@dataclass(frozen=True)
class SplitFinding:
    """An expectation that a split does not hold, with the first rows that break it as they are."""

    split: str
    finding: Finding
    examples: tuple[Mapping[str, Any], ...]

    @property
    def text(self) -> str:
        """In a sentence."""
        return f"{self.split}: {self.finding.text}"

    def as_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {"split": self.split, **self.finding.as_json(), "examples": [_plain(row) for row in self.examples]}


@dataclass(frozen=True)
class Held:
    """What became of data that was held to a schema."""

    stopping: tuple[SplitFinding, ...]
    """Of columns that a model is given, of the label, and of those that nobody knows."""
    others: tuple[SplitFinding, ...]
    """Of columns that no model is given: they stop nothing."""
    leaks: tuple[Leak, ...]

    @property
    def holds(self) -> bool:
        """Whether a model may be trained on it."""
        return not self.stopping and not self.leaks

    @property
    def texts(self) -> tuple[str, ...]:
        """Why not, in sentences."""
        return (*(each.text for each in self.stopping), *(leak.text for leak in self.leaks))


def hold(
    schema: Schema,
    splits: Mapping[str, Split],
    label: str,
    reference: Callable[[], Profile | None] = lambda: None,
) -> Held:
    """Hold all splits to a schema, the train split's distributions to a reference, and all together to what leaks.

    Findings of columns that are neither features nor the label, nor needed to look for leaks, stop nothing. What the train
    split is after the workload's transformation, and what leaks, is looked at in data that is otherwise as expected.

    Raises:
        PermanentError: the schema is of another label, or has leaks looked for in columns of types that tell none.
    """
    if schema.label not in (None, label):
        raise PermanentError(f"the label is {label!r}, and the schema has {schema.label!r} as its label: make them the same")
    found = [each for name, split in splits.items() for each in _findings(schema, name, split)]
    if limits_of(schema) and not found:
        known = reference()
        if known is not None:
            window = profile_of(splits["train"], label)
            found += [SplitFinding("train", finding, ()) for finding in drifted(schema, window, known)]
    needed = {*schema.features, label, *(schema.leakage.columns if schema.leakage is not None else ())}
    spared = schema.columns.keys() - needed
    stopping = tuple(each for each in found if each.finding.column not in spared)
    if schema.transformed is not None and not stopping:
        stopping = tuple(_after_transformation(schema.transformed, splits["train"], label))
    others = tuple(each for each in found if each.finding.column in spared)
    return Held(stopping, others, () if stopping else tuple(_leaks(schema, splits)))


def _findings(schema: Schema, name: str, split: Split) -> Iterator[SplitFinding]:
    validator = Validator(schema)
    validator.add(split.schema.empty_table())
    for part in parts_in(split):
        validator.add(part)
    findings = validator.validation().findings
    rows = _rows_at(split, sorted({row for finding in findings for row in finding.rows}))
    for finding in findings:
        yield SplitFinding(name, finding, tuple(rows[row] for row in finding.rows))


def transformed_parts(by: EntryPoint, split: Split, label: str) -> Iterator[pa.Table]:
    """A split after the workload's own transformation, in parts, as its training has it: without the label.

    Raises:
        TransformationError: the function fails.
    """
    for part in parts_in(split):
        if part.num_rows:
            yield transformed(by, columns_of(part.drop_columns([label])), part.num_rows)


def _after_transformation(expected: Transformed, split: Split, label: str) -> Iterator[SplitFinding]:
    validator = Validator(expected.schema_of_columns)
    try:
        for part in transformed_parts(expected.by, split, label):
            validator.add(part)
    except TransformationError as error:
        yield SplitFinding("train", Finding("*", "transformed", expected.by, None, str(error)), ())
        return
    findings = validator.validation().findings
    rows = _rows_at(split, sorted({row for finding in findings for row in finding.rows}))
    for finding in findings:
        told = replace(finding, text=f"after {expected.by}, {finding.text}")
        yield SplitFinding("train", told, tuple(rows[row] for row in finding.rows))


def _rows_at(split: Split, numbers: Sequence[int]) -> dict[int, Mapping[str, Any]]:
    found: dict[int, Mapping[str, Any]] = {}
    first = 0
    for part in parts_in(split) if numbers else ():
        inside = [number for number in numbers if first <= number < first + part.num_rows]
        rows = part.take(pa.array([number - first for number in inside], pa.int64())).to_pylist()
        found |= dict(zip(inside, rows, strict=True))
        first += part.num_rows
    return found


def _leaks(schema: Schema, splits: Mapping[str, Split]) -> Iterator[Leak]:
    expected = schema.leakage
    if expected is None:
        return
    wanted = [*expected.across_splits]
    whole = {name: pa.concat_tables([part.select(wanted) for part in parts_in(split)]) for name, split in splits.items()}
    try:
        yield from leaks(schema, _sample(splits["train"]), whole)
    except ValueError as error:
        raise PermanentError(f"the schema's `leakage`: {error}") from None


def _sample(split: Split) -> pa.Table:
    """Every so many rows, of all parts."""
    step, first, kept = max(1, math.ceil(split.rows / _SAMPLE)), 0, []
    for part in parts_in(split):
        start = -first % step
        kept.append(part.take(pa.array(range(start, part.num_rows, step), pa.int64())) if step > 1 else part)
        first += part.num_rows
    return pa.concat_tables(kept)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON can have it."""
    return {name: _plain_value(value) for name, value in row.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, list):
        return [_plain_value(each) for each in value]
    return value if value is None or isinstance(value, bool | int | str) else str(value)
