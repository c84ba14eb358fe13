"""Whether a model's answers move its own later inputs.

Rows of one key follow each other in time. Where an input follows the answer before it, beyond what its own value before tells,
answers and inputs are tied. That is no proof: whatever moves both ties them as well. Rows that no answer reaches, a holdout,
tell the two apart: where an input is tied to answers that were never acted upon, they are not the cause.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from heliostat.data.codes import coded
from heliostat.data.columns import reads_as_number
from heliostat.monitoring.windows import micros
from heliostat.spec.base import Model, is_empty, is_none

Numbers = NDArray[np.float64]
_LEAST_PAIRS: Final = 100


class Tie(Model):
    """How an input follows the answer before it."""

    pairs: int
    """Rows that have a row of the same key before them."""
    correlation: float | None = None
    """Of the input with the answer before, both without what the input's own value before tells: partial."""
    p_value: float | None = None
    """That it is 0, among all columns (Holm)."""
    held_out: float | None = Field(default=None, exclude_if=is_none)
    """The same among those whom no answer reaches."""
    difference_p_value: float | None = Field(default=None, exclude_if=is_none)
    """That both are alike: where it is small the answers are what moves the input."""
    trend: float | None = Field(default=None, exclude_if=is_none)
    """How its strength grows from window to window, -1 to 1: Kendall's tau."""
    windows: int = Field(default=0, exclude_if=is_empty)
    """Those that the trend is of."""
    reason: str = Field(default="", exclude_if=is_empty)
    """Why it cannot be told."""


class Feedback(Model):
    """Of one window."""

    rows: int
    holdout_share: float | None = Field(default=None, exclude_if=is_none)
    """Of the rows; None where no column says which."""
    exploration: float | None = Field(default=None, exclude_if=is_none)
    """The share of decisions that are not the most usual one of their key: without any nothing else is learned."""
    ties: dict[str, Tie] = Field(default_factory=dict)


def feedback(table: pa.Table, prediction: Numbers, key: str, columns: tuple[str, ...], holdout: str | None) -> Feedback:
    """How answers and later inputs are tied.

    Args:
        table: `time`, the key, the columns and the holdout's, a row a prediction, in any order.
        prediction: What was answered to each row, one number.
        key: Whom or what a row is about.
        columns: Inputs that may follow answers; numbers and booleans.
        holdout: A boolean column, or None.
    """
    held = _flags(table[holdout]) if holdout is not None else None
    exploration = _exploration(table[key], prediction)
    share = float(held.mean()) if held is not None and len(held) else None
    before, after = _pairs(table, key, np.isfinite(prediction))
    ties = {name: _tie(_numbers(table[name]), prediction, before, after, held) for name in columns}
    return Feedback(rows=table.num_rows, holdout_share=share, exploration=exploration, ties=_corrected(ties))


def with_trends(found: Feedback, before: Sequence[Feedback]) -> Feedback:
    """The same with how each tie grew over the windows before, the oldest first."""
    ties = {}
    for name, tie in found.ties.items():
        past = [each.ties[name].correlation for each in before if name in each.ties]
        strengths = [each for each in (*past, tie.correlation) if each is not None]
        grown = trend(strengths) if tie.correlation is not None else None
        ties[name] = tie if grown is None else tie.model_copy(update={"trend": grown, "windows": len(strengths)})
    return found.model_copy(update={"ties": ties})


def trend(strengths: Sequence[float]) -> float | None:
    """How a tie grows from window to window: Kendall's tau of its strength with time, -1 to 1; None of fewer than four."""
    if len(strengths) < 4:
        return None
    from scipy.stats import kendalltau

    found = float(kendalltau(range(len(strengths)), np.abs(strengths)).statistic)
    return None if np.isnan(found) else found


def _pairs(table: pa.Table, key: str, answered: NDArray[np.bool_]) -> tuple[Any, Any]:
    """Rows and the ones that follow them, of the same key and at a later moment."""
    codes = coded(table[key]).codes
    times, there = micros(table["time"])
    usable = np.flatnonzero((codes >= 0) & there & answered)
    order = usable[np.lexsort((times[usable], codes[usable]))]
    same = (codes[order][1:] == codes[order][:-1]) & (times[order][1:] > times[order][:-1])
    return order[:-1][same], order[1:][same]


