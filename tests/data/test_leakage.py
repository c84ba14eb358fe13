import numpy as np
import pyarrow as pa
import pytest

from heliostat.data.declared_leaks import leaks
from heliostat.data.leakage import after_event, groups_in_two, knows_label, near_duplicates
from heliostat.data.schema import Schema


def flights(rows: int = 3_000) -> pa.Table:
    generator = np.random.default_rng(0)
    delay = generator.normal(0, 20, rows)
    late = delay > 15
    departure = 1_700_000_000 + np.arange(rows) * 60
    return pa.table(
        {
            "distance": generator.gamma(2, 500, rows),
            "carrier": generator.choice(["AA", "UA", "DL"], rows),
            "delay": delay,
            "status": np.where(late, "LATE", "ON TIME"),
            "reason": pa.array(generator.choice(["weather", "crew"], rows), mask=~late),
            "name": [f"flight-{number}" for number in range(rows)],
            "departure": pa.array(departure, pa.timestamp("s")),
            "arrival": pa.array(departure + 3_600, pa.timestamp("s")),
            "booked": pa.array(departure - 3_600, pa.timestamp("s")),
            "late": late,
        }
    )


def test_the_columns_that_know_the_label_are_found_and_no_others():
    found = knows_label(flights(), "late")

    assert {leak.columns[0] for leak in found} == {"delay", "status", "reason"}
    assert "the column 'delay' alone predicts 'late' with ROC AUC" in found[0].text


def test_a_number_that_is_the_label_in_another_unit_knows_it():
    generator = np.random.default_rng(1)
    label = generator.normal(size=2_000)
    rows = pa.table({"label": label, "same": label * 2.54 + 1, "related": label + generator.normal(size=2_000)})

    assert [leak.columns for leak in knows_label(rows, "label", limit=0.98)] == [("same",)]


def test_a_label_of_several_classes_is_told_apart():
    label = np.random.default_rng(2).choice(["x", "y", "z"], 1_000)
    rows = pa.table(
        {"label": label, "code": np.char.add("code-", label), "noise": np.random.default_rng(3).normal(size=1_000)}
    )

    assert [leak.columns for leak in knows_label(rows, "label")] == [("code",)]


def test_mistakes_of_names_and_labels_are_told():
    with pytest.raises(ValueError, match="columns are not there: 'gone'"):
        knows_label(flights(10), "late", ["gone"])
    with pytest.raises(ValueError, match="has 1 values in 3 rows"):
        knows_label(pa.table({"late": [True] * 3}), "late")
    with pytest.raises(ValueError, match="'distance' is not there, or is no timestamp"):
        after_event(flights(10), "distance")


def test_a_time_after_the_event_is_found_with_its_rows():
    (found,) = after_event(flights(), "departure")

    assert found.columns == ("arrival",)
    assert found.value == 3_000
    assert found.rows == tuple(range(10))


def test_a_feature_that_the_schema_knows_only_later_is_found():
    columns = {"delay": {"type": "double", "knownAtPrediction": False}, "distance": {"type": "double"}}
    schema = Schema.model_validate({"columns": columns})

    assert [leak.columns for leak in after_event(flights(), "departure", schema, ["delay", "distance"])] == [("delay",)]
    assert after_event(flights(), "departure", schema, ["distance"]) == ()


def test_groups_in_two_splits_are_named():
    train, test = pa.table({"customer": [1, 2, 3, None]}), pa.table({"customer": [3, 3, 4, None]})

    (found,) = groups_in_two({"train": train, "test": test}, "customer")

    assert (found.value, found.rows) == (2.0, ("3",))
    assert "split by group" in found.text
    assert groups_in_two({"train": train, "test": test.slice(2)}, "customer") == ()


def test_near_duplicates_across_splits_are_found_and_like_rows_are_not():
    train = flights(2_000)
    test = flights(2_500).slice(2_000).select(["distance", "carrier", "delay"])
    copied = train.slice(100, 3).select(["distance", "carrier", "delay"])
    moved = copied.set_column(0, "distance", pa.array(copied["distance"].to_numpy() + 0.01))
    other = copied.set_column(1, "carrier", pa.array(["XX"] * 3))

    (found,) = near_duplicates(
        {"train": train, "test": pa.concat_tables([test, moved, other])}, ["distance", "carrier", "delay"]
    )

    assert found.value == 3
    assert found.rows == ((100, 500), (101, 501), (102, 502))


