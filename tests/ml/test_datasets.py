"""Snapshots: named by their content, immutable, and read in parts."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from heliostat.ml import dataset_statistics, datasets
from heliostat.ml.contracts import columns_of
from heliostat.ml.datasets import Snapshot, Tables
from heliostat.ml.snapshots import splits
from heliostat.ml.snapshots.digest import content_digest
from heliostat.ml.snapshots.distributions import Distribution
from heliostat.ml.snapshots.splits import TableSplit
from heliostat.spec.addresses import StoreAddress
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


def digest(given: Tables) -> str:
    return content_digest(given.label, {split: TableSplit(rows) for split, rows in given})


@pytest.fixture
def address(tmp_path):
    return StoreAddress(uri=f"file://{tmp_path}/objects")


def saved(address, given=None):
    manifest = datasets.save(given or tables(), "flights", open_store(address))
    return Snapshot(f"datasets/flights/{manifest['digest']}", address), manifest


def test_the_digest_does_not_depend_on_how_the_values_are_chunked():
    one = table(20)
    chunked = pa.concat_tables([one.slice(0, 7), one.slice(7)])
    assert digest(tables(train=chunked)) == digest(tables())


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
    assert digest(other) != digest(tables())


def test_a_missing_text_is_not_an_empty_one():
    empty = pa.array(["" if value is None else value for value in table(20)["name"].to_pylist()])
    assert digest(tables(train=table(20).set_column(0, "name", empty))) != digest(tables())


def test_a_snapshot_comes_back_as_it_was_saved(address):
    snapshot, manifest = saved(address)
    assert manifest["rows"] == {"train": 20, "validation": 5, "test": 5}
    assert snapshot.table("train").to_pylist() == table(20).to_pylist()
    again = Tables(snapshot.table("train"), snapshot.table("validation"), snapshot.table("test"), "late")
    assert digest(again) == manifest["digest"], "what is read back must have the digest that it is kept under"


def test_shards_are_disjoint_and_whole(address, monkeypatch):
    monkeypatch.setattr(splits, "ROW_GROUP_ROWS", 6)
    snapshot, _ = saved(address)
    parts = [snapshot.table("train", ["size"], shard, 3)["size"].to_pylist() for shard in range(3)]
    assert sorted(value for part in parts for value in part) == [float(n) for n in range(20)]
    assert [len(part) for part in parts] == [7, 7, 6]
    assert parts[1] == [1.0, 4.0, 7.0, 10.0, 13.0, 16.0, 19.0], "every third row, across row groups"


def test_saving_the_same_data_again_adopts_the_snapshot(address, monkeypatch):
    _, first = saved(address)
    monkeypatch.setattr(datasets, "SplitWriter", lambda *_: pytest.fail("it was written again"))
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


def edges_of(values):
    return dataset_statistics._edges(Distribution.of(values))


@pytest.mark.parametrize("most", [np.arange(1_000.0), np.r_[np.zeros(900), np.arange(100.0)]])
@pytest.mark.parametrize("far", [(), (1e12,), (-1e12, 1e12)])
def test_one_far_value_does_not_put_all_others_into_one_bin_of_a_histogram(most, far):
    values = np.concatenate((most, far))
    edges = edges_of(values)
    counts, _ = np.histogram(values, edges)
    assert (len(counts), sum(counts)) == (20, len(values))
    assert (edges[0], edges[-1]) == (values.min(), values.max())
    assert (counts > 0).sum() >= 18


def test_what_is_not_far_out_has_bins_of_equal_width():
    assert edges_of(np.arange(21.0)) == pytest.approx(np.arange(21.0))
    assert edges_of(np.array([0.0, 1.0])) == pytest.approx(np.linspace(0, 1, 21))
    assert edges_of(np.full(9, 3.0)) == pytest.approx(np.linspace(3, 4, 21))


def test_data_that_does_not_fit_is_refused_with_every_reason():
    with pytest.raises(PermanentError, match=r"validation split is empty.*test split differ") as caught:
        datasets.check(tables(validation=table(0), test=table(5).drop_columns(["size"])))
    assert "size double" in str(caught.value)


def test_a_missing_label_is_refused():
    labels = pa.array([None, True, True, False, True])
    with pytest.raises(PermanentError, match="missing in 1 rows of the test split"):
        datasets.check(tables(test=table(5).set_column(3, "late", labels)))


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (pa.array(["yes", "no", "yes", "no", "yes"]), "is of type string, it must be a number or a boolean"),
        (pa.array([0.0, 1.0, float("nan"), float("inf"), 1.0]), "is no finite number in 2 rows"),
    ],
)
def test_a_label_that_no_model_can_be_judged_by_is_refused_before_anything_is_trained(labels, reason):
    with pytest.raises(PermanentError, match=reason):
        datasets.check(tables(test=table(5).set_column(3, "late", labels)))


def test_every_column_of_a_type_that_a_snapshot_cannot_hold_is_named_at_once():
    odd = {"rows": pa.array([[b"a"], [b"b"]] * 10), "raw": pa.array([b"a", b"b"] * 10), "none": pa.nulls(20)}
    train = table(20)
    for name, column in odd.items():
        train = train.append_column(name, column)
    with pytest.raises(PermanentError) as caught:
        datasets.check(tables(train=train, validation=train, test=train))
    assert all(f"the column {name!r} is of type" in str(caught.value) for name in odd)


KINDS = [
    pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.date32(), pa.date64(), pa.time32("s"), pa.time64("us"),
    pa.duration("ms"), pa.timestamp("s"), pa.timestamp("ns", "UTC"), pa.bool_(), pa.string(), pa.large_string(),
    pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int8(), pa.date32()),
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_type_that_a_snapshot_takes_is_kept_counted_and_read_by_models(kind, address):
    plain = pa.array([None, *(n % 3 for n in range(19))], pa.int64())
    if pa.types.is_dictionary(kind):
        by_number = plain.cast(pa.int32()) if pa.types.is_temporal(kind.value_type) else plain
        column = by_number.cast(kind.value_type).dictionary_encode().cast(kind)
    elif pa.types.is_temporal(kind):
        column = plain.cast(pa.int64() if kind.bit_width == 64 else pa.int32()).cast(kind)
    else:
        column = plain.cast(pa.float32()).cast(kind) if kind == pa.float16() else plain.cast(kind)
    given = table(20).append_column("odd", column)
    snapshot, manifest = saved(address, tables(train=given, validation=given, test=given))
    back = snapshot.table("train")
    assert back["odd"].to_pylist() == given["odd"].to_pylist()
    assert manifest["columns"]["odd"]
    assert len(columns_of(back)["odd"]) == 20
    statistics = json.loads(open_store(address).get(f"{snapshot.key}/statistics.json"))["train"]["columns"]["odd"]
    assert (statistics["count"], statistics["missing"], statistics["distinct"]) == (19, 1, 2 if kind == pa.bool_() else 3)


def test_a_label_of_many_values_is_a_number_and_has_no_classes(address):
    given = table(3000).set_column(3, "late", pa.array([n * 1.5 for n in range(3000)]))
    snapshot, _ = saved(address, tables(train=given, validation=given, test=given))
    statistics = json.loads(open_store(address).get(f"{snapshot.key}/statistics.json"))["train"]
    assert "classBalance" not in statistics
    assert statistics["columns"]["late"]["distinct"] == 3000


LISTS = {
    "words": (pa.list_(pa.string()), [["a", None], [], None, ["b"]]),
    "vectors": (pa.list_(pa.float32(), 2), [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]),
    "images": (pa.list_(pa.list_(pa.uint8(), 2), 2), [[[1, 2], [3, 4]]] * 4),
}


@pytest.mark.parametrize("name", LISTS)
def test_columns_of_lists_are_kept_and_named_by_their_values_however_they_are_cut(name, address):
    kind, values = LISTS[name]
    given = pa.table({"odd": pa.array(values, kind), "late": [True, False, True, False]})
    cut = pa.concat_tables([given.slice(0, 3), given.slice(3)])
    snapshot, manifest = saved(address, tables(train=given, validation=given, test=given))
    assert snapshot.table("train")["odd"].to_pylist() == values
    assert digest(tables(train=cut, validation=cut, test=given)) == manifest["digest"]
    told = json.loads(open_store(address).get(f"{snapshot.key}/statistics.json"))["train"]["columns"]["odd"]
    assert told["lengths"] == {"min": 0 if name == "words" else 2, "max": 2}
    assert json.loads(open_store(address).get(f"{snapshot.key}/schema.json"))["columns"]["odd"]["role"] == "input"
    other = [values[0], values[1], values[2], values[0]] if name != "images" else [*values[:3], [[1, 2], [3, 5]]]
    changed = given.set_column(0, "odd", pa.array(other, kind))
    assert digest(tables(train=changed, validation=given, test=given)) != manifest["digest"]


def test_lists_of_one_length_are_an_array_for_predictors_with_the_rows_first():
    kind, values = LISTS["images"]
    found = columns_of(pa.table({"image": pa.chunked_array([pa.array(values[:1], kind), pa.array(values[1:], kind)])}))
    assert found["image"].shape == (4, 2, 2)
    assert found["image"].tolist() == values


def test_where_lists_are_cut_is_part_of_the_digest():
    def of_lists(values):
        given = pa.table({"odd": pa.array(values), "late": [True, False]})
        return digest(tables(train=given, validation=given, test=given))

    assert of_lists([["a"], ["b", "c"]]) != of_lists([["a", "b"], ["c"]])