def _tie(values: Numbers, prediction: Numbers, before: Any, after: Any, held: NDArray[np.bool_] | None) -> Tie:
    finite = np.isfinite(values[before]) & np.isfinite(values[after])
    before, after = before[finite], after[finite]
    reached = ~held[before] if held is not None else np.ones(len(before), dtype=bool)
    found = _partial(values, prediction, before[reached], after[reached])
    if held is None or found.correlation is None:
        return found
    control = _partial(values, prediction, before[~reached], after[~reached])
    if control.correlation is None:
        return found.model_copy(update={"reason": f"of those held out {control.reason}"})
    gap = np.arctanh(found.correlation) - np.arctanh(control.correlation)
    z = gap / np.sqrt(1 / (found.pairs - 4) + 1 / (control.pairs - 4))
    return found.model_copy(update={"held_out": control.correlation, "difference_p_value": _two_sided(float(z))})


def _partial(values: Numbers, prediction: Numbers, before: Any, after: Any) -> Tie:
    """The correlation of the next value with the answer, given the value before, with Fisher's test of it."""
    if len(before) < _LEAST_PAIRS:
        return Tie(pairs=len(before), reason=f"{len(before)} rows follow another of their key, fewer than {_LEAST_PAIRS}")
    own = np.column_stack([np.ones(len(before)), values[before]])
    next_left, answer_left = (_without(each, own) for each in (values[after], prediction[before]))
    scale = float(np.sqrt((next_left @ next_left) * (answer_left @ answer_left)))
    # Of an answer that is made of the value alone nothing is left, but rounding.
    if scale <= 1e-12 * len(before) * max(1.0, float(np.var(values[after])), float(np.var(prediction[before]))):
        return Tie(pairs=len(before), reason="the answer, or the input, says no more than the input's own value before")
    correlation = float(np.clip(next_left @ answer_left / scale, -0.999999, 0.999999))
    z = np.arctanh(correlation) * np.sqrt(len(before) - 4)
    return Tie(pairs=len(before), correlation=correlation, p_value=_two_sided(float(z)))


def _without(values: Numbers, of: Numbers) -> Numbers:
    return np.asarray(values - of @ np.linalg.lstsq(of, values, rcond=None)[0], dtype=np.float64)


def _two_sided(z: float) -> float:
    from scipy.special import ndtr

    return float(2 * ndtr(-abs(z)))


def _corrected(ties: dict[str, Tie]) -> dict[str, Tie]:
    """Holm's correction for as many columns as there are."""
    told = sorted((tie.p_value, name) for name, tie in ties.items() if tie.p_value is not None)
    worst, found = 0.0, dict(ties)
    for place, (p_value, name) in enumerate(told):
        worst = max(worst, min(1.0, p_value * (len(told) - place)))
        found[name] = ties[name].model_copy(update={"p_value": worst})
    return found


def _exploration(key: pa.ChunkedArray, prediction: Numbers) -> float | None:
    """Of decisions from .5 on, where predictions are probabilities and keys come more than once."""
    codes = coded(key).codes
    told = np.isfinite(prediction) & (codes >= 0)
    codes, prediction = codes[told], prediction[told]
    if not len(prediction) or prediction.min() < 0 or prediction.max() > 1:
        return None
    ones, rows = np.bincount(codes, prediction >= 0.5), np.bincount(codes)
    again = rows > 1
    return float(np.minimum(ones, rows - ones)[again].sum() / rows[again].sum()) if again.any() else None


def _flags(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(column.cast(pa.bool_()), False).to_numpy(), dtype=bool)


def _numbers(column: pa.ChunkedArray) -> Numbers:
    kind = column.type
    if not reads_as_number(kind):
        return np.full(len(column), np.nan)
    return np.asarray(column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy(), dtype=np.float64)
