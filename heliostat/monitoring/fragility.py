"""How far predictions move when inputs move a little: at random, and at worst within a box around each row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from heliostat.spec.base import Model, is_empty, is_none

Numbers = NDArray[np.float64]
Predict = Callable[[pa.Table], Numbers]
"""Rows to a number each; of several numbers a row the one that is watched."""
_RANDOM_ROUNDS: Final = 3
_SEARCH_ROUNDS: Final = 2


class Response(Model):
    """How predictions answer to inputs that are moved by one ε."""

    epsilon: float
    """In standard deviations of each column; a category is another one in that share of rows, up to one in two."""
    mean_change: float
    """Of all rows, when all inputs move at random."""
    high_change: float
    """The 99th percentile of the same."""
    worst_change: float
    """The largest that the search found; there may be a larger one."""
    worst_row: int
    worst_inputs: dict[str, str] = Field(default_factory=dict)
    """The inputs of that row which were moved, before → after."""
    flips: float | None = Field(default=None, exclude_if=is_none)
    """The share of rows that the random moves bring to the other side of .5, where predictions are probabilities."""


class Fragility(Model):
    """Of one model on some rows."""

    rows: int
    responses: tuple[Response, ...] = ()
    by_column: dict[str, float] = Field(default_factory=dict)
    """The mean change when a column alone moves by the largest ε, the largest first."""
    reason: str = Field(default="", exclude_if=is_empty)
    """Why nothing can be told."""


def fragility(
    predict: Predict, rows: pa.Table, epsilons: tuple[float, ...], flips_at: float | None = None, seed: int = 0
) -> Fragility:
    """Try a model on rows that are moved.

    The worst case is searched column by column: each row tries both ends of its box in each column, and goes where its
    prediction moves most. That takes two predictions of all rows a column and round.

    Args:
        predict: The model.
        rows: As it takes them; numbers are moved by ε standard deviations, texts and booleans become other values of the
            column, whatever else there is stays.
        epsilons: How far, rising.
        flips_at: The probability from which on a row is the other class; None where predictions are none.
        seed: The same seed moves the same.
    """
    if not rows.num_rows:
        return Fragility(rows=0, reason="there are no rows")
    base = np.asarray(predict(rows), dtype=np.float64)
    if not np.isfinite(base).all():
        wrong = int((~np.isfinite(base)).sum())
        return Fragility(rows=rows.num_rows, reason=f"{wrong} of {len(base)} predictions are no finite number")
    movable = [name for name in rows.column_names if _can_move(rows[name])]
    if not movable:
        return Fragility(rows=rows.num_rows, reason="no input has another value that it could be moved to")
    trial = _Trial(predict, rows, movable, base, np.random.default_rng(seed))
    responses = tuple(trial.response(epsilon, flips_at) for epsilon in epsilons)
    changes = {name: trial.change_of(name, epsilons[-1]) for name in movable}
    ordered = dict(sorted(changes.items(), key=lambda item: -item[1]))
    return Fragility(rows=rows.num_rows, responses=responses, by_column=ordered)


class _Trial:
    """One model, and rows around which it is tried."""

    def __init__(
        self, predict: Predict, rows: pa.Table, movable: list[str], base: Numbers, random: np.random.Generator
    ) -> None:
        self._predict, self._rows, self._movable, self._base, self._random = predict, rows, movable, base, random

    def response(self, epsilon: float, flips_at: float | None) -> Response:
        """How predictions answer to one ε."""
        changes: list[Numbers] = []
        flips: list[NDArray[Any]] = []
        worst, inputs = self._worst(epsilon)
        for _ in range(_RANDOM_ROUNDS):
            moved = self._rows
            for name in self._movable:
                moved = _with(moved, name, self._moved(name, epsilon))
            found = self._predicted(moved)
            changes.append(np.abs(found - self._base))
            if changes[-1].max() > worst.max():  # chance went further than the search
                worst, inputs = changes[-1], moved
            flips.append((found >= flips_at) != (self._base >= flips_at) if flips_at is not None else np.zeros(1))
        all_changes = np.concatenate(changes)
        row = int(worst.argmax())
        return Response(
            epsilon=epsilon,
            mean_change=float(all_changes.mean()),
            high_change=float(np.quantile(all_changes, 0.99)),
            worst_change=float(worst[row]),
            worst_row=row,
            worst_inputs=self._shown(row, inputs),
            flips=float(np.concatenate(flips).mean()) if flips_at is not None else None,
        )

    def change_of(self, name: str, epsilon: float) -> float:
        """The mean change when one column alone moves."""
        return float(np.abs(self._predicted(_with(self._rows, name, self._moved(name, epsilon))) - self._base).mean())

    def _worst(self, epsilon: float) -> tuple[Numbers, pa.Table]:
        """The largest change of each row that was found, and the rows there."""
        here, change = self._rows, np.zeros(self._rows.num_rows)
        for _ in range(_SEARCH_ROUNDS):
            before = change.sum()
            for name in self._movable:
                for column in self._ends(name, epsilon):
                    there = np.abs(self._predicted(_with(here, name, column)) - self._base)
                    better = there > change
                    here = _with(here, name, pc.if_else(pa.array(better), column, here[name].combine_chunks()))
                    change = np.where(better, there, change)
            if change.sum() <= before:
                break
        return change, here

    def _moved(self, name: str, epsilon: float) -> pa.Array:
        column = self._rows[name].combine_chunks()
        if _is_number(column.type):
            return _shifted(column, self._random.uniform(-1, 1, len(column)) * epsilon)
        chosen = self._random.random(len(column)) < min(0.5, epsilon)
        return pc.if_else(pa.array(chosen), self._others(column), column)

    def _ends(self, name: str, epsilon: float) -> list[pa.Array]:
        """Both ends of the box in a column; of categories another value, which may be any."""
        column = self._rows[name].combine_chunks()
        if _is_number(column.type):
            return [_shifted(column, np.full(len(column), sign * epsilon)) for sign in (-1.0, 1.0)]
        return [self._others(column)]

    def _others(self, column: pa.Array) -> pa.Array:
        """Values of other rows, drawn by how often they are there."""
        return column.take(pa.array(self._random.permutation(len(column))))

    def _predicted(self, rows: pa.Table) -> Numbers:
        return np.asarray(self._predict(rows), dtype=np.float64)

    def _shown(self, row: int, moved: pa.Table) -> dict[str, str]:
        both = {name: (repr(self._rows[name][row].as_py()), repr(moved[name][row].as_py())) for name in self._movable}
        return {name: f"{before} → {after}"[:120] for name, (before, after) in both.items() if before != after}


def _shifted(column: pa.Array, by: Numbers) -> pa.Array:
    """Numbers moved by so many standard deviations, within what the column had; whole numbers stay whole."""
    values = np.asarray(column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(zero_copy_only=False))
    finite = values[np.isfinite(values)]
    moved = np.clip(values + by * finite.std(), finite.min(), finite.max())
    moved = np.where(np.isfinite(values), moved, values)
    missing = column.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_integer(column.type):
        return pa.array(np.rint(np.where(missing, 0, moved)), mask=missing).cast(column.type)
    return pa.array(moved, mask=missing).cast(column.type)


def _with(rows: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), rows.schema.field(name), column)


def _can_move(column: pa.ChunkedArray) -> bool:
    kind = column.type
    if _is_number(kind):
        values = column.cast(pa.float64(), safe=False).drop_null().to_numpy()
        return bool(np.isfinite(values).any() and np.ptp(values[np.isfinite(values)]) > 0)
    return bool((pa.types.is_string(kind) or pa.types.is_boolean(kind)) and len(column.unique()) > 1)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))
