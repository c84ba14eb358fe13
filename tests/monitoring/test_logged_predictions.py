from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heliostat.monitoring.logged import Reading, predictions_of, read
from heliostat.spec.tasks import Binary, Multiclass, Quantiles
from tests.monitoring.logs import predictions

COLUMNS = [("prediction_p", "prediction"), ("input_carrier", "carrier")]


def stored(path, rows=4, **columns):
    columns = columns or {"prediction_p": pa.array([0.5] * rows), "input_carrier": pa.array(["UA"] * rows)}
    table = predictions([f"{path.stem}{number}" for number in range(rows)], **columns)
    pq.write_table(table, path, row_group_size=2)
    return path.name, path


def test_predictions_are_read_with_the_columns_that_are_asked_for(tmp_path):
    reading = Reading()
    [table] = read([stored(tmp_path / "a.parquet")], COLUMNS, reading)
    assert table.column_names == ["request_id", "row", "time", "version", "prediction", "carrier"]
    assert reading.rows == 4 and reading.problems == ()


def test_a_file_that_is_cut_off_in_the_middle_costs_itself_alone_and_is_told(tmp_path):
    whole, cut, none = stored(tmp_path / "a.parquet"), stored(tmp_path / "b.parquet"), tmp_path / "c.parquet"
    cut[1].write_bytes(cut[1].read_bytes()[:-100])
    none.write_bytes(b"")
    reading = Reading()
    tables = list(read([cut, ("c.parquet", none), whole], COLUMNS, reading))
    assert sum(table.num_rows for table in tables) == 4
    assert set(reading.unread) == {"b.parquet", "c.parquet"}
    assert all("left out" in problem for problem in reading.problems)


def test_a_damaged_page_ends_its_file_and_no_other(tmp_path):
    name, path = stored(tmp_path / "a.parquet", rows=400)
    content = bytearray(path.read_bytes())
    content[200:2200] = b"\xff" * 2000
    path.write_bytes(content)
    reading = Reading()
    list(read([(name, path), stored(tmp_path / "b.parquet")], COLUMNS, reading))
    assert list(reading.unread) == ["a.parquet"] and reading.rows >= 4


def test_a_file_of_another_contract_has_nothing_in_the_columns_that_it_lacks(tmp_path):
    other = stored(tmp_path / "a.parquet", prediction_p=pa.array([0.5] * 4))
    reading = Reading()
    [table] = read([other], COLUMNS, reading)
    assert table["carrier"].null_count == 4
    assert reading.problems == ("1 files have no column input_carrier that can be read, as a.parquet: its rows have none",)


def test_a_table_that_is_no_prediction_log_is_told(tmp_path):
    pq.write_table(pa.table({"x": [1]}), tmp_path / "x.parquet")
    reading = Reading()
    assert list(read([("x.parquet", tmp_path / "x.parquet")], COLUMNS, reading)) == []
    assert "no column request_id, row, time, version" in reading.problems[0]


def test_many_files_that_cannot_be_read_are_counted_and_some_are_named(tmp_path):
    reading = Reading(unread={f"{number}.parquet": "gone" for number in range(8)})
    assert len(reading.problems) == 6 and reading.problems[-1] == "3 files more are left out"


@pytest.mark.parametrize(
    ("column", "task", "expected"),
    [
        (pa.array([0.5, None]), Binary(), [0.5, np.nan]),
        (pa.array([True, False]), None, [1, 0]),
        (pa.array(["x", "y"]), Binary(), [np.nan, np.nan]),
        (pa.array([[0.2, 0.8], [1.0]]), Multiclass(classes=("a", "b")), [[0.2, 0.8], [np.nan, np.nan]]),
        (pa.array(["b", "z"]), Multiclass(classes=("a", "b")), [[0, 1], [np.nan, np.nan]]),
        (pa.array([{"b": 0.8, "a": 0.2}, None]), Multiclass(classes=("a", "b")), [[0.2, 0.8], [np.nan, np.nan]]),
        (pa.array([{"b": 0.8}, None]), Multiclass(classes=("a", "b")), [[np.nan, 0.8], [np.nan, np.nan]]),
        (
            pa.array([[("a", 0.2), ("b", 0.8)], None], pa.map_(pa.string(), pa.float64())),
            Multiclass(classes=("a", "b")),
            [[0.2, 0.8], [np.nan, np.nan]],
        ),
        (pa.array([[1.0, 2.0], None], pa.list_(pa.float64(), 2)), Quantiles(levels=(0.1, 0.9)), [[1, 2], [np.nan, np.nan]]),
        (pa.array([1.0, 2.0]), Quantiles(levels=(0.1, 0.9)), [[np.nan] * 2] * 2),
    ],
)
def test_predictions_of_every_form_become_numbers_in_the_tasks_order(column, task, expected):
    for given in (column, pa.chunked_array([column])):
        np.testing.assert_array_equal(predictions_of(given, task), expected)
