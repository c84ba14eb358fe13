from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliostat.monitoring import join as joining
from heliostat.monitoring.hashing import hashes, partitions_of
from heliostat.monitoring.join import Join, delay_quantiles, delays_of, partitions_for
from heliostat.monitoring.labels import labels_in
from heliostat.monitoring.log_health import health
from heliostat.monitoring.logged import Reading
from tests.monitoring.logs import NOW, labels, predictions

HOUR = timedelta(hours=1)


def joined(tmp_path, tables, label_tables, rows=1, **arguments):
    join = Join(tmp_path / uuid.uuid4().hex, rows, NOW, **arguments)
    for table in tables:
        join.add_predictions(table)
    for table in label_tables:
        join.add_labels(table)
    found = list(join.joined())
    return (pa.concat_tables(found) if found else None), join.counts


def test_each_prediction_comes_once_with_its_label_or_without(tmp_path):
    table, counts = joined(tmp_path, [predictions(["a", "b", "c"])], [labels(["c", "a"], [1, 0])])
    assert dict(zip(table["request_id"].to_pylist(), table["label"].to_pylist(), strict=True)) == {"a": 0, "b": None, "c": 1}
    assert (counts.predictions, counts.labelled, counts.labels, counts.coverage) == (3, 2, 2, 2 / 3)
    assert counts.problems == ()


def test_without_labels_and_without_predictions_nothing_is_wrong(tmp_path):
    table, counts = joined(tmp_path, [predictions(["a"])], [])
    assert table["label"].to_pylist() == [None] and counts.coverage == 0
    nothing, counts = joined(tmp_path, [], [])
    assert nothing is None and counts.coverage is None


def test_a_label_of_a_request_that_never_was_is_counted_and_said(tmp_path):
    _, counts = joined(tmp_path, [predictions(["a"])], [labels(["a", "x", "y"], [1, 1, 1])])
    assert counts.unknown == 2 and counts.labelled == 1
    assert "2 labels are of no prediction that was read" in counts.problems[0]
    _, counts = joined(tmp_path, [], [labels(["x"], [1])])
    assert counts.unknown == counts.labels == 1


def test_the_newest_of_several_labels_counts_and_a_repeated_one_is_told_apart_from_one_that_contradicts(tmp_path):
    known = [NOW - HOUR / 2, NOW - HOUR / 4, NOW - HOUR / 3, NOW - HOUR / 3]
    table, counts = joined(tmp_path, [predictions(["a"])], [labels(["a"] * 4, [0, 1, 1, 0], known)])
    assert table["label"].to_pylist() == [1], "whichever was added last"
    assert (counts.repeated, counts.conflicting) == (1, 2)


def test_of_labels_that_do_not_say_when_the_one_that_was_added_last_counts(tmp_path):
    table, counts = joined(tmp_path, [predictions(["a"])], [labels(["a"], [0]), labels(["a"], [1])])
    assert table["label"].to_pylist() == [1] and counts.conflicting == 1


def test_a_label_from_the_future_is_left_out_and_one_from_before_its_prediction_counts_and_is_told(tmp_path):
    tables = [predictions(["a", "b"])]
    known = [NOW + 2 * HOUR, NOW - 3 * HOUR]
    table, counts = joined(tmp_path, tables, [labels(["a", "b"], [1, 1], known)])
    assert dict(zip(table["request_id"].to_pylist(), table["label"].to_pylist(), strict=True)) == {"a": None, "b": 1}
    assert (counts.future, counts.premature, counts.premature_seconds) == (1, 1, 7200)
    _, calm = joined(tmp_path, tables, [labels(["a"], [1], [NOW + timedelta(seconds=30)])])
    assert calm.future == 0, "half a minute is what clocks may be apart"


def test_an_answer_that_was_given_again_under_the_same_id_counts_once_with_its_newest_value(tmp_path):
    again = predictions(["a", "a"], [NOW - HOUR, NOW - 2 * HOUR], score=pa.array([0.9, 0.1]))
    table, counts = joined(tmp_path, [again], [labels(["a"], [1])])
    assert table["score"].to_pylist() == [0.9]
    assert (counts.repeated_predictions, counts.predictions, counts.labelled) == (1, 1, 1)


def test_rows_of_one_request_have_labels_of_their_own(tmp_path):
    two = predictions(["a", "a"], rows=[0, 1])
    second = labels(["a"], [1]).set_column(1, "row", pa.array([1], pa.int32()))
    table, _ = joined(tmp_path, [two], [second])
    assert table.sort_by("row")["label"].to_pylist() == [None, 1]


