import datetime as dt
import math
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliostat.data import frequencies
from heliostat.data.parquet import profile_parquet
from heliostat.data.profiles import Profile
from heliostat.data.profiling import DRIFT, Measures, profile
from heliostat.data.storage import ProfileFormatError, from_bytes, to_bytes
from heliostat.data.summary import summary


def table(rows: int = 5_000, seed: int = 0) -> pa.Table:
    generator = np.random.default_rng(seed)
    normal = generator.normal(3, 2, rows)
    return pa.table(
        {
            "normal": pa.array(normal, mask=generator.random(rows) < 0.1),
            "related": normal + generator.normal(size=rows),
            "whole": generator.integers(0, 100, rows),
            "text": pa.array(generator.choice(["a", "b", "c"], rows, p=[0.6, 0.3, 0.1]), mask=generator.random(rows) < 0.2),
            "late": generator.random(rows) < 0.25,
            "time": pa.array(1_700_000_000 + generator.integers(0, 86_400, rows), pa.timestamp("s")).cast(pa.timestamp("us")),
            "items": pa.array([[1] * int(count) for count in generator.integers(0, 4, rows)]),
        }
    )


class Figures:
    """A profile's figures, equal to others but for what summing in another order leaves."""

    def __init__(self, found: Profile) -> None:
        self.summary = summary(found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Figures) and alike(self.summary, other.summary)


def alike(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(each, other[key]) for key, each in one.items())
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12)
    return bool(one == other)


def test_a_profile_has_what_pandas_and_numpy_have():
    rows = table()
    frame = rows.to_pandas()
    found = summary(profile(rows))["columns"]

    assert found["normal"]["missing"] == frame["normal"].isna().sum()
    assert found["normal"]["mean"] == pytest.approx(frame["normal"].mean())
    assert found["normal"]["std"] == pytest.approx(frame["normal"].std(ddof=0))
    assert found["normal"]["min"] == frame["normal"].min()
    assert found["whole"]["exact"] and found["whole"]["distinct"] == frame["whole"].nunique()
    assert found["whole"]["quantiles"]["0.95"] == frame["whole"].quantile(0.95)
    assert found["text"]["top"] == frame["text"].value_counts().to_dict()
    assert found["late"]["top"]["true"] == frame["late"].sum()
    assert found["time"]["min"] == frame["time"].min().value / 1_000
    assert found["items"]["lengths"]["max"] == 3


def test_correlations_are_pandas_over_the_rows_that_have_both():
    rows = table()
    found = summary(profile(rows))["correlations"]
    expected = rows.select(["normal", "related", "whole"]).to_pandas().corr()

    assert found["related"]["normal"] == pytest.approx(expected.loc["related", "normal"])
    assert found["whole"]["normal"] == pytest.approx(expected.loc["whole", "normal"])


def test_a_constant_column_correlates_with_nothing():
    found = summary(profile(pa.table({"constant": [1.0, 1.0, 1.0], "other": [1.0, 2.0, 4.0]})))

    assert found["correlations"]["other"]["constant"] is None
    assert found["columns"]["constant"]["skewness"] is None


@given(st.lists(st.integers(0, 700), max_size=4), st.permutations(range(5)))
@settings(max_examples=20, deadline=None)
def test_parts_and_their_order_do_not_matter(cuts, order):
    rows = table(700)
    edges = [0, *sorted(cuts), 700]
    parts = [rows.slice(first, last - first) for first, last in pairwise(edges)]
    shuffled = [parts[place] for place in order if place < len(parts)]

    merged = Profile.merged([profile(part, Measures(threads=1)) for part in shuffled])

    assert Figures(merged) == Figures(profile(rows, Measures(threads=1)))
    assert Figures(profile(shuffled, Measures(threads=1))) == Figures(merged)


