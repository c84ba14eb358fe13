"""Decimals of a database, `numeric` in PostgreSQL, as doubles: what models take, and what pandas makes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any


def are_decimals(values: Sequence[Any]) -> bool:
    """Whether the values of a column are decimals, as far as they are there."""
    return isinstance(next((value for value in values if value is not None), None), Decimal)


def as_doubles(values: Sequence[Decimal | None]) -> tuple[list[float | None], int]:
    """The nearest double of each, and how many are another number for that. NaN, infinities and missing values stay so.

    Raises:
        OverflowError: a number is greater than any double.
    """
    found, rounded = list[float | None](), 0
    for row, value in enumerate(values):
        double = None if value is None else float(value)
        found.append(double)
        if value is None or double is None or not value.is_finite():
            continue
        if math.isinf(double):
            raise OverflowError(f"the value in row {row} of those that were read together is beyond 1.8e308")
        # What a double is printed as is what was meant, as 0.1 is, which no double is to the last digit.
        rounded += value not in (Decimal(repr(double)), Decimal(double))
    return found, rounded


def notes_of(rounded: Mapping[str, int]) -> list[str]:
    """What people are told of values that are another number as a double, by their columns."""
    return [
        f"{count:,} values of {name!r} have more digits than a double holds, and are rounded"
        for name, count in sorted(rounded.items())
    ]


def as_integers(values: Sequence[Decimal | None]) -> list[int | None]:
    """Decimals as whole numbers; Arrow would leave their fractions away.

    Raises:
        ValueError: one is not whole.
    """
    for row, value in enumerate(values):
        if value is not None and not (value.is_finite() and value == value.to_integral_value()):
            raise ValueError(f"the value in row {row} of those that were read together is no whole number")
    return [None if value is None else int(value) for value in values]
