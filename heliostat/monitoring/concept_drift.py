"""Changes in a stream, found by river's detectors: the extra `monitoring` has it.

These detectors are as good as what they are fed. A NaN silences two of them for good, so none reaches them; ADWIN reckons with
numbers between 0 and 1 and Page and Hinkley's test with its own unit, so each stream is brought to the scale of its reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from heliostat.ml.extras import require
from heliostat.spec.base import Model, is_empty
from heliostat.spec.watches import Detector

Numbers = NDArray[np.float64]
_MOST_UPDATES: Final[Mapping[Detector, int]] = {
    Detector.ADWIN: 50_000,
    Detector.KSWIN: 4_000,
    Detector.PAGE_HINKLEY: 50_000,
}
"""Beyond so many, means of as many rows each are looked at: a detector is Python, row by row, and KSWIN's a test a row."""
_LEAST_REFERENCE: Final = 100
_LEAST_STREAM: Final = 30
_DEVIATIONS: Final = 6.0
"""What is further from the reference's mean than that is taken as so far: one row is no change."""


class StreamDetector(Protocol):
    """What is used of a detector of river's."""

    @property
    def drift_detected(self) -> bool:
        """Whether the last number ended a change."""

    def update(self, x: float) -> Any:
        """Take the next number."""


class Change(Model):
    """A place in a stream from which it is another."""

    row: int
    """Of the rows that were given, in their order."""
    before: float
    """The mean from the change before, or the beginning, up to it."""
    after: float
    """The mean from it to the next, or the end."""


class ConceptDrift(Model):
    """What a detector found in a stream."""

    detector: Detector
    rows: int
    changes: tuple[Change, ...] = ()
    skipped: int = 0
    """Rows that hold no finite number; they are passed over."""
    batch: int = 1
    """How many rows each number is the mean of that the detector took."""
    reason: str = Field(default="", exclude_if=is_empty)
    """Why nothing can be told."""
    smallest: float | None = None
    """About the smallest lasting change of the mean that so many rows would have told: what is smaller stays unseen."""


def concept_drift(detector: Detector, stream: Numbers, reference: Numbers) -> ConceptDrift:
    """The changes in a stream.

    Args:
        detector: Which method.
        stream: A number a row, in the order of time: errors, or predictions.
        reference: The same of the reference; it says what is usual, and is not searched.

    Raises:
        ModuleNotFoundError: the extra is not installed.
    """
    finite = np.isfinite(stream)
    known, rows = reference[np.isfinite(reference)], np.flatnonzero(finite)
    found = ConceptDrift(detector=detector, rows=len(stream), skipped=int((~finite).sum()))
    if len(known) < _LEAST_REFERENCE:
        return found.model_copy(update={"reason": f"the reference has {len(known)} numbers, fewer than {_LEAST_REFERENCE}"})
    if len(rows) < _LEAST_STREAM:
        return found.model_copy(update={"reason": f"the window has {len(rows)} numbers, fewer than {_LEAST_STREAM}"})
    mean, deviation = float(known.mean()), float(known.std())
    if deviation <= 1e-12 * max(1.0, abs(mean)):
        return found.model_copy(update={"reason": f"the reference is {mean:g} in every row: there is no scale to measure by"})
    batch = -(-len(rows) // _MOST_UPDATES[detector])
    whole = len(rows) // batch * batch
    means = stream[rows[:whole]].reshape(-1, batch).mean(axis=1)
    scaled = np.clip((means - mean) / deviation * np.sqrt(batch), -_DEVIATIONS, _DEVIATIONS)
    places = rows[np.array(_detected(detector, scaled), dtype=np.int64) * batch]
    changes = _changes(stream, places, rows)
    smallest = _SENSITIVITY[detector](len(scaled)) * deviation / np.sqrt(batch)
    return found.model_copy(update={"changes": changes, "batch": batch, "smallest": float(smallest)})


def _detected(detector: Detector, scaled: Numbers) -> list[int]:
    """Where changes were told, as numbers of what was taken."""
    require("river", extra="monitoring")
    stream = _DETECTORS[detector]()
    given = (scaled + _DEVIATIONS) / (2 * _DEVIATIONS) if detector is Detector.ADWIN else scaled
    found = []
    for place, value in enumerate(given.tolist()):
        stream.update(value)
        if stream.drift_detected:
            found.append(place)
    return found


def _changes(stream: Numbers, places: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[Change, ...]:
    edges = [int(rows[0]), *places.tolist(), len(stream)]
    parts = [stream[start:end] for start, end in pairwise(edges)]
    means = [float(part[np.isfinite(part)].mean()) if np.isfinite(part).any() else np.nan for part in parts]
    return tuple(
        Change(row=place, before=before, after=after)
        for place, before, after in zip(edges[1:-1], means, means[1:], strict=False)
        if np.isfinite(before) and np.isfinite(after)
    )


def _adwin() -> Any:
    from river.drift import ADWIN

    return ADWIN(delta=0.002)


def _kswin() -> Any:
    from river.drift import KSWIN

    # The test is made at every row: at its own .005 one in 200 would be an alarm.
    return KSWIN(alpha=0.00001, window_size=300, stat_size=100, seed=0)


def _page_hinkley() -> Any:
    from river.drift import PageHinkley

    return PageHinkley(min_instances=30, delta=0.1, threshold=40.0, alpha=1.0)


_DETECTORS: Final[Mapping[Detector, Callable[[], StreamDetector]]] = {
    Detector.ADWIN: _adwin,
    Detector.KSWIN: _kswin,
    Detector.PAGE_HINKLEY: _page_hinkley,
}


def _smallest_of_adwin(rows: int) -> float:
    """ADWIN's own bound for a change in the middle, in standard deviations of the reference."""
    half = rows / 4  # the harmonic mean of two halves, of which each has half of the rows
    log = np.log(2 * np.log(max(rows, 3)) / 0.002)
    spread = 1 / (2 * _DEVIATIONS)
    return float((np.sqrt(2 / half * spread**2 * log) + 2 / (3 * half) * log) / spread)


_SENSITIVITY: Final[Mapping[Detector, Callable[[int], float]]] = {
    Detector.ADWIN: _smallest_of_adwin,
    Detector.KSWIN: lambda rows: 1.0,
    Detector.PAGE_HINKLEY: lambda rows: 0.1 + 40.0 / max(1, rows / 2),
}
"""In standard deviations of the reference. KSWIN compares 100 rows with as many, however long the stream is."""