@settings(max_examples=25, deadline=None)
@given(
    ids=st.lists(st.text("abé-0", max_size=4), min_size=1, max_size=40),
    given_labels=st.lists(st.tuples(st.text("abé-0", max_size=4), st.sampled_from([0.0, 1.0])), max_size=40),
    parts=st.integers(1, 5),
)
def test_partitions_do_not_change_what_is_joined(tmp_path_factory, ids, given_labels, parts):
    folder = tmp_path_factory.mktemp("join")
    whole = predictions(ids)
    truth = labels([name for name, _ in given_labels], [value for _, value in given_labels])
    one, one_counts = joined(folder, [whole], [truth])
    cut = max(1, len(ids) // parts)
    tables = [whole.slice(start, cut) for start in range(0, len(ids), cut)]
    many, many_counts = joined(folder, tables, [truth], rows=3_000_000)
    order = [("request_id", "ascending")]
    assert many.sort_by(order).equals(one.sort_by(order))
    assert many_counts == one_counts
    expected = dict(given_labels)  # the last one of each
    assert dict(zip(one["request_id"].to_pylist(), one["label"].to_pylist(), strict=True)) == {
        name: expected.get(name) for name in set(ids)
    }


def test_partitions_are_as_many_as_the_rows_need_and_even():
    assert [partitions_for(rows) for rows in (0, 1, 500_000, 500_001, 20_000_000, 10**12)] == [1, 1, 1, 2, 64, 512]
    ids = pa.array([uuid.UUID(int=number).hex for number in range(20_000)])
    sizes = np.bincount(partitions_of(ids, 16), minlength=16)
    assert sizes.min() > 1_100 and sizes.max() < 1_400, "ids that differ in their last digits alone are spread as well"


def test_a_hash_is_of_the_text_alone_wherever_it_stands():
    texts = ["", "a", "abcdefgh", "abcdefghi", "ümläut", "x" * 128]
    alone = [int(hashes(pa.array([text]))[0]) for text in texts]
    together = hashes(pa.chunked_array([pa.array(["zz", *texts]).slice(1, 3), pa.array(texts[3:])]))
    assert together.tolist() == alone and len(set(alone)) == len(texts)
    assert hashes(pa.array([None], pa.string()))[0] == alone[0]
    assert len(hashes(pa.array([], pa.string()))) == 0


def test_how_late_labels_come_is_told_of_those_that_say_it(tmp_path):
    table, counts = joined(tmp_path, [predictions(["a", "b"])], [labels(["a", "b"], [1, 1], [NOW - HOUR / 2, None])])
    assert delay_quantiles(delays_of(table)) == {"0.5": 1800, "0.9": 1800, "0.99": 1800}
    silent, _ = joined(tmp_path, [predictions(["a"])], [])
    assert delay_quantiles(delays_of(silent)) == {}
    known = counts.model_copy(update={"delays": delay_quantiles(delays_of(table))})
    [*_, fit] = health("birds", NOW, Reading(), known)
    assert "half of those that say when came within 30 min of their prediction" in fit.text


def test_memory_is_that_of_a_partition(tmp_path, monkeypatch):
    monkeypatch.setattr(joining, "_PARTITION_ROWS", 1_000)
    ids = [uuid.UUID(int=number).hex for number in range(8_000)]
    join = Join(tmp_path / "join", 16_000, NOW)
    join.add_predictions(predictions(ids))
    join.add_labels(labels(ids, [1.0] * len(ids)))
    sizes = [table.num_rows for table in join.joined()]
    assert len(sizes) == 16 and max(sizes) < 1_000 and sum(sizes) == 8_000
    assert not list((tmp_path / "join").rglob("*.arrow")), "what was read is gone"


def test_labels_are_told_from_what_is_awaited_and_from_what_is_none():
    found = labels_in(
        pa.table(
            {
                "request_id": ["a", "b", "", "d", "e", "f"],
                "row": ["0", "", "0", "1.5", "2", "3"],
                "label": ["true", " 0.5", "1", "1", "", "maybe"],
                "time": ["2026-01-01T00:00:00", "", None, None, None, None],
            }
        )
    )
    assert found.table.select(["request_id", "row", "label"]).to_pylist() == [
        {"request_id": "a", "row": 0, "label": 1.0},
        {"request_id": "b", "row": 0, "label": 0.5},
    ]
    assert (found.awaited, found.wrong) == (1, 3)
    assert found.problem.startswith("3 of 6 rows are no labels") and "no request_id" in found.problem
    assert found.table["known"].null_count == 1


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view()])
def test_texts_of_every_type_are_read_as_one(kind):
    given = {"request_id": "a", "row": "1", "label": "0.5", "weight": "2", "time": "2026-01-01T00:00:00"}
    found = labels_in(pa.table({name: pa.array([text], kind) for name, text in given.items()}))
    known = datetime(2026, 1, 1, tzinfo=UTC)
    assert found.table.to_pylist() == [{"request_id": "a", "row": 1, "label": 0.5, "known": known, "weight": 2.0}]


def test_a_moment_that_utc_has_not_is_none_and_costs_no_label():
    found = labels_in(pa.table({"request_id": ["a"], "label": [1.0], "time": ["0001-01-01T00:00:00+14:00"]}))
    assert found.table["label"].to_pylist() == [1.0] and found.table["known"].null_count == 1


@pytest.mark.parametrize(
    ("column", "expected", "awaited", "wrong"),
    [
        (pa.array([True, None, False]), [1, 0], 1, 0),
        (pa.array([1, 2, None]), [1, 2], 1, 0),
        (pa.array([1.5, float("nan"), float("inf")]), [1.5], 1, 1),
        (pa.array(["UA", "AA", "x"]), [1, 0], 0, 1),
        (pa.array([[1], None, [2]]), [], 1, 2),
        (pa.array(["UA", None, "AA"]).dictionary_encode(), [1, 0], 1, 0),
    ],
)
def test_labels_of_every_type_become_numbers(column, expected, awaited, wrong):
    found = labels_in(pa.table({"request_id": ["a", "b", "c"], "label": column}), classes=("AA", "UA"))
    assert found.table["label"].to_pylist() == expected
    assert (found.awaited, found.wrong) == (awaited, wrong)
    assert bool(found.problem) == bool(wrong)


def test_a_table_that_holds_no_labels_is_told_with_what_it_has():
    found = labels_in(pa.table({"id": ["a"], "label": [1]}))
    assert found.table.num_rows == 0 and "has no column request_id, but id, label" in found.problem
    nothing = labels_in(pa.table({"request_id": pa.array([], pa.string()), "label": pa.array([], pa.float64())}))
    assert nothing.table.num_rows == 0 and nothing.problem == ""
