"""Skew between training and serving: what the same rows become on both paths.

Rows of the log are made into features once more as a training would make them; those that the replica made, or logged, are
held against them row by row. Distributions of other rows are a matter of drift, and `heliostat.data`'s.
"""

from __future__ import annotations

from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from heliostat.data.columns import reads_as_number
from heliostat.spec.base import Model, is_empty, is_none

_MOST_SHOWN: Final = 3
_LARGE: Final = 1e100
"""Squares of so many numbers as memory holds have a finite sum up to here."""


class Difference(Model):
    """A row in which a feature is another on each path."""

    row: int
    training: str
    serving: str


class FeatureSkew(Model):
    """A feature that both paths make."""

    rows: int
    differing: int
    """Rows whose values are further apart than the tolerance, or there on one path alone."""
    missing: int = 0
    """Of these, rows where one path has a value and the other none."""
    shift: float | None = Field(default=None, exclude_if=is_none)
    """What serving is beyond training by, where that is the same in all that differ: an hour of a zone."""
    factor: float | None = Field(default=None, exclude_if=is_none)
    """What training is multiplied by to be serving's, where that is the same: another unit."""
    mean_training: float | None = Field(default=None, exclude_if=is_none)
    mean_serving: float | None = Field(default=None, exclude_if=is_none)
    """The means over all rows: the distributions beside each other."""
    examples: tuple[Difference, ...] = ()
    note: str = Field(default="", exclude_if=is_empty)
    """What else there is to know of it."""

    @property
    def share(self) -> float:
        """Of the rows that differ."""
        return self.differing / self.rows if self.rows else 0.0

    @property
    def text(self) -> str:
        """What differs, in words."""
        told = f"{self.differing} of {self.rows} rows differ"
        told += f", {self.missing} of them because one path has no value" if self.missing else ""
        told += f"; serving is {self.shift:+g} beyond training in all of them" if self.shift is not None else ""
        told += f"; serving is {self.factor:g} times training in all of them" if self.factor is not None else ""
        told += "".join(f"; row {each.row}: {each.training} ÷ {each.serving}" for each in self.examples[:1])
        return told + (f"; {self.note}" if self.note else "")


class Skew(Model):
    """Both paths beside each other."""

    rows: int
    lacking: tuple[str, ...] = ()
    """Features that training makes and serving does not."""
    extra: tuple[str, ...] = ()
    """Features that serving makes and training does not."""
    types: dict[str, tuple[str, str]] = Field(default_factory=dict)
    """Features of kinds that cannot be compared: training's type and serving's."""
    features: dict[str, FeatureSkew] = Field(default_factory=dict)
    reason: str = Field(default="", exclude_if=is_empty)
    """Why nothing can be told."""

    def differs(self, name: str) -> bool:
        """Whether a feature that both paths make differs in any row."""
        return name in self.features and self.features[name].differing > 0

    def with_note(self, name: str, note: str) -> Self:
        """The same with something to know of a feature; one that cannot be compared has none."""
        if name not in self.features:
            return self
        return self.model_copy(
            update={"features": {**self.features, name: self.features[name].model_copy(update={"note": note})}}
        )


def skew(training: pa.Table, serving: pa.Table, relative_tolerance: float) -> Skew:
    """Hold features of the same rows, in the same order, against each other.

    Args:
        training: As a training makes them.
        serving: As the replica made them.
        relative_tolerance: How far a number may be off; against the larger of both and the column's own spread, so that what
            is near 0 is no difference.
    """
    names, others = training.column_names, serving.column_names
    found = Skew(
        rows=training.num_rows,
        lacking=tuple(name for name in names if name not in others),
        extra=tuple(name for name in others if name not in names),
    )
    if training.num_rows != serving.num_rows:
        text = f"training made {training.num_rows} rows of them and serving {serving.num_rows}: one of both leaves rows out"
        return found.model_copy(update={"reason": text})
    if not training.num_rows:
        return found.model_copy(update={"reason": "there are no rows"})
    types: dict[str, tuple[str, str]] = {}
    features: dict[str, FeatureSkew] = {}
    for name in (name for name in names if name in others):
        one, other = training[name].combine_chunks(), serving[name].combine_chunks()
        if reads_as_number(one.type) and reads_as_number(other.type):
            features[name] = _of_numbers(one, other, relative_tolerance)
        elif _family(one.type) == _family(other.type):
            features[name] = _of_values(one, other)
        else:
            types[name] = (str(one.type), str(other.type))
    return found.model_copy(update={"types": types, "features": features})