def test_a_label_s_classes_have_a_profile_each():
    rows = table()
    frame = rows.to_pandas()
    found = summary(profile(rows, Measures(label="late")))["label"]

    assert found["classes"] == {"false": (~frame["late"]).sum(), "true": frame["late"].sum()}
    assert found["imbalance"] == pytest.approx((~frame["late"]).sum() / frame["late"].sum())
    assert found["by"]["normal"]["true"]["mean"] == pytest.approx(frame.loc[frame["late"], "normal"].mean())
    assert "late" not in found["by"]


def test_a_label_with_too_many_classes_has_none_and_a_note_says_so():
    found = profile(table(), Measures(label="whole"))

    assert found.by_class == {}
    assert "at most 20 are told apart" in found.notes[0]


def test_nan_infinities_and_missing_are_told_apart():
    values = pa.array([1.0, float("nan"), float("inf"), -float("inf"), None, None, 2.0])
    found = summary(profile(pa.table({"x": values})))["columns"]["x"]

    assert (found["missing"], found["nan"], found["positiveInfinity"], found["negativeInfinity"]) == (2, 1, 1, 1)
    assert (found["count"], found["mean"], found["max"]) == (2, 1.5, 2.0)


def test_numbers_whose_sum_is_too_large_are_finite_all_the_same():
    found = summary(profile(pa.table({"x": [1.7e308, 1.7e308, -1.0]})))["columns"]["x"]

    assert (found["count"], found["positiveInfinity"], found["max"], found["mean"]) == (3, 0, 1.7e308, None)


@pytest.mark.parametrize("values", [pa.array([], pa.float64()), pa.nulls(3), pa.array([None, None], pa.string())])
def test_columns_without_values_are_told_as_such(values):
    found = profile(pa.table({"x": values}))

    assert found.columns["x"].present == 0
    assert from_bytes(to_bytes(found)).columns["x"].missing == len(values)
    assert summary(found)["rows"] == len(values)


def test_a_part_where_a_column_has_no_value_takes_no_type_away():
    merged = profile([pa.table({"x": pa.nulls(2)}), pa.table({"x": [1.5]})])

    assert (merged.columns["x"].type, merged.columns["x"].missing) == ("double", 2)


def test_a_column_of_several_types_is_mixed_and_says_which():
    found = profile([pa.table({"x": [1.5]}), pa.table({"x": ["a"]})]).columns["x"]

    assert (found.kind, found.type, found.present) == ("mixed", "double | string", 2)


def test_what_has_no_figures_is_counted_and_noted():
    found = profile(pa.table({"x": pa.array([{"a": 1}, None])}))

    assert found.columns["x"].missing == 1
    assert "only its missing values are counted" in found.notes[0]


def test_texts_beyond_the_limit_keep_the_frequent_ones_within_the_error():
    generator = np.random.default_rng(0)
    values = np.where(generator.random(60_000) < 0.2, "often", generator.integers(0, 30_000, 60_000).astype(str))
    rows = pa.table({"x": values})
    exact = pd.Series(values).value_counts()

    for parts in ([rows], [rows.slice(first, 7_000) for first in range(0, 60_000, 7_000)]):
        texts = Profile.merged([profile(part) for part in parts]).columns["x"].texts
        assert len(texts.values) <= frequencies.LIMIT
        assert texts.error <= 60_000 / frequencies.LIMIT * 2
        assert exact["often"] - texts.error <= texts.counts[0] <= exact["often"]
        assert texts.estimated_distinct == pytest.approx(len(exact), rel=0.1)


def test_the_number_of_different_numbers_is_within_ten_percent():
    values = np.random.default_rng(1).normal(size=50_000)
    parts = np.split(values, [100, 30_000])
    merged = Profile.merged([profile(pa.table({"x": part})) for part in (*parts, values)])

    assert merged.columns["x"].numbers.finite.estimated_distinct == pytest.approx(50_000, rel=0.1)
    assert profile(pa.table({"x": values}), DRIFT).columns["x"].numbers.finite.estimated_distinct is None


def test_a_profile_comes_back_from_its_bytes_as_it_was():
    original = profile(table(), Measures(label="late"))
    restored = from_bytes(to_bytes(original))

    assert summary(restored) == summary(original)
    assert to_bytes(restored) == to_bytes(original)
    assert Figures(restored + restored) == Figures(original + original)


