from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("river", reason="river is in the extra monitoring")

from heliostat.monitoring.concept_drift import concept_drift
from heliostat.spec.watches import Detector

RANDOM = np.random.default_rng(0)


def stream(shift, rows=2_000, scale=1.0, seed=1):
    random = np.random.default_rng(seed)
    return np.concatenate([random.normal(0, 1, rows), random.normal(shift, 1, rows)]) * scale


@pytest.mark.parametrize("detector", Detector)
def test_a_change_is_found_soon_after_it_came_and_a_steady_stream_has_none(detector):
    rows = 600 if detector is Detector.KSWIN else 2_000
    reference = np.random.default_rng(2).normal(0, 1, 2_000)
    found = concept_drift(detector, stream(2.0, rows), reference)
    assert rows < found.changes[0].row < rows + 120
    assert found.changes[0].before == pytest.approx(0, abs=0.2) and found.changes[-1].after == pytest.approx(2, abs=0.2)
    assert concept_drift(detector, stream(0.0, rows), reference).changes == ()


@pytest.mark.parametrize("detector", [Detector.ADWIN, Detector.PAGE_HINKLEY])
@pytest.mark.parametrize("scale", [0.001, 100.0])
def test_the_unit_of_a_stream_does_not_decide_what_is_found(detector, scale):
    reference = np.random.default_rng(2).normal(0, 1, 2_000)
    usual, other = (
        concept_drift(detector, stream(1.0), reference),
        concept_drift(detector, stream(1.0) * scale, reference * scale),
    )
    assert [change.row for change in usual.changes] == [change.row for change in other.changes] != []
    assert other.smallest == pytest.approx(usual.smallest * scale)


@pytest.mark.parametrize("detector", [Detector.ADWIN, Detector.PAGE_HINKLEY])
def test_a_row_without_a_number_blinds_no_detector(detector):
    given = stream(1.0)
    given[[5, 100, 101]] = [np.nan, np.inf, -np.inf]
    found = concept_drift(detector, given, np.append(np.random.default_rng(2).normal(0, 1, 2_000), np.nan))
    assert found.changes and found.skipped == 3
    assert found.changes[0].row > 2_000, "rows are counted with those that were passed over"


def test_one_row_far_from_all_others_is_no_change():
    given = stream(0.0)
    given[1_000] = 1e12
    assert concept_drift(Detector.PAGE_HINKLEY, given, stream(0.0)).changes == ()


def test_errors_of_yes_and_no_are_a_stream_too_and_what_stays_unseen_is_told():
    random = np.random.default_rng(3)
    errors = np.concatenate([random.random(10_000) < 0.2, random.random(10_000) < 0.3]).astype(float)
    found = concept_drift(Detector.ADWIN, errors, errors[:5_000])
    assert [10_000 < change.row < 13_000 for change in found.changes] == [True]
    assert 0.02 < found.smallest < 0.05


def test_a_long_stream_is_looked_at_in_means_of_as_many_rows(monkeypatch):
    from heliostat.monitoring import concept_drift as module

    monkeypatch.setitem(module._MOST_UPDATES, Detector.ADWIN, 1_000)
    found = concept_drift(Detector.ADWIN, stream(0.5, 5_000), stream(0.0))
    assert found.batch == 10 and 5_000 < found.changes[0].row < 7_000
    assert found.changes[0].row % 10 == 0


@pytest.mark.parametrize(
    ("given", "reference", "reason"),
    [
        (np.zeros(100), np.ones(1_000), "the reference is 1 in every row"),
        (np.zeros(100), np.ones(99), "the reference has 99 numbers, fewer than 100"),
        (np.full(100, np.nan), RANDOM.random(1_000), "the window has 0 numbers"),
        (np.zeros(0), RANDOM.random(1_000), "the window has 0 numbers"),
    ],
)
def test_what_cannot_be_told_has_its_reason(given, reference, reason):
    found = concept_drift(Detector.ADWIN, given, reference)
    assert reason in found.reason and found.changes == ()
