"""Snapshots as they are read: whole, in shares, in batches; and those from before a split could have several files."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest
from small_snapshots import kept, small

from heliostat.ml.datasets import Tables
from heliostat.systems.objects import open_store


def table(rows: int) -> pa.Table:
    return pa.table({"size": pa.array(range(rows), pa.int64()), "name": [f"n{n}" for n in range(rows)], "late": [0] * rows})


def given() -> Tables:
    return Tables(table(23), table(1), table(2), "late")


@pytest.mark.parametrize("rows", [1, 4, 5, 10, 22, 23, 24])
def test_batches_have_as_many_rows_as_were_asked_for_and_the_last_has_the_rest(rows: int) -> None:
    with small() as address:
        batches = list(kept(address, given())[0].batches("train", rows=rows))
    assert [batch.num_rows for batch in batches] == [rows] * (23 // rows) + [23 % rows] * (23 % rows > 0)
    assert pa.concat_tables(batches) == table(23)


@pytest.mark.parametrize("shards", [1, 2, 3, 23, 24])
def test_batches_of_a_share_are_its_rows(shards: int) -> None:
    with small() as address:
        snapshot, _ = kept(address, given())
        for shard in range(shards):
            whole = snapshot.table("train", ["size"], shard, shards)
            batches = list(snapshot.batches("train", ["size"], 4, shard, shards))
            assert [value for batch in batches for value in batch["size"].to_pylist()] == whole["size"].to_pylist()
            assert whole["size"].to_pylist() == list(range(shard, 23, shards))


def test_a_share_or_a_batch_that_there_is_not_is_refused_before_anything_is_read() -> None:
    with small() as address:
        snapshot, _ = kept(address, given())
        with pytest.raises(ValueError, match="part 3 of 3 parts was asked for: they are counted from 0 to 2"):
            snapshot.table("train", shard=3, shards=3)
        with pytest.raises(ValueError, match="part -1 of 2 parts"):
            snapshot.batches("train", shard=-1, shards=2)
        with pytest.raises(ValueError, match="a batch of 0 rows was asked for: it has 1 or more"):
            snapshot.batches("train", rows=0)


def test_a_snapshot_whose_manifest_names_no_files_has_one_a_split() -> None:
    with small(file=100) as address:
        snapshot, manifest = kept(address, given())
        del manifest["files"]
        open_store(address).put(f"{snapshot.key}/manifest.json", json.dumps(manifest).encode())
        assert snapshot.table("train") == table(23)
        assert next(snapshot.batches("test")) == table(2)
        assert kept(address, given())[1] == manifest, "it is found again, and stays as it is"
