"""Sums that no order changes."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliostat.federated import exact

DOUBLES = st.floats(min_value=-1e15, max_value=1e15, allow_nan=False)


@given(st.lists(st.lists(DOUBLES, min_size=3, max_size=3), min_size=1, max_size=8), st.randoms())
def test_a_sum_is_the_same_whatever_the_order(rows: list[list[float]], random: object) -> None:
    vectors = [np.array(row) for row in rows]
    first = exact.total(vectors)
    random.shuffle(vectors)  # type: ignore[attr-defined]
    assert first.tobytes() == exact.total(vectors).tobytes()


@given(st.lists(DOUBLES, min_size=1, max_size=8))
def test_a_sum_is_that_of_the_numbers_rounded_once(values: list[float]) -> None:
    kept = [Fraction(value) for value in values]
    found = float(exact.total([np.array([value]) for value in values])[0])
    # A number below 2**-64 is cut off; the nearest double of the whole part and of the rest may be one off.
    assert abs(Fraction(found) - sum(kept)) <= Fraction(len(values), 2**64) + Fraction(math.ulp(found))


@given(st.lists(DOUBLES, min_size=1, max_size=8))
def test_a_number_and_its_negation_vanish(values: list[float]) -> None:
    words = exact.encode(np.array(values))
    assert not exact.add(words, exact.negated(words)).any()
    assert np.allclose(exact.decode(exact.negated(words)), -np.array(values), atol=2**-60)


@pytest.mark.parametrize(
    "value", [0.0, -0.0, 1.0, -1.0, 2.0**-64, -(2.0**-64), -1e-30, 1e-30, 0.1, -0.1, exact.LARGEST, -exact.LARGEST]
)
def test_a_number_comes_back(value: float) -> None:
    assert abs(float(exact.decode(exact.encode(np.array([value])))[0]) - value) <= 2.0**-64


def test_128_of_the_largest_still_fit() -> None:
    assert exact.total([np.array([-exact.LARGEST])] * 128)[0] == -128 * exact.LARGEST


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2 * exact.LARGEST])
def test_what_cannot_be_summed_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="a value is"):
        exact.encode(np.array([1.0, value]))


def test_of_nothing_there_is_no_sum() -> None:
    with pytest.raises(ValueError, match="nothing to sum"):
        exact.total([])
