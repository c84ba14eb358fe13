"""Labels in the object store, from whoever learns them to the analyst."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heliostat.ml.ground_truth import GroundTruth, Label, record
from heliostat.spec.resources import StoreAddress
from heliostat.systems.errors import PermanentError


@pytest.fixture
def address(tmp_path):
    return StoreAddress(uri=f"file://{tmp_path}")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "ground-truth" / "halves" / "date=2013-07-09"
    path.mkdir(parents=True)
    return path


def read(address, **limits):
    truth = GroundTruth(address, "halves", **limits)
    truth.refresh()
    return truth


def test_recorded_labels_are_read(address):
    record(address, "halves", [Label("a", 1), Label("b", True, row=2), Label("c", 0.25)])
    record(address, "others", [Label("z", 1)])
    assert read(address).labels == {("a", 0): 1.0, ("b", 2): 1.0, ("c", 0): 0.25}


def test_recording_the_same_again_makes_no_other_object(address, tmp_path):
    assert record(address, "halves", [Label("a", 1), Label("b", 0)]) == record(
        address, "halves", [Label("b", 0), Label("a", 1)]
    )
    assert len(list((tmp_path / "ground-truth/halves").iterdir())) == 1


def test_no_labels_make_no_object(address, tmp_path):
    assert record(address, "halves", []) is None
    assert not (tmp_path / "ground-truth").exists()


def test_labels_that_say_nothing_are_refused_all_at_once(address, tmp_path):
    with pytest.raises(PermanentError, match=r"nan.*|inf") as raised:
        record(address, "halves", [Label("a", float("nan")), Label("", 1), Label("c", 1, row=-1), Label("d", 1)])
    assert all(name in str(raised.value) for name in ("'a'", "request_id=''", "'c'"))
    assert "'d'" not in str(raised.value)
    assert not (tmp_path / "ground-truth").exists()


def test_json_lines_and_parquet_of_others_are_read_without_a_row(address, folder):
    (folder / "a.jsonl").write_text('{"request_id":"a","label":true}\n{"request_id":"b","label":0,"row":3,"by":"ada"}\n')
    pq.write_table(pa.table({"request_id": ["c"], "label": [1]}), folder / "b.parquet")
    (folder / "README.txt").write_text("not a label")
    assert read(address).labels == {("a", 0): 1.0, ("b", 3): 0.0, ("c", 0): 1.0}


def test_a_newer_object_corrects_an_older_one_and_is_read_when_it_comes(address, folder):
    (folder / "b-old.jsonl").write_text('{"request_id":"a","label":0}\n{"request_id":"b","label":0}\n')
    os.utime(folder / "b-old.jsonl", (1, 1))
    (folder / "a-new.jsonl").write_text('{"request_id":"a","label":1}\n')
    truth = read(address)
    assert truth.labels == {("a", 0): 1.0, ("b", 0): 0.0}
    (folder / "c.jsonl").write_text('{"request_id":"b","label":1}\n')
    truth.refresh()
    assert truth.labels["b", 0] == 1.0


def test_what_is_no_table_of_labels_is_named_and_the_rest_is_read(address, folder):
    (folder / "a.jsonl").write_text('{"id":"a"}\n')
    Path(folder, "b.parquet").write_bytes(b"PAR1 nonsense")
    (folder / "c.jsonl").write_text('{"request_id":"c","label":null}\n{"request_id":"d","label":1}\n')
    truth = read(address)
    assert truth.labels == {("d", 0): 1.0}
    assert sorted(Path(key).name for key in truth.mistakes) == ["a.jsonl", "b.parquet"]


def test_without_any_there_is_no_truth(address):
    assert read(address).labels == {}


def test_no_more_labels_are_kept_than_fit(address, folder):
    for number in range(4):
        path = folder / f"{number}.jsonl"
        path.write_text("".join(f'{{"request_id":"{number}-{n}","label":1}}\n' for n in range(10)))
        os.utime(path, (number, number))
    labels = read(address, most=20).labels
    assert {name.partition("-")[0] for name, _ in labels} == {"2", "3"}
