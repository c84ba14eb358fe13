"""Splits of a table into train, validation and test that leak nothing: declared values, by time or by group. Pure.

The same rows come into the same splits, whatever other rows are beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, model_validator

from heliostat.data.codes import coded_texts
from heliostat.data.columns import Mask, mask
from heliostat.data.distinct import hashed_texts
from heliostat.spec.base import Model, is_none

NAMES: Final = ("train", "validation", "test")


@dataclass(frozen=True)
class SplitTables:
    """The rows of each split, and what became of the others."""

    train: pa.Table
    validation: pa.Table
    test: pa.Table
    notes: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[tuple[str, pa.Table]]:
        return iter((("train", self.train), ("validation", self.validation), ("test", self.test)))


class TimeSplit(Model):
    """Later rows are predicted from earlier ones."""

    kind: Literal["time"] = "time"
    column: str
    """When a row happened; a time without a zone counts as UTC, as do these moments."""
    validation_from: datetime
    """The first moment of the validation split; what is before is trained on."""
    test_from: datetime
    """The first moment of the test split."""
    gap: timedelta = timedelta()
    """How long before the next split's first moment a split ends: as long as it takes until a label is known."""
    group: str | None = Field(None, exclude_if=is_none)
    """A column whose values must not be in two splits: a later split keeps its rows, earlier ones lose theirs."""

    @model_validator(mode="after")
    def _ordered(self) -> TimeSplit:
        if in_utc(self.test_from) <= in_utc(self.validation_from):
            raise ValueError(f"the test split begins at {self.test_from}, which is not after {self.validation_from}")
        if self.gap < timedelta():
            raise ValueError(f"the gap is {self.gap}: it cannot be negative")
        return self

    def apply(self, table: pa.Table) -> SplitTables:
        """Split a table; rows without a time, in a gap, or of a later split's group are in none, which the notes count.

        Raises:
            ValueError: a column is not there, or is no time.
        """
        _require(table, self.column, self.group)
        times = table[self.column]
        if not pa.types.is_timestamp(times.type) and not pa.types.is_date(times.type):
            raise ValueError(f"the column {self.column!r} is of type {times.type}: a time is needed; cast it to a timestamp")
        validation, test = (_moment(each, times.type) for each in (self.validation_from, self.test_from))
        before_validation, before_test = (
            _moment(each - self.gap, times.type) for each in (self.validation_from, self.test_from)
        )
        masks = {
            "train": mask(pc.less(times, before_validation)),
            "validation": mask(pc.and_(pc.greater_equal(times, validation), pc.less(times, before_test))),
            "test": mask(pc.greater_equal(times, test)),
        }
        notes = _left_out(table, masks, f"have no time in {self.column!r}, or lie in a gap of {self.gap}")
        if self.group is not None:
            notes += _apart(masks, coded_texts(table[self.group]).codes, self.group)
        return _tables(table, masks, notes)


class LatestSplit(Model):
    """The latest rows before a moment are tested with, those before them validated with: where the moment moves on, what is
    trained on does as well. Of a `TimeSplit`, rows that come are all tested with.
    """

    kind: Literal["latest"] = "latest"
    column: str
    """When a row happened; a time without a zone counts as UTC."""
    validation: Annotated[timedelta, Field(gt=timedelta())]
    """How long the validation split is."""
    test: Annotated[timedelta, Field(gt=timedelta())]
    """How long the test split is, which ends with that moment."""
    gap: Annotated[timedelta, Field(ge=timedelta())] = timedelta()
    """As that of a `TimeSplit`."""
    group: str | None = Field(None, exclude_if=is_none)
    """As that of a `TimeSplit`."""

    def before(self, moment: datetime) -> TimeSplit:
        """The split of the rows before a moment."""
        test_from = moment - self.test
        return TimeSplit(
            column=self.column,
            validation_from=test_from - self.validation,
            test_from=test_from,
            gap=self.gap,
            group=self.group,
        )


class GroupSplit(Model):
    """All rows of a group (a customer, a patient, a session) are in one split, by a hash of its name."""

    kind: Literal["group"] = "group"
    column: str
    """What names the group."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """The share of groups."""
    test: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """The share of groups."""
    seed: int = 0
    """Another one is another split."""

    @model_validator(mode="after")
    def _leaves_some(self) -> GroupSplit:
        if self.validation + self.test >= 1:
            raise ValueError(
                f"{self.validation:g} and {self.test:g} of the groups leave none to train on: their sum must be below 1"
            )
        return self

    def apply(self, table: pa.Table) -> SplitTables:
        """Split a table; rows without a group are in none, which the notes count.

        Raises:
            ValueError: the column is not there.
        """
        _require(table, self.column)
        groups = coded_texts(table[self.column])
        salted = pc.binary_join_element_wise(groups.values, str(self.seed), "\x00")
        shares = hashed_texts(salted) / 2.0**64
        share = np.where(groups.codes >= 0, shares[groups.codes] if len(shares) else np.nan, np.nan)
        masks = {
            "train": share >= self.validation + self.test,
            "validation": (share >= self.test) & (share < self.validation + self.test),
            "test": share < self.test,
        }
        return _tables(table, masks, _left_out(table, masks, f"have no group in {self.column!r}"))


Split = Annotated[TimeSplit | GroupSplit, Field(discriminator="kind")]


def _require(table: pa.Table, *columns: str | None) -> None:
    missing = [name for name in columns if name is not None and name not in table.column_names]
    if missing:
        raise ValueError(f"columns to split by are not there: {', '.join(map(repr, missing))}")


def in_utc(moment: datetime) -> datetime:
    """The moment in UTC; one without a zone is taken as UTC.

    Raises:
        ValueError: the calendar has it in its own zone alone.
    """
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{moment.isoformat()} is not between the years 1 and 9999 in UTC: give another moment") from None


def _moment(moment: datetime, kind: pa.DataType) -> Any:
    """A moment as a column has its own: what has no zone, moment or column, is in UTC."""
    moment = in_utc(moment)
    if pa.types.is_date(kind):
        return pa.scalar(moment.date(), kind)
    return pa.scalar(moment if kind.tz is not None else moment.replace(tzinfo=None), kind)


def _apart(masks: dict[str, Mask], groups: NDArray[np.int64], column: str) -> tuple[str, ...]:
    notes: tuple[str, ...] = ()
    later = np.empty(0, np.int64)
    for name in reversed(NAMES):
        shared = masks[name] & np.isin(groups, later) & (groups >= 0)
        if shared.any():
            notes += (f"{int(shared.sum()):,} rows of {name} are in no split: their group in {column!r} is in a later one",)
        masks[name] = masks[name] & ~shared
        later = np.union1d(later, groups[masks[name]])
    return notes


def _left_out(table: pa.Table, masks: dict[str, Mask], why: str) -> tuple[str, ...]:
    left = table.num_rows - int(sum(mask.sum() for mask in masks.values()))
    return (f"{left:,} rows are in no split: they {why}",) if left else ()


def _tables(table: pa.Table, masks: dict[str, Mask], notes: tuple[str, ...]) -> SplitTables:
    train, validation, test = (table.filter(pa.array(masks[name])) for name in NAMES)
    return SplitTables(train, validation, test, notes)