def test_other_bytes_and_other_versions_are_refused(monkeypatch):
    with pytest.raises(ProfileFormatError, match="that are no profile"):
        from_bytes(b"something else")
    monkeypatch.setattr("heliostat.data.storage.VERSION", 9)
    newer = to_bytes(profile(table(10)))
    monkeypatch.undo()
    with pytest.raises(ProfileFormatError, match="version 9, and 1 is read"):
        from_bytes(newer)


@pytest.mark.parametrize("measures", [DRIFT, Measures(label="late"), Measures(threads=1)])
def test_files_have_the_profile_of_their_rows(tmp_path, measures):
    rows = table()
    halves = [rows.slice(first, 2_500) for first in (0, 2_500)]
    for number, half in enumerate(halves):
        pq.write_table(half, tmp_path / f"{number}.parquet", row_group_size=700)

    found = profile_parquet([tmp_path / "0.parquet", tmp_path / "1.parquet"], measures)

    assert Figures(found) == Figures(Profile.merged([profile(half, measures) for half in halves]))


def test_a_file_without_rows_has_a_profile(tmp_path):
    pq.write_table(table(10).slice(0, 0), tmp_path / "empty.parquet")

    for measures in (DRIFT, Measures()):
        found = profile_parquet(tmp_path / "empty.parquet", measures)
        assert (found.rows, len(found.columns)) == (0, 7)


def test_dictionaries_and_plain_texts_are_counted_alike():
    texts = pa.array(["a", None, "b", "a"])
    coded = pa.DictionaryArray.from_arrays(pa.array([0, None, 1, 2]), pa.array(["a", "b", "a"]))

    plain, dictionary = (profile(pa.table({"x": each})) for each in (texts, coded))

    assert Figures(plain) == Figures(dictionary)


@pytest.mark.parametrize(
    ("values", "number"),
    [
        (pa.array([dt.date(1970, 1, 3)]), 2),
        (pa.array([dt.datetime(1970, 1, 1, 0, 0, 1)], pa.timestamp("ns")), 1e6),
        (pa.array([dt.timedelta(seconds=2)], pa.duration("ms")), 2e6),
        (pa.array([dt.time(0, 0, 3)], pa.time32("s")), 3e6),
        (pa.array([7], pa.uint8()), 7),
        (pa.array([1.5], pa.float32()), 1.5),
    ],
)
def test_times_and_narrow_numbers_are_numbers(values, number):
    assert profile(pa.table({"x": values})).columns["x"].numbers.finite.least == number


def test_mistakes_are_told():
    with pytest.raises(ValueError, match="give a table at least"):
        profile([])
    with pytest.raises(ValueError, match="'gone' is not among the 7 columns"):
        profile(table(10), Measures(label="gone"))
    with pytest.raises(ValueError, match="columns are there twice: 'x'"):
        profile(pa.table([[1], [2]], names=["x", "x"]))
    with pytest.raises(ValueError, match="no profile to merge"):
        Profile.merged([])


def test_too_many_columns_to_correlate_are_said_and_the_rest_stands():
    found = profile(pa.table({f"n{number}": [1.0, 2.0] for number in range(201)}))

    assert found.correlations is None
    assert "at most 200 are correlated" in found.notes[0]
    assert len(found.columns) == 201


def test_a_summary_says_how_far_off_its_counts_of_different_values_may_be():
    few, many = np.arange(9_000) % 7, np.arange(9_000)
    rows = pa.table({"few": few, "many": many + 0.5, "codes": few.astype(str), "names": many.astype(str)})
    found = summary(profile(rows))["columns"]
    assert [found[name]["distinctError"] for name in ("few", "codes")] == [0, 0]
    for name in ("many", "names"):
        assert found[name]["distinctError"] == pytest.approx(0.031, abs=0.001)
        assert abs(found[name]["distinct"] / 9_000 - 1) < 4 * found[name]["distinctError"]
