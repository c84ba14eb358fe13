"""Holds rows of requests to what is expected of them beyond their contract, and counts those that are not so."""

from __future__ import annotations

import math
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from heliostat.spec.expectations import Breach, BreachCount, BreachCounts, Expectations, ExpectedField

_INTEGER: Final = re.compile(r"(u?)int(8|16|32|64)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_NAMED: Final = 10
"""Values of a domain that an error names."""


class Broken(NamedTuple):
    """An expectation that a value breaks."""

    expectation: str
    text: str


Check = Callable[[Any], Broken | None]


class ExpectedRows:
    """What is expected of rows of a contract. Safe to use from several threads.

    Args:
        expected: What is declared.
        row: The contract's type of a row.
    """

    def __init__(self, expected: Expectations, row: type[BaseModel]) -> None:
        names = {field.alias or name: name for name, field in row.model_fields.items()}
        self.refuses = expected.breach is Breach.REFUSE
        self._checks = [(names[name], name, (*_checks(field),)) for name, field in expected.columns.items() if name in names]
        self.unknown = tuple(
            f"{name!r} is expected of requests, by serving.expectations, and is no field of it: it has {', '.join(names)}; "
            "say `absentIn: [serving]` in schema.yaml"
            for name in expected.columns
            if name not in names
        )
        """What is expected of no field of the contract."""
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._request = threading.local()

    def of_client(self, is_client: bool) -> None:
        """Say whether the request that this thread reads next is a client's: replays and golden requests are not counted."""
        self._request.counts = is_client

    def require(self, rows: Sequence[Any], single: bool) -> None:
        """See that rows are as expected, and count the request by what is not.

        Raises:
            ValidationError: they are not, and such requests are refused; each field with its path, as the contract's are.
        """
        found = [*self._broken(rows)]
        if not found:
            return
        if getattr(self._request, "counts", False):
            with self._lock:
                self._counts.update({(name, broken.expectation) for _, name, _, broken in found})
        if self.refuses:
            details = [
                InitErrorDetails(
                    type=PydanticCustomError(f"expected_{broken.expectation}", "{text}", {"text": broken.text}),
                    loc=(name,) if single else ("rows", number, name),
                    input=value,
                )
                for number, name, value, broken in found
            ]
            raise ValidationError.from_exception_data("rows", details)

    def counts(self) -> BreachCounts:
        """How many requests of clients were not as expected."""
        with self._lock:
            found = sorted(self._counts.items())
        return BreachCounts(
            counts=tuple(
                BreachCount(field=name, expectation=expectation, requests=count) for (name, expectation), count in found
            )
        )

    def _broken(self, rows: Sequence[Any]) -> Iterator[tuple[int, str, Any, Broken]]:
        for number, row in enumerate(rows):
            for attribute, name, checks in self._checks:
                value = getattr(row, attribute)
                for check in checks:
                    if (broken := check(value)) is not None:
                        yield number, name, value, broken
                        break


def _checks(field: ExpectedField) -> Iterator[Check]:
    """What a value has to pass, in this order; a missing one is held to nothing else."""
    own: list[Check] = []
    if field.finite:
        own.append(lambda value: Broken("finite", "Input should be finite") if _is_infinite(value) else None)
    own.append(_type(field.type))
    own += _range(field)
    if field.values is not None:
        own.append(_domain(field.values))
    own += _length(field)
    if field.required:
        yield lambda value: Broken("required", "Input should have a value") if _is_missing(value) else None
    for check in own:
        yield lambda value, check=check: None if _is_missing(value) else check(value)  # type: ignore[misc]


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _is_infinite(value: Any) -> bool:
    return isinstance(value, float) and math.isinf(value)


def _type(expected: str) -> Check:
    kinds = [_kind(kind.strip()) for kind in expected.split("|")]
    broken = Broken("type", f"Input should be of type {expected}")

    def check(value: Any) -> Broken | None:
        return None if any(is_of(value) for is_of in kinds) else broken

    return check


def _kind(kind: str) -> Callable[[Any], bool]:
    """Whether a value can stand in a column of an Arrow type; told apart here, once, and not by each value."""
    if kind == "bool":
        return lambda value: isinstance(value, bool)
    if fits := _INTEGER.fullmatch(kind):
        return _integer(bool(fits[1]), int(fits[2]))
    if kind in ("double", "float", "halffloat") or kind.startswith("decimal"):
        return lambda value: isinstance(value, int | float) and not isinstance(value, bool)
    if kind in ("string", "large_string"):
        return lambda value: isinstance(value, str)
    if kind.startswith("timestamp"):
        return lambda value: isinstance(value, datetime)
    if kind.startswith("date"):
        return lambda value: isinstance(value, date) and not isinstance(value, datetime)
    if kind.startswith("time"):
        return lambda value: isinstance(value, time)
    if kind.startswith(("list", "large_list", "fixed_size_list")):
        return lambda value: hasattr(value, "__len__") and not isinstance(value, str)
    return lambda _: True  # a type that rows of contracts have not: the contract alone says


def _integer(unsigned: bool, bits: int) -> Callable[[Any], bool]:
    least, beyond = (0, 2**bits) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1))

    def check(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value if math.isfinite(value) else 0):
            return False
        return bool(least <= value < beyond)

    return check


def _range(field: ExpectedField) -> Iterator[Check]:
    least, most = field.minimum, field.maximum
    if least is not None:
        text = f"Input should be greater than or equal to {least:g}"
        yield lambda value: Broken("minimum", text) if (n := _number(value)) is not None and n < least else None
    if most is not None:
        told = f"Input should be less than or equal to {most:g}"
        yield lambda value: Broken("maximum", told) if (n := _number(value)) is not None and n > most else None


def _number(value: Any) -> float | None:
    """A value as the schema's limits are of it: times in microseconds since 1970, dates in days."""
    if isinstance(value, datetime):
        moment = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return (moment - _EPOCH).total_seconds() * 1e6
    if isinstance(value, date):
        return (value - _EPOCH.date()).days
    return value if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else None


def _domain(values: tuple[str, ...]) -> Check:
    known = frozenset(values)
    more = f" and {len(values) - _MOST_NAMED:,} more" if len(values) > _MOST_NAMED else ""
    text = f"Input should be one of {', '.join(map(repr, values[:_MOST_NAMED]))}{more}"

    def check(value: Any) -> Broken | None:
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        return None if shown in known else Broken("values", text)

    return check


def _length(field: ExpectedField) -> Iterator[Check]:
    least, most = field.min_length, field.max_length
    if least is not None or most is not None:
        most_told = "any number" if most is None else str(most)
        text = f"Input should have {least or 0} to {most_told} values"

        def check(value: Any) -> Broken | None:
            count = len(value) if hasattr(value, "__len__") and not isinstance(value, str) else None
            fits = count is None or (least or 0) <= count <= (count if most is None else most)
            return None if fits else Broken("length", text)

        yield check
