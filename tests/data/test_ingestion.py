"""From rows as they came to splits: newest rows, times, labels of people, and what the train split alone gets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from heliostat.data.ingestion import Counted, Ingestion, labelled, newest, prepared, require_rows, split, with_times
from heliostat.data.late_rows import late
from heliostat.data.splits import TimeSplit
from heliostat.spec.ingestion import DataSettings

FILES = {"kind": "files", "uri": "file:///rows"}
QUERY = {
    "kind": "query", "database": {"kind": "sqlite", "path": "/x.db"}, "query": "SELECT 1", "cursor": "at",
}  # fmt: skip
BY_TIME = {
    "kind": "time", "column": "at", "validationFrom": "2026-03-05T00:00:00Z", "testFrom": "2026-03-05T08:00:00Z",
}  # fmt: skip
NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)


def ingestion(**given: Any) -> Ingestion:
    by_group = {"kind": "group", "column": "id", "validation": 0.2, "test": 0.2}
    return Ingestion.model_validate({"source": FILES, "label": "late", "split": by_group, **given})


def rows(count: int = 10, **columns: Any) -> pa.Table:
    times = [NOON + timedelta(hours=number - 5) for number in range(count)]
    given = {"id": list(range(count)), "at": pa.array(times, pa.timestamp("us", "UTC")), "late": [n % 2 for n in range(count)]}
    return pa.table({**given, **columns})


def test_of_rows_with_the_same_key_the_newest_counts():
    table = pa.table({"a": ["x", "y", "x", None, None], "b": [1, 1, 1, 1, 1], "n": [0, 1, 2, 3, 4]})
    assert newest(table, ("a", "b"))["n"].to_pylist() == [1, 2, 3, 4], "rows without a key are each by themselves"
    assert newest(table, ("b",))["n"].to_pylist() == [4]


def test_rows_from_the_moment_on_and_without_a_time_are_left_out_and_counted():
    counted = Counted()
    found = prepared(ingestion(time="at", until=NOON), rows(), None, counted)
    assert found["id"].to_pylist() == [0, 1, 2, 3, 4]
    assert counted.notes == ["5 of 10 rows are left out: at is from 2026-03-05T12:00:00+00:00 on, or missing"]
    naive = rows(at=pa.array([datetime(2026, 3, 5, 11, 59), *[datetime(2026, 3, 5, 12)] * 8, None]))
    assert prepared(ingestion(time="at", until=NOON), naive, None, Counted())["id"].to_pylist() == [0]


LATEST = {"kind": "latest", "column": "at", "validation": "PT1H", "test": "PT2H"}


def test_the_latest_rows_before_until_are_tested_with():
    wanted = ingestion(time="at", until=NOON, split=LATEST)
    found = split(wanted, prepared(wanted, rows(), None, Counted()), None, Counted())
    assert [table["id"].to_pylist() for _, table in found] == [[0, 1], [2], [3, 4]]
    later = wanted.settled(DataSettings(until=NOON + timedelta(hours=2)))
    found = split(later, prepared(later, rows(), None, Counted()), None, Counted())
    assert [table["id"].to_pylist() for _, table in found] == [[0, 1, 2, 3], [4], [5, 6]]


def test_the_latest_rows_are_those_before_a_moment_that_somebody_names():
    undated = ingestion(time="at", split=LATEST)
    with pytest.raises(ValueError, match=r"latest rows before a moment: name it in `data\.until`"):
        undated.settled(None)
    assert undated.settled(DataSettings(until=NOON)).until == NOON
    with pytest.raises(ValidationError, match="the latest rows are told by 'at', and `until` is of `other`"):
        ingestion(time="other", split=LATEST)


def test_labels_of_people_are_joined_and_the_newest_counts():
    labels = pa.table({"id": [3, 1, 3, 99, 2], "label": ["a", "b", "c", "d", None], "when": [9, 5, 7, 1, 1]})
    given = {"files": FILES, "on": "id", "time": "when"}
    wanted = ingestion(labels=given)
    counted = Counted()
    found = prepared(wanted, rows().drop_columns(["late"]), labels, counted)
    assert dict(zip(found["id"].to_pylist(), found["late"].to_pylist(), strict=True)) == {1: "b", 3: "a"}
    assert counted.notes == ["8 of 10 rows are left out: nobody has labelled them"]
    assert wanted.labels is not None
    with pytest.raises(ValueError, match="the labels have no column 'id'; they have label, when"):
        labelled(rows(), labels.drop_columns(["id"]), wanted.labels, "late")


def test_a_label_of_no_row_is_of_none_and_nan_takes_no_earlier_labels_place():
    wanted = ingestion(labels={"files": FILES, "on": "id"})
    assert wanted.labels is not None
    table = pa.table({"id": ["a", None, "c"]})
    labels = pa.table({"id": [None, "a", "a", "c"], "label": [9.0, 1.0, float("nan"), float("nan")]})
    assert labelled(table, labels, wanted.labels, "late").to_pylist() == [{"id": "a", "late": 1.0}]


def test_further_rows_are_made_of_the_train_split_and_reach_no_other():
    table = rows(200)
    seen = []

    def twice(train: pa.Table) -> pa.Table:
        seen.append(train.num_rows)
        return train

    counted = Counted()
    found = split(ingestion(augment="w.a:twice"), table, twice, counted)
    plain = split(ingestion(), table, None, Counted())
    assert seen == [plain.train.num_rows]
    assert found.train.num_rows == 2 * plain.train.num_rows
    assert (found.validation, found.test) == (plain.validation, plain.test)
    assert not {*found.train["id"].to_pylist()} & {*found.test["id"].to_pylist(), *found.validation["id"].to_pylist()}
    assert counted.notes[-1] == f"{plain.train.num_rows} rows of the train split are made by w.a:twice"
    with pytest.raises(ValueError, match="other columns than the train split: more"):
        split(ingestion(augment="w.a:twice"), table, lambda train: train.append_column("more", train["id"]), Counted())


def test_further_rows_whose_values_do_not_fit_are_told_by_column_and_without_a_value():
    table = rows(50)
    given = ingestion(augment="w.a:more")
    more = pa.table({"id": [0.5, 1.5], "at": table["at"][:2], "late": ["no", "yes"]})
    with pytest.raises(ValueError, match=r"w\.a:more .*'id' is double, and int64 .*; 'late' is string, and int64") as told:
        split(given, table, lambda train: more, Counted())
    assert "0.5" not in str(told.value) and "yes" not in str(told.value)
    fitting = more.set_column(0, "id", pa.array([7.0, 8.0])).set_column(2, "late", pa.array([True, False]))
    assert split(given, table, lambda train: fitting, Counted()).train["id"].to_pylist()[-2:] == [7, 8]


def test_where_a_split_has_no_row_it_is_told_what_became_of_them():
    wanted, counted = ingestion(time="at", until="2020-01-01T00:00:00Z"), Counted()
    found = split(wanted, prepared(wanted, rows(), None, counted), None, counted)
    with pytest.raises(ValueError, match=r"in the train, the validation, the test split, 0 are .* 10 of 10 rows are left out"):
        require_rows(found, counted)
    require_rows(split(ingestion(), rows(200), None, Counted()), Counted())


def test_rows_that_happened_before_the_last_data_set_and_came_after_are_late():
    wanted = ingestion(time="at", until=NOON)
    assert late(wanted, [rows()], [], NOON - timedelta(hours=2)) == 3
    assert late(wanted, [rows()], [], None) == 0


def test_a_row_that_came_again_as_it_was_is_not_late():
    noon = NOON + timedelta(days=1)
    nan = float("nan")
    odd = {"size": [nan, None, *[1.0] * 8], "tags": [[1], None, [], *[[2]] * 7]}
    changed = {"size": [nan, None, 2.0, *[1.0] * 7], "tags": [[1], None, [], [3], *[[2]] * 6]}
    for key in (["id"], []):
        wanted = ingestion(time="at", key=key)
        assert late(wanted, [rows(**odd)], [rows(**odd)], noon) == 0
        assert (
            late(wanted, [rows(**changed)], [rows(5, **{name: each[:5] for name, each in odd.items()}), rows(**odd)], noon)
            == 2
        ), "two rows are others now"
    wanted = ingestion(time="at", key=["id"])
    assert late(wanted, [rows(3), rows(3)], [], noon) == 3, "what was read twice since came late once"
    assert late(wanted, [rows(12)], [rows(), rows(5)], noon) == 2
    other_type = rows(late=[str(n) for n in range(10)])
    assert late(wanted, [rows()], [other_type], noon) == 10


@pytest.mark.parametrize(
    "text", ["2026-03-05T07:00:00", "2026-03-05 07:00:00Z", "2026-03-05T12:00:00.000+05:00", "2026-03-05 07:00"]
)
def test_text_is_read_as_a_time_and_counts_as_utc_where_it_says_no_zone(text):
    table = rows(at=[text, "2026-03-05T12:00:00Z", None, *["2026-03-06"] * 7])
    wanted = ingestion(time="at", until=NOON, split=BY_TIME)
    found = prepared(wanted, table, None, Counted())
    assert found["at"].to_pylist() == [datetime(2026, 3, 5, 7, tzinfo=UTC)]
    assert split(wanted, found, None, Counted()).validation.num_rows == 1
    assert late(wanted, [table], [], NOON) == 1
    nothing = rows(at=pa.nulls(10))
    assert prepared(wanted, nothing, None, Counted()).num_rows == 0
    assert prepared(ingestion(), rows(at=["at noon"] * 10), None, Counted())["at"].to_pylist() == ["at noon"] * 10


def test_texts_that_are_no_times_are_named():
    table = rows(at=["2026-03-05", "noon", "", "noon", *[f"at {n}" for n in range(6)]])
    text = "the column 'at' holds texts that are no times: 'noon', '', 'at 0', 'at 1', 'at 2' and 3 more; give ISO"
    with pytest.raises(ValueError, match=text):
        prepared(ingestion(time="at", until=NOON), table, None, Counted())
    with pytest.raises(ValueError, match="the column 'at' is of type bool: a time is needed"):
        prepared(ingestion(time="at", until=NOON), rows(at=[True] * 10), None, Counted())


def test_what_does_not_fit_together_is_told_at_once():
    with pytest.raises(ValidationError, match=r"`until` is a moment of `time`.*name the columns that tell them in `key`"):
        ingestion(source=QUERY, until=NOON)
    with pytest.raises(ValueError, match=r"rows of a query are taken up to a moment: name it in `data\.until`"):
        ingestion(source=QUERY, key=["id"]).settled(None)
    with pytest.raises(ValueError, match="the rows have no column 'gone'"):
        prepared(ingestion(key=["gone"]), rows(), None, Counted())
    with pytest.raises(ValueError, match="the column 'id' is of type int64: a time is needed"):
        prepared(ingestion(time="id", until=NOON), rows(), None, Counted())


def test_a_stack_says_from_where_and_up_to_when():
    settings = DataSettings.model_validate({"source": {"kind": "files", "uri": "s3://b/rows"}, "until": NOON})
    found = ingestion(time="at").settled(settings)
    assert (found.source.uri, found.until) == ("s3://b/rows", NOON)
    assert ingestion().settled(None) == ingestion()


def test_a_time_that_utc_s_calendar_does_not_have_is_told_as_a_text_that_is_none():
    with pytest.raises(ValueError, match=r"holds texts that are no times: '0001-01-01T00:00:00\+14:00'"):
        with_times(pa.table({"at": ["0001-01-01T00:00:00+14:00", "2026-03-01"]}), "at")
    with pytest.raises(ValueError, match="not between the years 1 and 9999 in UTC"):
        TimeSplit(column="at", validation_from="0001-01-01T00:00:00+14:00", test_from="2026-03-01")
