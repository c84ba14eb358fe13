"""Profiles: what is known of each column of a table, as a value that merges with those of other rows. Pure.

`Profile.merged` of parts is the profile of all their rows: exactly for counts, histograms and texts with few different values,
to rounding for moments and correlations, and within a stated error for texts with more than `frequencies.LIMIT` values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from heliostat.data.correlations import Correlations
from heliostat.data.distinct import Distinct, hashed_numbers
from heliostat.data.frequencies import Frequencies
from heliostat.data.histograms import Histogram
from heliostat.data.moments import Moments

VERSION: Final = 1
"""Of the profiles' form; another one is refused where a profile is read."""
_WORTH_THREADS: Final = 2_000
"""Columns of parts that are merged."""
Kind = Literal["number", "text", "mixed", "empty", "unsupported"]


@dataclass(frozen=True)
class Numbers:
    """What is known of a column's numbers. Times count as microseconds since 1970, dates as days."""

    nan: int
    positive_infinity: int
    negative_infinity: int
    finite: FiniteNumbers | None
    """None where there is no finite number."""

    @property
    def count(self) -> int:
        """All that are not missing, NaN and infinities included."""
        return self.nan + self.positive_infinity + self.negative_infinity + (self.finite.moments.count if self.finite else 0)

    @staticmethod
    def merged(parts: Sequence[Numbers]) -> Numbers:
        """Of all parts."""
        finite = [each.finite for each in parts if each.finite is not None]
        return Numbers(
            sum(each.nan for each in parts),
            sum(each.positive_infinity for each in parts),
            sum(each.negative_infinity for each in parts),
            FiniteNumbers.merged(finite) if finite else None,
        )


@dataclass(frozen=True)
class FiniteNumbers:
    """What is known of numbers that are neither NaN nor infinite; one at least."""

    least: float
    greatest: float
    moments: Moments
    histogram: Histogram
    distinct: Distinct | None = None
    """Of how many different ones; None where the histogram says it, or where it was not asked for."""

    @staticmethod
    def merged(parts: Sequence[FiniteNumbers]) -> FiniteNumbers:
        """Of all parts."""
        if len(parts) == 1:
            return parts[0]
        histogram = Histogram.merged([each.histogram for each in parts])
        return FiniteNumbers(
            min(each.least for each in parts),
            max(each.greatest for each in parts),
            Moments.merged([each.moments for each in parts]),
            histogram,
            None if histogram.is_exact else _distinct(parts),
        )

    def quantile(self, share: float) -> float:
        """The histogram's, within the least and the greatest."""
        return min(max(self.histogram.quantile(share), self.least), self.greatest)

    @property
    def estimated_distinct(self) -> int | None:
        """How many different numbers there are; None where nobody counted."""
        if self.histogram.is_exact:
            return len(self.histogram.codes)
        return None if self.distinct is None else self.distinct.estimate

    @property
    def distinct_error(self) -> float | None:
        """The relative standard error of that estimate; 0 where it is exact, None where nobody counted."""
        if self.histogram.is_exact:
            return 0.0
        return None if self.distinct is None else self.distinct.error


def _distinct(parts: Sequence[FiniteNumbers]) -> Distinct | None:
    """Of a histogram that has become too coarse to tell; parts whose own still tells have their numbers there."""
    if any(each.distinct is None and not each.histogram.is_exact for each in parts):
        return None
    return Distinct.merged([each.distinct or Distinct.of(hashed_numbers(each.histogram.values)) for each in parts])


