"""A predictor that answers rows from a table, and asks the model for the others."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from heliostat.ml.contracts import Columns, Predictor
from heliostat.ml.predictions import Predictions, parts_of
from heliostat.serving.errors import HttpError
from heliostat.serving.lookup.table import LookupTable
from heliostat.spec.batch import Lookup, Missing


class LookupPredictor:
    """Predictions of a table where they are new enough. A `Predictor`; safe to use from several threads."""

    def __init__(
        self,
        predictor: Predictor,
        table: LookupTable,
        settings: Lookup,
        hashed: Mapping[str, Callable[[Any], Any]] | None = None,
    ) -> None:
        """`hashed`: what the table has in the place of a personal field's value, by the field."""
        self._predictor = predictor
        self._table = table
        self._hashed = hashed or {}
        self._oldest = math.inf if settings.max_age_seconds is None else settings.max_age_seconds
        self._refuses = settings.missing is Missing.REFUSE
        self._taken = threading.local()
        self._serves = False

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Never called: it is made around a predictor that was loaded."""
        raise TypeError("a lookup is made around a loaded predictor")

    def serve(self) -> None:
        """Answer from the table from now on: what is asked before is to warm the model."""
        self._serves = True

    def begin(self) -> None:
        """Forget, in this thread, how old what was answered is."""
        self._taken.at = None

    def age(self) -> float | None:
        """Seconds since the rows behind this thread's answers since `begin` were read; None where the model gave all."""
        at = getattr(self._taken, "at", None)
        return None if at is None else max(0.0, time.time() - at)

    def predict(self, columns: Columns) -> Predictions:
        """The predictions of the table, and the model's for rows that it does not have, or only too old.

        Raises:
            HttpError: 404 or 503, where such rows are to be refused.
        """
        if not self._serves:
            return self._predictor.predict(columns)
        found, late = self._found(self._keys(columns))
        missing = [number for number, value in enumerate(found) if value is None]
        if missing and self._refuses:
            raise self._refusal(missing[0], late, len(found))
        if len(missing) == len(found):
            return self._predictor.predict(columns)
        if missing:
            asked = {name: _taken(column, missing) for name, column in columns.items()}
            for number, value in zip(missing, parts_of(self._predictor.predict(asked)), strict=True):
                found[number] = value
        return np.asarray(found)

    def _keys(self, columns: Columns) -> list[tuple[Any, ...]]:
        """Each row's key; an empty one where nothing was predicted yet, or the rows do not have it."""
        names = self._table.key
        if not names or any(name not in columns for name in names):
            return [()] * len(next(iter(columns.values())))
        return list(zip(*(self._key_column(name, columns[name]) for name in names), strict=True))

    def kept(self, name: str, value: Any) -> Any:
        """What the table has in the place of a key's value."""
        hashed = self._hashed.get(name)
        return value if hashed is None else hashed(value)

    def _key_column(self, name: str, column: Any) -> list[Any]:
        values = _listed(column)
        return [self.kept(name, value) for value in values] if name in self._hashed else values

    def _found(self, keys: Sequence[tuple[Any, ...]]) -> tuple[list[Any], set[int]]:
        """A value a row, None where it has none that is new enough, and the rows that have an older one."""
        values: list[Any] = []
        late, oldest, now = set(), math.inf, time.time()
        for number, key in enumerate(keys):
            prediction = self._table.find(key) if key else None
            if prediction is not None and now - prediction.at > self._oldest:
                late.add(number)
                prediction = None
            if prediction is not None:
                oldest = min(oldest, prediction.at)
            values.append(None if prediction is None else prediction.value)
        if oldest < math.inf:
            before = getattr(self._taken, "at", None)
            self._taken.at = oldest if before is None else min(before, oldest)
        return values, late

    def _refusal(self, row: int, late: set[int], rows: int) -> HttpError:
        which = f"row {row}" if rows > 1 else "this row"
        if row in late:
            text = f"the prediction for {which} is {self._table.age:.0f} s old: at most {self._oldest:g} s are answered"
            return HttpError(503, f"{text} (maxAgeSeconds)")
        return HttpError(404, f"nothing was predicted for {which}, and no model is asked instead (missing: refuse)")


def _listed(column: Any) -> list[Any]:
    return column.tolist() if hasattr(column, "tolist") else list(column)


def _taken(column: Any, rows: Sequence[int]) -> Any:
    return column[list(rows)] if isinstance(column, np.ndarray) else [column[row] for row in rows]