def _of_numbers(one: pa.Array, other: pa.Array, tolerance: float) -> FeatureSkew:
    ours, theirs = _numbers(one), _numbers(other)
    unsaid = np.isnan(ours) != np.isnan(theirs)
    both = ~np.isnan(ours) & ~np.isnan(theirs)
    with np.errstate(invalid="ignore", over="ignore"):
        spread = _spread(ours)
        allowed = tolerance * np.maximum(np.maximum(np.abs(ours), np.abs(theirs)), spread)
        gaps = np.abs(ours - theirs)
        apart = both & (ours != theirs) & ~(np.isfinite(gaps) & (gaps <= allowed))
    off = apart | unsaid
    finite = apart & np.isfinite(ours) & np.isfinite(theirs)
    shift, factor = (
        _system(ours[finite], theirs[finite], tolerance) if apart.any() and (finite == apart).all() else (None, None)
    )
    return FeatureSkew(
        rows=len(ours), differing=int(off.sum()), missing=int(unsaid.sum()), shift=shift, factor=factor,
        mean_training=_mean(ours), mean_serving=_mean(theirs), examples=_examples(one, other, off),
    )  # fmt: skip


def _system(ours: NDArray[np.float64], theirs: NDArray[np.float64], tolerance: float) -> tuple[float | None, float | None]:
    """The same distance or the same factor in all rows, of two rows at least."""
    if len(ours) < 2:
        return None, None
    near = max(tolerance, 1e-9)
    with np.errstate(over="ignore"):
        gaps = theirs - ours
        shift = _same(gaps, near * max(np.abs(gaps).max(), np.abs(ours).max()))
        if shift is not None or (ours == 0).any():
            return shift, None
        factors = theirs / ours
    return None, _same(factors, near * np.abs(factors).max())


def _same(values: NDArray[np.float64], within: float) -> float | None:
    """What all values are, so nearly; None where they differ, or one is too large to be said."""
    mean = _mean(values) if np.isfinite(values).all() else None
    return mean if mean is not None and np.abs(values - mean).max() <= within else None


def _of_values(one: pa.Array, other: pa.Array) -> FeatureSkew:
    ours, theirs = (_plain(column) for column in (one, other))
    if ours.type != theirs.type:
        theirs = theirs.cast(ours.type, safe=False)  # the coarser of two times is the same time
    unsaid = pc.xor(pc.is_null(ours), pc.is_null(theirs)).to_numpy(zero_copy_only=False)
    apart = pc.fill_null(pc.not_equal(ours, theirs), False).to_numpy(zero_copy_only=False)
    off = np.asarray(unsaid | apart, dtype=bool)
    return FeatureSkew(
        rows=len(ours), differing=int(off.sum()), missing=int(unsaid.sum()), examples=_examples(one, other, off)
    )


def _examples(one: pa.Array, other: pa.Array, off: NDArray[np.bool_]) -> tuple[Difference, ...]:
    rows = np.flatnonzero(off)[:_MOST_SHOWN].tolist()
    return tuple(Difference(row=row, training=_shown(one[row]), serving=_shown(other[row])) for row in rows)


def _shown(value: pa.Scalar) -> str:
    return repr(value.as_py())[:80]


def _plain(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_large_string(column.type):
        return column.cast(pa.string())
    return column if _family(column.type) in ("text", "time") else pa.array([_text(value) for value in column], pa.string())


def _text(value: pa.Scalar) -> str | None:
    """What lists and structs are compared by."""
    return None if not value.is_valid else repr(value.as_py())


def _numbers(column: pa.Array) -> NDArray[np.float64]:
    cast = column if pa.types.is_floating(column.type) else column.cast(pa.float64(), safe=False)
    return np.asarray(cast.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False), dtype=np.float64)


def _mean(values: NDArray[np.float64]) -> float | None:
    finite, largest = _scaled(values)
    return float(finite.mean()) * largest if len(finite) else None


def _spread(values: NDArray[np.float64]) -> float:
    finite, largest = _scaled(values)
    return float(finite.std()) * largest if len(finite) else 0.0


def _scaled(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """The finite values and what they are to be multiplied by: large ones are divided, so that neither they nor their squares
    have a sum that is infinite."""
    finite = values[np.isfinite(values)]
    largest = float(np.abs(finite).max(initial=0.0))
    return (finite / largest, largest) if largest > _LARGE else (finite, 1.0)


def _family(kind: Any) -> str:
    plain = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_string(plain) or pa.types.is_large_string(plain):
        return "text"
    if pa.types.is_timestamp(plain) or pa.types.is_date(plain) or pa.types.is_time(plain):
        return "time"
    return "list" if pa.types.is_nested(plain) else str(plain)
