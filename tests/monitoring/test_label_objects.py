from __future__ import annotations

import gzip
import io
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heliostat.monitoring.label_objects import labels_of

LINES = [("001", "0", "1"), ("b", "1", "0.5")]
CSV = b"request_id,row,label\n001,0,1\nb,1,0.5\n"
JSON = b'{"request_id": "001", "row": 0, "label": 1}\n{"request_id": "b", "row": 1, "label": 0.5}\n'


def parquet(**columns):
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def rows(found):
    return [(row["request_id"], row["row"], row["label"]) for row in found.table.to_pylist()]


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("a.csv", CSV),
        ("a.CSV", b"\xef\xbb\xbf" + CSV),
        ("a.tsv", CSV.replace(b",", b"\t")),
        ("a.csv.gz", gzip.compress(CSV)),
        ("a.jsonl", JSON),
        ("a.ndjson.gz", gzip.compress(JSON)),
        ("a.parquet", parquet(request_id=["001", "b"], row=[0, 1], label=[1.0, 0.5], more=["x", "y"])),
    ],
)
def test_every_form_has_the_same_labels(key, content):
    found = labels_of(key, content)
    assert rows(found) == [("001", 0, 1.0), ("b", 1, 0.5)] and (found.wrong, found.awaited, found.problem) == (0, 0, "")


def test_when_a_label_became_known_is_read_where_it_is_said():
    found = labels_of("a.csv", b"request_id,label,time\na,1,2026-01-02T00:00:00+01:00\nb,0,\n")
    assert found.table["known"].to_pylist() == [datetime(2026, 1, 1, 23, tzinfo=UTC), None]


def test_an_id_that_looks_like_a_time_or_a_number_stays_as_it_is_written():
    found = labels_of("a.jsonl", b'{"request_id": "2026-01-02", "label": 1}\n{"request_id": "2026-01-03", "label": 0}\n')
    assert rows(found) == [("2026-01-02", 0, 1.0), ("2026-01-03", 0, 0.0)]
    numbers = labels_of("a.jsonl", b'{"request_id": 12, "label": 1}\n{"request_id": 13, "label": 0}\n')
    assert rows(numbers) == [("12", 0, 1.0), ("13", 0, 0.0)]


@pytest.mark.parametrize(
    ("key", "content", "kept"),
    [
        ("a.csv", CSV + b"c,0,1,9\nd,0,1\n", 3),
        ("a.csv", CSV + b"c,0,maybe\n", 2),
        ("a.jsonl", JSON + b'{"request_id": "c", "la', 2),
        ("a.jsonl", JSON + b'{"request_id": "c", "label": "x"}\n', 2),
        ("a.csv.gz", gzip.compress(CSV * 1)[:-6], 2),
    ],
)
def test_what_is_damaged_is_read_as_far_as_it_goes_and_told(key, content, kept):
    found = labels_of(key, content)
    assert found.table.num_rows == kept and found.problem


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("a.parquet", b"PAR1"),
        ("a.parquet", parquet(x=[1])),
        ("a.csv", b""),
        ("a.csv", b"x,y\n1,2\n"),
        ("a.xlsx", b"PK"),
        ("a", b""),
    ],
)
def test_what_holds_no_labels_is_told(key, content):
    found = labels_of(key, content)
    assert found.table.num_rows == 0 and (found.problem or not content)


def test_labels_that_are_awaited_are_counted_and_classes_become_their_places():
    found = labels_of("a.csv", b"request_id,label\na,UA\nb,\nc,AA\n", classes=("AA", "UA"))
    assert rows(found) == [("a", 0, 1.0), ("c", 0, 0.0)] and found.awaited == 1