@dataclass(frozen=True)
class ColumnProfile:
    """What is known of one column."""

    types: tuple[str, ...]
    """Arrow's names of its types, sorted: several where parts differ. `null` counts only where there is no other."""
    rows: int
    """Of the parts that have the column."""
    missing: int
    numbers: Numbers | None = None
    texts: Frequencies | None = None
    """Of texts and booleans; `true` and `false` are what booleans are called."""
    lengths: Numbers | None = None
    """Of lists: how many items each has."""

    @property
    def kind(self) -> Kind:
        """What its values are."""
        if self.numbers is not None:
            return "number" if self.texts is None else "mixed"
        if self.texts is not None:
            return "text"
        return "empty" if self.types == ("null",) else "unsupported"

    @property
    def present(self) -> int:
        """Rows with a value."""
        return self.rows - self.missing

    @property
    def type(self) -> str:
        """Its type, or all of them."""
        return " | ".join(self.types)

    @staticmethod
    def merged(parts: Sequence[ColumnProfile]) -> ColumnProfile:
        """Of all parts."""
        types = {name for each in parts for name in each.types}
        numbers = [each.numbers for each in parts if each.numbers is not None]
        texts = [each.texts for each in parts if each.texts is not None]
        lengths = [each.lengths for each in parts if each.lengths is not None]
        return ColumnProfile(
            tuple(sorted(types - {"null"} or types)),
            sum(each.rows for each in parts),
            sum(each.missing for each in parts),
            Numbers.merged(numbers) if numbers else None,
            Frequencies.merged(texts) if texts else None,
            Numbers.merged(lengths) if lengths else None,
        )


@dataclass(frozen=True)
class Profile:
    """What is known of a table."""

    rows: int
    columns: Mapping[str, ColumnProfile]
    correlations: Correlations | None = None
    label: str | None = None
    by_class: Mapping[str, Profile] = field(default_factory=dict)
    """Of the rows of each class of the label, where it has at most `CLASSES`."""
    notes: tuple[str, ...] = ()
    """What was asked for and could not be had, and why."""

    CLASSES: ClassVar[int] = 20

    def __add__(self, other: Profile) -> Profile:
        return Profile.merged([self, other])

    @staticmethod
    def merged(profiles: Iterable[Profile]) -> Profile:
        """The profile of the rows of all; at least one. Ones with other labels have no classes together, which a note says."""
        parts = list(profiles)
        if not parts:
            raise ValueError("there is no profile to merge: give one at least")
        if len(parts) == 1:
            return parts[0]
        columns = _columns(parts)
        # One without rows has no correlations, and takes none away.
        correlated = [each.correlations for each in parts if each.rows]
        known = [each for each in correlated if each is not None]
        notes = dict.fromkeys(note for each in parts for note in each.notes)
        label, by_class, more = _classes([each for each in parts if each.rows] or parts)
        return Profile(
            sum(each.rows for each in parts),
            columns,
            Correlations.merged(known) if known and len(known) == len(correlated) else None,
            label,
            by_class,
            (*notes, *(note for note in more if note not in notes)),
        )


def _columns(parts: Sequence[Profile]) -> dict[str, ColumnProfile]:
    """Each column of all parts, in two threads where that is worth them: numpy and Arrow compute beside each other."""
    names = list(dict.fromkeys(name for each in parts for name in each.columns))

    def merged(name: str) -> ColumnProfile:
        return ColumnProfile.merged([each.columns[name] for each in parts if name in each.columns])

    if len(names) * len(parts) < _WORTH_THREADS:
        return {name: merged(name) for name in names}
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(names, pool.map(merged, names), strict=True))


def _classes(parts: Sequence[Profile]) -> tuple[str | None, Mapping[str, Profile], tuple[str, ...]]:
    labels = {each.label for each in parts}
    if len(labels) > 1:
        named = ", ".join(sorted(map(repr, labels)))
        return None, {}, (f"no profiles by class: the parts have different labels ({named}); make them with the same one",)
    (label,) = labels
    classes = dict.fromkeys(name for each in parts for name in each.by_class)
    complete = label is not None and all(each.by_class or not each.rows for each in parts)
    if not complete:
        return label, {}, ()
    if len(classes) > Profile.CLASSES:
        return label, {}, (too_many_classes(label or "", len(classes)),)
    return (
        label,
        {name: Profile.merged([each.by_class[name] for each in parts if name in each.by_class]) for name in classes},
        (),
    )


def too_many_classes(label: str, count: int) -> str:
    """Why there are no profiles by class."""
    return f"no profiles by class: the label {label!r} has {count} values, and at most {Profile.CLASSES} are told apart"
