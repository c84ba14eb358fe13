"""One column's profile against another's: the cells that both are counted in, their distances and their chance. Pure.

NaN, the infinities and missing values are cells of their own, behind (that below none: before) all numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from heliostat.data import distances
from heliostat.data.frequencies import Frequencies
from heliostat.data.histograms import MANTISSA, Histogram
from heliostat.data.profiles import ColumnProfile, Numbers

Counts = NDArray[np.float64]
Distance = Literal["kolmogorov-smirnov", "jensen-shannon", "psi", "wasserstein", "l-infinity"]
_BINS: Final = 20
"""Of the histogram for Jensen-Shannon and L∞, each of as much of the reference as the next."""
_PSI_BINS: Final = 10
_CATEGORIES: Final = 20
"""Numbers with no more different values are tested as categories: for few values KS is too careful."""
_TEXTS: Final = 1000
"""The reference's most frequent texts, which are compared one by one where not all are counted."""
_SINGLE_PRECISION: Final = 16
"""Binary digits that a float32 copy of a number surely shares with it."""


@dataclass(frozen=True)
class Comparison:
    """How far apart two columns are."""

    distances: Mapping[Distance, float]
    p: float
    notes: tuple[str, ...] = ()


def compared(reference: ColumnProfile, window: ColumnProfile) -> Comparison:
    """Compare columns of the same kind, or of which one has no values; both have rows."""
    if "text" in (reference.kind, window.kind):
        return _compared_texts(reference, window)
    return _compared_numbers(reference, window)


@dataclass(frozen=True)
class _Cells:
    """Counts of numbers in the same cells, in order."""

    values: Counts
    then: Counts
    now: Counts
    odd_then: Counts
    """Minus infinity, infinity, NaN, missing."""
    odd_now: Counts
    is_exact: bool

    def ordered(self) -> tuple[Counts, Counts]:
        """All cells, those that are empty in both left out."""
        then, now = (
            np.concatenate((odd[:1], counts, odd[1:]))
            for odd, counts in ((self.odd_then, self.then), (self.odd_now, self.now))
        )
        filled = (then + now) > 0
        return then[filled], now[filled]

    def binned(self, bins: int) -> tuple[Counts, Counts]:
        """The numbers in bins of equal weight on the reference, and the odd cells that are filled."""
        places = _places(self.then if self.then.sum() else self.now, bins)
        then, now = (np.bincount(places, weights=counts) for counts in (self.then, self.now))
        filled = (self.odd_then + self.odd_now) > 0
        return np.concatenate((then, self.odd_then[filled])), np.concatenate((now, self.odd_now[filled]))


def _compared_numbers(reference: ColumnProfile, window: ColumnProfile) -> Comparison:
    cells = _cells(reference, window)
    then, now = cells.ordered()
    ks = distances.kolmogorov_smirnov(now, then)
    found: dict[Distance, float] = {"kolmogorov-smirnov": ks}
    as_bins, reference_bins = cells.binned(_BINS)[::-1]
    found["jensen-shannon"] = distances.jensen_shannon(as_bins, reference_bins)
    found["l-infinity"] = distances.largest_difference(as_bins, reference_bins)
    found["psi"] = distances.psi(*cells.binned(_PSI_BINS)[::-1])
    notes = []
    deviation = _deviation(reference)
    if cells.then.sum() and cells.now.sum():
        apart = distances.wasserstein(cells.values, cells.now, cells.then)
        if deviation:
            found["wasserstein"] = apart / deviation
        else:
            notes.append(f"the reference is constant: Wasserstein's distance is {apart:.4g} in the column's own unit")
    is_category = cells.is_exact and len(then) <= _CATEGORIES
    chance = distances.chi_squared_p(now, then) if is_category else distances.kolmogorov_smirnov_p(ks, now.sum(), then.sum())
    if set(reference.types) != set(window.types) and "empty" not in (reference.kind, window.kind):
        notes.append(f"the type is {window.type} and was {reference.type}")
    return Comparison(found, chance, tuple(notes))


def _deviation(reference: ColumnProfile) -> float:
    """The standard deviation of the reference's numbers; 0 where all are the same, or none is there."""
    finite = reference.numbers.finite if reference.numbers else None
    return finite.moments.deviation if finite is not None and finite.least < finite.greatest else 0.0


