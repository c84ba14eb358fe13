"""Snapshots: named by their content, immutable, and read in parts."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from heliostat.ml import datasets
from heliostat.ml.datasets import Snapshot, Tables
from heliostat.spec.resources import StoreAddress
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store


def table(rows: int, start: int = 0) -> pa.Table:
    numbers = list(range(start, start + rows))
    return pa.table(
        {
            "name": pa.array([None if n % 5 == 0 else "ab"[n % 2] for n in numbers]),
            "size": pa.array([float(n) for n in numbers]),
            "when": pa.array(numbers, pa.timestamp("s")),
            "late": pa.array([n % 3 == 0 for n in numbers]),
        }
    )


def tables(**changes: object) -> Tables:
    given = {"train": table(20), "validation": table(5, 20), "test": table(5, 25), "label": "late", **changes}
    return Tables(**given)


@pytest.fixture
def address(tmp_path):
    return StoreAddress(uri=f"file://{tmp_path}/objects")


def saved(address, given=None):
    manifest = datasets.save(given or tables(), "flights", open_store(address))
    return Snapshot(f"datasets/flights/{manifest['digest']}", address), manifest


def test_the_digest_does_not_depend_on_how_the_values_are_chunked():
    one = table(20)
    chunked = pa.concat_tables([one.slice(0, 7), one.slice(7)])
    assert datasets.content_digest(tables(train=chunked)) == datasets.content_digest(tables())


@pytest.mark.parametrize(
    "other",
    [
        tables(train=table(21)),
        tables(train=table(20).set_column(1, "size", pa.array([float(n) for n in range(19)] + [0.5]))),
        tables(train=table(20).set_column(0, "name", pa.array(["a"] * 20))),
        tables(validation=table(5, 25), test=table(5, 20)),
    ],
    ids=["a row more", "another number", "no value missing", "splits exchanged"],
)
def test_another_content_has_another_digest(other):
    assert datasets.content_digest(other) != datasets.content_digest(tables())


def test_a_missing_text_is_not_an_empty_one():
    empty = pa.array(["" if value is None else value for value in table(20)["name"].to_pylist()])
    assert datasets.content_digest(tables(train=table(20).set_column(0, "name", empty))) != datasets.content_digest(tables())


def test_a_snapshot_comes_back_as_it_was_saved(address):
    snapshot, manifest = saved(address)
    assert manifest["rows"] == {"train": 20, "validation": 5, "test": 5}
    assert snapshot.table("train").to_pylist() == table(20).to_pylist()
    again = Tables(snapshot.table("train"), snapshot.table("validation"), snapshot.table("test"), "late")
    assert datasets.content_digest(again) == manifest["digest"], "what is read back must have the digest that it is kept under"


def test_shards_are_disjoint_and_whole(address, monkeypatch):
    monkeypatch.setattr(datasets, "ROW_GROUP_ROWS", 6)
    snapshot, _ = saved(address)
    parts = [snapshot.table("train", ["size"], shard, 3)["size"].to_pylist() for shard in range(3)]
    assert sorted(value for part in parts for value in part) == [float(n) for n in range(20)]
    assert [len(part) for part in parts] == [7, 7, 6]
    assert parts[1] == [1.0, 4.0, 7.0, 10.0, 13.0, 16.0, 19.0], "every third row, across row groups"


def test_saving_the_same_data_again_adopts_the_snapshot(address, monkeypatch):
    _, first = saved(address)
    monkeypatch.setattr(datasets.pq, "write_table", lambda *_, **__: pytest.fail("it was written again"))
    assert saved(address)[1] == first


def test_a_snapshot_without_manifest_is_made_whole(address):
    snapshot, manifest = saved(address)
    open_store(address).delete(f"{snapshot.key}/manifest.json")
    open_store(address).delete(f"{snapshot.key}/test.parquet")
    assert saved(address)[1] == manifest
    assert snapshot.table("test").num_rows == 5


def test_statistics_and_schema_say_what_the_data_is(address):
    snapshot, _ = saved(address)
    store = open_store(address)
    statistics = json.loads(store.get(f"{snapshot.key}/statistics.json"))["train"]
    size, name = statistics["columns"]["size"], statistics["columns"]["name"]
    assert (size["count"], size["missing"], size["mean"], size["median"], size["min"], size["max"]) == (20, 0, 9.5, 9.5, 0, 19)
    assert sum(size["histogram"]["counts"]) == 20
    assert (name["missing"], name["distinct"], name["mode"]) == (4, 2, "a")
    assert statistics["classBalance"] == {"false": 13, "true": 7}
    schema = json.loads(store.get(f"{snapshot.key}/schema.json"))["columns"]
    assert schema["name"] == {"type": "string", "required": False, "role": "input", "values": ["a", "b"]}
    assert schema["late"]["role"] == "label"


def test_data_that_does_not_fit_is_refused_with_every_reason():
    with pytest.raises(PermanentError, match=r"validation split is empty.*test split differ") as caught:
        datasets.check(tables(validation=table(0), test=table(5).drop_columns(["size"])))
    assert "size double" in str(caught.value)


def test_a_missing_label_is_refused():
    labels = pa.array([None, True, True, False, True])
    with pytest.raises(PermanentError, match="missing in 1 rows of the test split"):
        datasets.check(tables(test=table(5).set_column(3, "late", labels)))
