import json

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from heliostat.data.comparison import compared
from heliostat.data.drift import DriftReport, Limit, Limits, adjust, compare
from heliostat.data.profiles import Profile
from heliostat.data.profiling import DRIFT, Measures, profile


def report(then: dict, now: dict, **limits) -> DriftReport:
    return compare(profile(pa.table(then), DRIFT), profile(pa.table(now), DRIFT), Limits(**limits))


def only(then: object, now: object, **limits):
    (column,) = report({"x": then}, {"x": now}, **limits).columns
    return column


def normal(rows: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, rows)


def test_kolmogorov_smirnov_is_scipy_s_where_numbers_are_few():
    then, now = (np.random.default_rng(seed).integers(0, 1_000, 3_000) for seed in (0, 1))
    expected = stats.ks_2samp(then, now, method="asymp")
    found = only(then, now)

    assert found.distances["kolmogorov-smirnov"] == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue)


def test_kolmogorov_smirnov_is_scipy_s_but_for_a_bin_where_they_are_many():
    then, now = normal(50_000, 0), normal(40_000, 1, 0.1)
    found = only(then, now)

    assert found.distances["kolmogorov-smirnov"] == pytest.approx(stats.ks_2samp(then, now).statistic, abs=0.004)
    assert found.distances["wasserstein"] == pytest.approx(stats.wasserstein_distance(then, now) / then.std(), rel=0.02)