def _cells(reference: ColumnProfile, window: ColumnProfile) -> _Cells:
    histograms = [_histogram(each.numbers) for each in (reference, window)]
    known = [each for each in histograms if each is not None]
    odd = [_odd(each) for each in (reference, window)]
    if not known:
        return _Cells(np.empty(0), np.empty(0), np.empty(0), odd[0], odd[1], True)
    coarse = [each.shift for each in known if not each.is_exact]
    shift = max(coarse) if coarse else min(each.shift for each in known)
    if set(reference.types) != set(window.types):
        shift = max(shift, MANTISSA - _SINGLE_PRECISION)  # a float32 copy of a column is the same column
    at_shift = [None if each is None else each.at(shift) for each in histograms]
    codes = np.unique(np.concatenate([each.codes for each in at_shift if each is not None]))
    then, now = (_spread(codes, each) for each in at_shift)
    is_exact = not coarse and all(each is None or each.is_exact for each in at_shift)
    values = Histogram(shift, is_exact, codes, np.ones(len(codes), np.int64)).values
    return _Cells(values, then, now, odd[0], odd[1], is_exact)


def _histogram(numbers: Numbers | None) -> Histogram | None:
    return None if numbers is None or numbers.finite is None else numbers.finite.histogram


def _odd(column: ColumnProfile) -> Counts:
    numbers = column.numbers or Numbers(0, 0, 0, None)
    return np.array([numbers.negative_infinity, numbers.positive_infinity, numbers.nan, column.missing], np.float64)


def _spread(codes: NDArray[np.int64], histogram: Histogram | None) -> Counts:
    counts = np.zeros(len(codes))
    if histogram is not None:
        counts[np.searchsorted(codes, histogram.codes)] = histogram.counts
    return counts


def _places(weights: Counts, bins: int) -> NDArray[np.int64]:
    """Of each cell, in which of so many equally heavy bins its middle lies. One that fills more than a bin is alone in one."""
    if not len(weights):
        return np.empty(0, np.int64)
    share = weights.sum() / bins
    places = np.minimum((weights.cumsum() - weights / 2) / share, bins - 1).astype(np.int64)
    alone = weights > share
    starts = np.concatenate(([True], (places[1:] != places[:-1]) | alone[1:] | alone[:-1]))
    found: NDArray[np.int64] = starts.cumsum() - 1
    return found


def _compared_texts(reference: ColumnProfile, window: ColumnProfile) -> Comparison:
    then, now, notes = _categories(reference.texts or _NO_TEXTS, window.texts or _NO_TEXTS)
    then, now = np.append(then, reference.missing), np.append(now, window.missing)
    filled = (then + now) > 0
    then, now = then[filled], now[filled]
    found: dict[Distance, float] = {
        "jensen-shannon": distances.jensen_shannon(now, then),
        "l-infinity": distances.largest_difference(now, then),
        "psi": distances.psi(now, then),
    }
    return Comparison(found, distances.chi_squared_p(now, then), notes)


_NO_TEXTS: Final = Frequencies(pa.array([], pa.string()), np.empty(0, np.int64), 0)


def _categories(then: Frequencies, now: Frequencies) -> tuple[Counts, Counts, tuple[str, ...]]:
    """Counts of the same texts, and last of all others."""
    notes = _notes(then, now)
    is_whole = then.distinct is None and now.distinct is None
    values = then.values
    if is_whole:
        values = pa.concat_arrays([values, now.values]).unique()
    elif len(values) > _TEXTS:
        values = values[:_TEXTS]
    counts = (_counts(values, each) for each in (then, now))
    ours, theirs = (np.append(each, total - each.sum()) for each, total in zip(counts, (then.count, now.count), strict=True))
    return ours, theirs, notes


def _counts(values: pa.Array, texts: Frequencies) -> Counts:
    places = pc.index_in(values, texts.values) if len(texts.values) else pa.nulls(len(values), pa.int32())
    found = places.is_valid().to_numpy(zero_copy_only=False)
    counts = np.zeros(len(values))
    counts[found] = texts.counts[places.drop_null().to_numpy()]
    return counts


def _notes(then: Frequencies, now: Frequencies) -> tuple[str, ...]:
    notes = []
    if then.distinct is not None or now.distinct is not None:
        notes.append(
            f"about {now.estimated_distinct:,} different texts, and there were {then.estimated_distinct:,}: "
            "only the reference's frequent ones are told apart"
        )
    elif unseen := _unseen(then, now):
        notes.append(f"texts that the reference does not have: {unseen}")
    return tuple(notes)


def _unseen(then: Frequencies, now: Frequencies) -> str:
    is_new = pc.invert(pc.is_in(now.values, then.values)) if len(now.values) else pa.array([], pa.bool_())
    new, counts = now.values.filter(is_new), now.counts[is_new.to_numpy(zero_copy_only=False)]
    named = ", ".join(f"{value!r} ({count:,} times)" for value, count in zip(new[:5].to_pylist(), counts[:5], strict=True))
    return named + (f" and {len(new) - 5:,} more" if len(new) > 5 else "")
