import pytest

from bench.numbers import alternate, paired_ratio, rounded


def test_two_sides_are_measured_in_turn():
    order = []
    firsts, seconds = alternate(lambda: order.append("a") or 1.0, lambda: order.append("b") or 2.0, rounds=3)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert (firsts, seconds) == ([1.0] * 3, [2.0] * 3)


def test_a_drift_that_meets_both_sides_leaves_the_ratio_as_it_is():
    fast, slow = [100.0, 50.0, 25.0], [50.0, 25.0, 12.5]
    assert paired_ratio(fast, slow) == 2.0


def test_one_bad_round_does_not_decide():
    assert paired_ratio([20.0, 21.0, 1.0], [10.0, 10.0, 10.0]) == 2.0


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], [0.0]), ([1.0, 2.0], [1.0])])
def test_what_has_no_ratio_is_an_error(first, second):
    with pytest.raises(ValueError, match="no ratio"):
        paired_ratio(first, second)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, 0.0), (1.2345, 1.23), (12.36, 12.4), (123.4, 123.0), (1234.4, 1234.0), (0.12345, 0.123), (-1.21, -1.21)],
)
def test_values_are_rounded_to_what_a_measurement_is_worth_and_never_below_whole_numbers(value, shown):
    assert rounded(value) == shown
