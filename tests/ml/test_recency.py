"""Weights of rows by their age."""

from __future__ import annotations

import numpy as np
import pytest

from heliostat.ml.recency import recency

DAY = 86_400


def test_a_row_counts_half_after_its_half_life() -> None:
    assert recency([0, 10 * DAY, 20 * DAY], 10).tolist() == [0.25, 0.5, 1.0]


def test_parts_of_the_data_are_weighed_alike_from_one_time() -> None:
    whole = recency([0, 5 * DAY, 10 * DAY], 10)
    assert recency([0, 5 * DAY], 10, newest=10 * DAY).tolist() == whole[:2].tolist()
    assert recency([20 * DAY], 10, newest=10 * DAY).tolist() == [1.0], "none counts for more than the newest"


def test_no_rows_have_no_weights() -> None:
    assert recency([], 1).tolist() == []


@pytest.mark.parametrize("half_life", [0.0, -1.0, float("nan")])
def test_a_half_life_that_is_none_is_refused(half_life: float) -> None:
    with pytest.raises(ValueError, match="give days above 0"):
        recency([0], half_life)


def test_times_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="1 of 2 times are none"):
        recency([0.0, np.nan], 1)
