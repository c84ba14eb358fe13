"""What is expected of a request beyond its contract: the columns of a workload's `schema.yaml`, as rows that clients send
have them. A row can be held to what is said of single values; shares, uniqueness and distributions are those of a data set."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from heliostat.spec.base import Model, is_empty, is_none

EXPECTATIONS: Final = "/-/expectations"
"""Where a replica tells how many requests were not as expected."""


class Breach(StrEnum):
    """What becomes of a request that is not as expected."""

    REFUSE = "refuse"
    """It is answered with 422, and the path of each field that is wrong."""
    COUNT = "count"
    """It is answered as any, and counted."""


class ExpectedField(Model):
    """What is expected of a field in each row."""

    type: str
    """Arrow's name of its type, several split by `|`, as in `schema.yaml`."""
    required: bool = True
    """Whether it must have a value."""
    finite: bool = True
    """Whether a number must be finite."""
    minimum: float | None = Field(default=None, exclude_if=is_none)
    """The least number; of a time its microseconds since 1970, of a date its days."""
    maximum: float | None = Field(default=None, exclude_if=is_none)
    """The greatest number."""
    values: tuple[str, ...] | None = Field(default=None, exclude_if=is_none)
    """The texts that it may be."""
    min_length: Annotated[int, Field(ge=0)] | None = Field(default=None, exclude_if=is_none)
    """How many values a list has at least."""
    max_length: Annotated[int, Field(ge=0)] | None = Field(default=None, exclude_if=is_none)
    """How many at most."""


class Expectations(Model):
    """That requests are held to what the data set's schema says of its columns while serving."""

    breach: Breach = Breach.REFUSE
    """What becomes of one that is not so."""
    columns: dict[str, ExpectedField] = Field(default={}, exclude_if=is_empty)
    """What is expected of the contract's fields; by default what `schema.yaml` in the workload's folder says in its
    environment `serving`."""


class BreachCount(Model):
    """How many requests of clients broke an expectation."""

    field: str
    expectation: str
    """`required`, `type`, `finite`, `minimum`, `maximum`, `values` or `length`."""
    requests: int


class BreachCounts(Model):
    """All that a replica counted since it started."""

    counts: tuple[BreachCount, ...] = ()
