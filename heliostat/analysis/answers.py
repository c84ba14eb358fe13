"""A request and what both versions answered, read row by row and field by field."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from heliostat.analysis.client import Reply, Request
from heliostat.serving.bodies import is_many

MISSING: Final = object()
"""Stands for what an answer does not have."""
_SHOWN: Final = 200


@dataclass(frozen=True)
class Pair:
    """A request and what both versions answered."""

    request: Request
    candidate: Reply
    serving: Reply | None

    @cached_property
    def candidate_rows(self) -> list[Any] | None:
        """The candidate's answers by row; None where there are none."""
        return self._rows(self.candidate)

    @cached_property
    def serving_rows(self) -> list[Any] | None:
        """The same of what serves."""
        return self._rows(self.serving) if self.serving else None

    @property
    def rows(self) -> int:
        """How many rows it asks about, as far as the answers tell."""
        return max(len(self.serving_rows or ()), len(self.candidate_rows or ()), 1)

    @property
    def size(self) -> int:
        """Bytes of the request and its answers."""
        return len(self.request.body) + len(self.candidate.body) + (len(self.serving.body) if self.serving else 0)

    def _rows(self, reply: Reply) -> list[Any] | None:
        if reply.status != 200:
            return None
        try:
            answer = json.loads(reply.body)
        except ValueError:
            return None
        if not is_many(self.request.body):
            return [answer]
        rows = answer.get("rows") if isinstance(answer, dict) else None
        return rows if isinstance(rows, list) else None


def row_of(rows: list[Any] | None, row: int) -> Any:
    """An answer to one row; MISSING where there is none."""
    return rows[row] if rows is not None and row < len(rows) else MISSING


def value_of(answer: Any, field: str) -> Any:
    """A field of an answer."""
    return answer.get(field, MISSING) if isinstance(answer, dict) else MISSING


def number_of(value: Any) -> float | None:
    """A finite number, or a boolean as 0 or 1."""
    if not isinstance(value, bool | int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # JSON's integers have no end
        return None
    return number if math.isfinite(number) else None


def no_number(field: str, answer: Any) -> str:
    """Why there is no number in an answer's field."""
    value = value_of(answer, field)
    if value is MISSING:
        known = ", ".join(answer) if isinstance(answer, dict) else type(answer).__name__
        return f"an answer has no field {field!r}: it has {known}"
    return f"the field {field!r} is {shown(value)} in an answer: a finite number is needed"


def shown(value: Any) -> str:
    """The beginning of a value as JSON."""
    return "nothing" if value is MISSING else json.dumps(value)[:_SHOWN]