def test_many_rows_that_are_alike_are_each_named_with_the_first_of_theirs():
    def rows(first: str, second: str) -> pa.Table:  # so many that holding each to each would take hours
        return pa.table({"kind": [first, second] * 200_000, "size": [1.0, 2.0] * 200_000})

    (found,) = near_duplicates({"train": rows("a", "b"), "test": rows("c", "b")}, ["kind", "size"])

    assert found.value == 200_000
    assert found.rows[:3] == ((1, 1), (1, 3), (1, 5))


def test_rows_that_miss_the_same_are_duplicates():
    one = pa.table({"x": pa.array([1.0, None, 3.0]), "y": pa.array(["a", None, "b"])})

    (found,) = near_duplicates({"train": one, "test": one.slice(1, 1)}, ["x", "y"])

    assert found.rows == ((1, 0),)
    assert near_duplicates({"train": one, "test": one.slice(0, 0)}, ["x", "y"]) == ()
    with pytest.raises(ValueError, match="no columns are named"):
        near_duplicates({"train": one, "test": one}, [])


def test_a_date_after_the_event_is_found_and_one_of_the_same_day_is_not():
    at = pa.array([1_700_000_000, 1_700_000_000 + 86_400, None], pa.timestamp("s"))  # 2023-11-14, 22:13
    same, later = ["2023-11-14", "2023-11-15", "2023-11-14"], ["2023-11-14", "2024-03-14", "2024-03-14"]
    days = [pa.array(each).cast(pa.date32()) for each in (same, later)]
    rows = pa.table(
        {"at": at, "day": days[0], "closed": days[1], "closed_64": days[1].cast(pa.date64()), "far": at.cast("timestamp[us]")}
    )

    assert [(leak.columns, leak.rows) for leak in after_event(rows, "at")] == [(("closed",), (1,)), (("closed_64",), (1,))]
    assert [leak.columns for leak in after_event(rows, "day")] == [("closed",), ("closed_64",)]
    zone = rows.set_column(0, "at", pa.array([1_700_000_000 + 7_200] * 3, pa.timestamp("s", "America/New_York")))
    assert after_event(zone, "at", None, ["day"]) == (), "in UTC it is the next day already"
    naive = pa.array([1_700_000_000 + 7_201] * 3, pa.timestamp("s"))
    (found,) = after_event(zone.append_column("naive", naive), "at", None, ["naive"])
    assert found.value == 3, "a time without a zone is one of UTC"


def test_an_infinity_does_not_make_all_rows_near_duplicates():
    generator = np.random.default_rng(5)
    train, test = generator.normal(size=500), generator.normal(size=500)
    splits = {"train": pa.table({"x": np.append(train, np.inf)}), "test": pa.table({"x": np.append(test, -np.inf)})}
    assert near_duplicates(splits, ["x"], tolerance=1e-9) == ()
    same = {**splits, "validation": pa.table({"x": [np.inf, train[7], 5.0]})}
    (found,) = near_duplicates({name: same[name] for name in ("train", "validation")}, ["x"], tolerance=1e-9)
    assert found.rows == ((500, 0), (7, 1))
    huge = {"train": pa.table({"x": [1e300, 2e300, 3e300]}), "test": pa.table({"x": [1.5e300, 2e300]})}
    (found,) = near_duplicates(huge, ["x"])
    assert found.rows == ((1, 1),), "numbers that are great are told apart"


def test_rows_whose_label_is_not_finite_are_left_out_and_counted():
    label = np.random.default_rng(6).normal(size=1_000)
    given = np.concatenate([label, [np.nan, np.inf, -np.inf]])
    rows = pa.table({"label": given, "same": np.concatenate([label, [0, 0, 0]])})
    (found,) = knows_label(rows, "label")
    assert found.text.endswith("(limit 0.99), without 3 rows whose label is missing, NaN or infinite")
    two = pa.table({"label": [*[0.0, 1.0] * 20, np.nan], "same": [*[5.0, 6.0] * 20, 5.0]})
    assert "without 1 rows" in knows_label(two, "label")[0].text
    with pytest.raises(ValueError, match="has 1 values in 1 rows"):
        knows_label(pa.table({"label": [1.0, np.nan], "same": [1.0, 2.0]}), "label")
    schema = Schema.model_validate(
        {"label": "label", "columns": {"label": {"type": "double"}}, "leakage": {"knowsLabel": 0.9}}
    )
    assert list(leaks(schema, pa.table({"label": [1.0, np.nan]}), {})) == []