def test_texts_have_scipy_s_chi_squared_and_jensen_shannon():
    then, now = (np.random.default_rng(seed).choice(["a", "b", "c"], 2_000, p=[0.5, 0.3, 0.2]) for seed in (0, 1))
    table = np.array([[(each == value).sum() for value in "abc"] for each in (then, now)])
    found = only(then, now)

    assert found.p == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    assert found.distances["l-infinity"] == pytest.approx(np.abs(table[0] - table[1]).max() / 2_000)
    shares = table / 2_000
    assert found.distances["psi"] == pytest.approx(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def test_the_same_column_is_at_no_distance():
    found = only(normal(20_000, 0), normal(20_000, 0))

    assert set(found.distances.values()) == {0.0}
    assert (found.status, found.p) == ("stable", 1.0)


def test_a_small_shift_in_many_rows_is_significant_and_does_not_matter():
    found = only(normal(200_000, 0), normal(200_000, 1, 0.05))

    assert found.adjusted_p < 1e-6
    assert found.status == "stable"


def test_a_large_distance_of_few_rows_is_chance():
    found = only(normal(20_000, 0), normal(40, 3))

    assert found.distances["kolmogorov-smirnov"] > 0.05
    assert found.status == "stable"


def test_a_shift_alarms_and_the_farthest_is_named_first():
    rows = 5_000
    found = report(
        {"far": normal(rows, 0), "near": normal(rows, 1), "still": normal(rows, 2)},
        {"far": normal(rows, 3, 2), "near": normal(rows, 4, 0.3), "still": normal(rows, 5)},
    )

    assert [column.name for column in found.alarming] == ["far", "near"]
    assert "kolmogorov-smirnov 0." in found.alarming[0].text and "limit 0.05" in found.alarming[0].text
    assert found.as_json()["columns"]["still"]["status"] == "stable"


def test_a_report_is_json_however_far_a_column_is():
    found = report({"x": np.tile([0.1, 0.2], 250)}, {"x": np.tile([1e308, -1e308], 250)})

    assert found.columns[0].distances["wasserstein"] == float("inf")
    assert json.loads(json.dumps(found.as_json(), allow_nan=False))["columns"]["x"]["distances"]["wasserstein"] is None


@pytest.mark.parametrize("nothing", [None, float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_a_category_of_its_own(nothing):
    then = pa.array(normal(5_000, 0))
    now = pa.array([*normal(4_000, 1).tolist(), *[nothing] * 1_000], pa.float64())

    found = only(then, now)

    assert found.status == "drifted"
    assert found.distances["kolmogorov-smirnov"] == pytest.approx(0.2, abs=0.03)
    assert only(now, now).status == "stable"


def test_missing_and_nan_are_not_the_same():
    values = normal(1_000, 0).tolist()

    found = only(pa.array([*values, *[None] * 500]), pa.array([*values, *[float("nan")] * 500]))

    assert found.status == "drifted"


def test_texts_that_are_missing_are_a_category():
    assert only(pa.array(["a"] * 900 + [None] * 100), pa.array(["a"] * 600 + [None] * 400)).status == "drifted"


def test_a_float32_copy_is_the_same_column():
    for values in (normal(20_000, 0), np.round(np.random.default_rng(0).gamma(2, 5, 20_000), 2)):
        found = only(values, values.astype(np.float32))

        assert found.status == "stable"
        assert found.distances["kolmogorov-smirnov"] < 0.002
        assert found.notes == ("the type is float and was double",)


def test_a_column_that_became_constant_has_drifted():
    assert only(normal(1_000, 0), np.zeros(1_000)).status == "drifted"


def test_a_constant_reference_has_no_deviation_to_measure_by():
    found = only(np.ones(1_000), np.full(1_000, 3.0))

    assert found.status == "drifted"
    assert "wasserstein" not in found.distances
    assert "2 in the column's own unit" in found.notes[0]
    assert only(np.ones(1_000), np.ones(500)).status == "stable"


def test_a_limit_on_a_distance_that_is_not_there_is_said():
    found = only(np.ones(10), np.ones(10), columns={"x": Limit("wasserstein", 0.1)})

    assert found.status == "not compared"
    assert "there is no wasserstein of such a column" in found.text


def test_what_cannot_be_compared_is_said_and_the_rest_of_the_report_stands():
    then = {"x": normal(2_000, 0), "gone": normal(2_000, 1), "other": normal(2_000, 2), "odd": pa.array([{"a": 1}] * 2_000)}
    now = {"x": normal(2_000, 3, 1), "other": ["text"] * 2_000, "odd": pa.array([{"a": 1}] * 2_000), "extra": normal(2_000, 4)}

    statuses = {column.name: column.status for column in report(then, now).columns}

    assert statuses == {
        "x": "drifted",
        "gone": "vanished",
        "other": "changed type",
        "odd": "not compared",
        "extra": "new",
    }
    assert [column.name for column in report(then, now).alarming] == ["gone", "other", "x"]


def test_an_empty_window_is_told_as_one():
    found = only(normal(10, 0), np.empty(0))

    assert found.status == "not compared"
    assert "the window has no rows" in found.text


def test_a_window_in_which_all_is_missing_has_drifted():
    assert only(normal(1_000, 0), pa.nulls(1_000)).status == "drifted"
    assert only(["a", "b"] * 500, pa.nulls(1_000)).status == "drifted"
    assert only(pa.nulls(1_000), pa.nulls(1_000)).status == "stable"


def test_a_category_that_explodes_is_drift_and_its_number_is_said():
    texts = np.array([f"name-{number}" for number in range(20_000)])
    found = only(np.random.default_rng(0).choice(["a", "b"], 20_000), texts)

    assert found.status == "drifted"
    assert found.distances["l-infinity"] > 0.4
    assert "different texts, and there were 2" in found.notes[0]


def test_new_texts_are_named():
    found = only(["a"] * 100, ["a"] * 90 + ["b"] * 10)

    assert found.notes == ("texts that the reference does not have: 'b' (10 times)",)


def test_columns_that_are_in_neither_are_said():
    both = profile(pa.table({"x": [1.0]}), DRIFT)
    (found,) = compare(both, both, columns=["y"]).columns

    assert "neither the reference nor the window" in found.text


def test_holm_and_benjamini_hochberg_are_published_ones():
    chances = [0.01, 0.04, 0.03, 0.005]

    assert adjust(chances, "holm") == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjust(chances, "benjamini-hochberg") == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert adjust([], "holm") == []


def test_stable_windows_alarm_no_more_often_than_declared():
    generator = np.random.default_rng(8)
    reference = profile(pa.table({f"n{place}": generator.normal(size=20_000) for place in range(10)}), DRIFT)
    limits = Limits(numbers=Limit("kolmogorov-smirnov", 0.0))

    def alarms(window: pa.Table) -> bool:
        return bool(
            compare(reference, profile(window, Measures(correlations=False, distinct=False, threads=1)), limits).alarming
        )

    found = sum(alarms(pa.table({f"n{place}": generator.normal(size=500) for place in range(10)})) for _ in range(100))

    assert found <= stats.binom.ppf(0.999, 100, 0.05)


def test_what_a_reference_s_own_windows_do_is_no_drift():
    def window(shift: float, seed: int) -> Profile:
        return profile(pa.table({"x": normal(3_000, seed, shift)}), DRIFT)

    year = [window(shift, seed) for seed, shift in enumerate((-0.5, 0, 0.5, 0))]
    learned = Limits().learned_from(year)
    reference = Profile.merged(year)

    assert compare(reference, window(0.5, 9)).alarming
    assert not compare(reference, window(0.5, 9), learned).alarming
    assert compare(reference, window(1.5, 9), learned).alarming
    with pytest.raises(ValueError, match="give two or more"):
        Limits().learned_from(year[:1])


def test_merged_windows_are_compared_as_one():
    then = profile(pa.table({"x": normal(9_000, 0)}), DRIFT)
    whole = pa.table({"x": normal(9_000, 1, 0.2)})
    parts = [profile(whole.slice(first, 1_000), DRIFT) for first in range(0, 9_000, 1_000)]

    (merged,), (at_once,) = (compare(then, each).columns for each in (Profile.merged(parts), profile(whole, DRIFT)))

    assert (merged.status, merged.p) == (at_once.status, at_once.p)
    assert merged.distances == pytest.approx(at_once.distances)


def test_a_number_of_few_values_is_tested_as_a_category():
    then, now = (np.random.default_rng(seed).choice([0, 1], 1_000, p=[0.5, 0.5]) for seed in (0, 1))
    table = [[(each == value).sum() for value in (0, 1)] for each in (then, now)]
    columns = [profile(pa.table({"x": each}), DRIFT).columns["x"] for each in (then, now)]

    assert compared(*columns).p == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
