from __future__ import annotations

from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest

from heliostat.monitoring.skew import skew

TOLERANCE = 1e-5


def of(training, serving):
    found = skew(pa.table({"x": training}), pa.table({"x": serving}), TOLERANCE)
    return found.features["x"] if found.features else found


def test_the_same_features_on_both_paths_are_no_skew():
    table = pa.table({"x": [1.0, None, float("nan"), float("inf")], "c": ["a", None, "b", "c"], "n": [1, 2, None, 4]})
    found = skew(table, table, TOLERANCE)
    assert [feature.differing for feature in found.features.values()] == [0, 0, 0]
    assert (found.lacking, found.extra, found.types, found.reason) == ((), (), {}, "")


def test_a_float32_copy_and_another_type_of_the_same_numbers_are_no_skew():
    values = np.random.default_rng(0).normal(size=1_000) * 1e6
    assert of(pa.array(values), pa.array(values.astype(np.float32))).differing == 0
    assert of(pa.array([1, 0]), pa.array([True, False])).differing == 0
    assert of(pa.array(["a", "b"]), pa.array(["a", "b"]).dictionary_encode()).differing == 0
    assert of(pa.array(["a"], pa.large_string()), pa.array(["a"])).differing == 0


def test_times_of_another_unit_are_compared_as_far_as_the_coarser_one_tells():
    training = pa.array([1_600_000_000_000, 1_600_000_000_000], pa.timestamp("ms"))
    serving = pa.array([1_600_000_000_000_000_001, 1_600_000_001_000_000_000], pa.timestamp("ns"))
    found = of(training, serving)
    assert (found.differing, found.examples[0].row) == (1, 1)


def test_what_is_nearly_nothing_beside_the_columns_spread_is_no_difference():
    assert of(pa.array([0.0, 100.0, -100.0]), pa.array([1e-9, 100.0, -100.0])).differing == 0
    assert of(pa.array([0.0, 100.0, -100.0]), pa.array([1.0, 100.0, -100.0])).differing == 1


def test_a_value_on_one_path_alone_is_a_difference_and_counted_apart():
    found = of(pa.array([1.0, None, 3.0]), pa.array([1.0, 0.0, 4.0]))
    assert (found.differing, found.missing) == (2, 1)
    assert of(pa.array(["a", None]), pa.array([None, None], pa.string())).missing == 1


def test_the_same_distance_in_all_rows_is_told_as_one_and_so_is_the_same_factor():
    hours = np.arange(24.0)
    shifted = of(pa.array(hours), pa.array(hours + 5))
    assert shifted.shift == pytest.approx(5) and shifted.factor is None and "serving is +5 beyond training" in shifted.text
    scaled = of(pa.array(hours[1:]), pa.array(hours[1:] * 1.609))
    assert scaled.factor == pytest.approx(1.609) and scaled.shift is None
    random = of(pa.array(hours), pa.array(np.random.default_rng(0).random(24)))
    assert random.shift is None and random.factor is None
    assert of(pa.array([1.0, 2.0]), pa.array([9.0, 2.0])).shift is None, "one row tells no system"


def test_infinities_that_differ_are_a_difference():
    found = of(pa.array([np.inf, np.inf]), pa.array([np.inf, -np.inf]))
    assert found.differing == 1 and found.shift is None


def test_the_schema_of_both_paths_is_compared_by_name_and_kind():
    training = pa.table({"x": [1.0], "gone": [1], "kind": ["a"]})
    found = skew(training, pa.table({"x": [1.0], "new": [1], "kind": [1]}), TOLERANCE)
    assert found.lacking == ("gone",) and found.extra == ("new",) and found.types == {"kind": ("string", "int64")}
    assert list(found.features) == ["x"], "the rest of the report stands"


def test_differences_are_shown_with_their_rows():
    found = of(pa.array(["a", "b", "c"]), pa.array(["a", "B", "c"]))
    assert found.text == "1 of 3 rows differ; row 1: 'b' ÷ 'B'"
    times = [datetime(2026, 1, 1, 5), datetime(2026, 1, 1, 6)]
    assert of(pa.array(times), pa.array([times[0], times[0]])).differing == 1
    assert of(pa.array([[1, 2], None]), pa.array([[1, 3], None])).differing == 1


def test_rows_that_one_path_leaves_out_and_no_rows_are_told():
    assert "training made 2 rows of them and serving 1" in of(pa.array([1, 2]), pa.array([1])).reason
    assert of(pa.array([], pa.int64()), pa.array([], pa.int64())).reason == "there are no rows"


def test_numbers_too_large_to_be_added_up_are_compared_as_others_are() -> None:
    one, other = pa.table({"wing": [1e308, 1e308, -1.0]}), pa.table({"wing": [1e308, 1.5e308, -1.0]})
    wing = skew(one, other, 1e-5).features["wing"]
    assert (wing.rows, wing.differing) == (3, 1)
    assert wing.mean_training == pytest.approx(6.666666666666667e307)
    assert wing.mean_serving == pytest.approx(8.333333333333333e307)
    again = skew(pa.table({"wing": [0.5, 2.0]}), pa.table({"wing": [1e308, 1e308]}), 1e-5).features["wing"]
    assert again.differing == 2 and again.factor is None and again.mean_serving == pytest.approx(1e308)
