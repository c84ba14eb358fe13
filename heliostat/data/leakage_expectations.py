"""What a schema says of leakage: what must not give the answer away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field

from heliostat.spec.base import Model, is_empty, is_none

Share = Annotated[float, Field(ge=0, le=1)]


class NearDuplicates(Model):
    """That no row of a split is in another one almost as it is."""

    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    """What rows are compared by: features, and none that names a row or its time. Memory holds 8 bytes for each value."""
    tolerance: Annotated[float, Field(ge=0)] = 1e-3
    """How far apart their numbers may be and still be the same, in standard deviations."""


class LeakageExpectations(Model):
    """What must not give the answer away. What is not said is not looked for."""

    knows_label: Share | None = Field(None, exclude_if=is_none)
    """How well one feature alone may predict the label, in ROC AUC, or in R² where the label is a number with more than 20
    values. It is measured on 20,000 rows of the train split."""
    allowed: tuple[str, ...] = Field((), exclude_if=is_empty)
    """Columns that people have looked at: they may know the label, and may be times after the event."""
    event: str | None = Field(None, exclude_if=is_none)
    """The column with the time at which a prediction is asked for: no feature may be a time after it."""
    group: str | None = Field(None, exclude_if=is_none)
    """The column that names what a row is of, as a customer: none may be in two splits."""
    near_duplicates: NearDuplicates | None = Field(None, exclude_if=is_none)
    """That no row is in two splits almost as it is."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names."""
        near = self.near_duplicates.columns if self.near_duplicates is not None else ()
        named = (each for each in (self.event, self.group) if each is not None)
        return tuple(dict.fromkeys((*self.allowed, *named, *near)))

    @property
    def across_splits(self) -> tuple[str, ...]:
        """The columns that are needed of all rows of all splits."""
        near = self.near_duplicates.columns if self.near_duplicates is not None else ()
        return tuple(dict.fromkeys((*((self.group,) if self.group is not None else ()), *near)))


def unknown_columns(expected: LeakageExpectations, columns: Sequence[str]) -> Iterator[str]:
    """Mistakes: what is named and is no column of the schema."""
    yield from (
        f"`leakage` names {name!r}, which is no column of the schema" for name in expected.columns if name not in columns
    )
