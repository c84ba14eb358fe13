"""A bounded sample of rows that come for days."""

from __future__ import annotations

import numpy as np
import pytest

from heliostat.analysis.reservoir import Reservoir


def filled(rows, most):
    sample = Reservoir(columns=2, most=most)
    for number in range(rows):
        sample.add(float(number), -float(number))
    return sample


def test_as_many_as_fit_are_all_kept_in_their_order():
    sample = filled(rows=5, most=5)
    assert (sample.rows, sample.columns.tolist()) == (5, [[0, 1, 2, 3, 4], [0, -1, -2, -3, -4]])


def test_without_rows_it_is_empty():
    assert (Reservoir(columns=3).rows, Reservoir(columns=3).columns.shape) == (0, (3, 0))


def test_more_are_counted_exactly_but_kept_only_as_many_as_fit_and_their_columns_stay_together():
    sample = filled(rows=20_000, most=1_000)
    ours, theirs = sample.columns
    assert (sample.rows, len(ours), len(set(ours))) == (20_000, 1_000, 1_000)
    assert (ours == -theirs).all()


def test_every_row_is_kept_with_the_same_chance_whenever_it_came():
    kept, _ = filled(rows=20_000, most=1_000).columns
    quarters = np.histogram(kept, bins=4, range=(0, 20_000))[0]
    assert quarters == pytest.approx([250] * 4, abs=60)


def test_the_same_rows_make_the_same_sample():
    assert (filled(5_000, 100).columns == filled(5_000, 100).columns).all()
