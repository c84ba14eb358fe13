"""Snapshots of data that come in parts: what may come, what is refused, and what becomes of an attempt that ends early."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from small_snapshots import kept, read_json, small

from heliostat.jobs.snapshot import snapshot
from heliostat.ml import datasets
from heliostat.ml.datasets import Parts, Tables
from heliostat.ml.snapshots.writer import SplitWriter
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.jobs import SnapshotSpecification
from heliostat.systems.errors import DiskFullError, PermanentError
from heliostat.systems.objects import Directory, directory_of, open_store


def table(rows: int, start: int = 0) -> pa.Table:
    numbers = range(start, start + rows)
    names = pa.array([None if number % 4 == 0 else f"n{number % 3}" for number in numbers], pa.string())
    return pa.table({"name": names, "size": pa.array(numbers, pa.float64()), "late": pa.array([n % 2 for n in numbers])})


def pieces(rows: int, size: int = 3) -> Iterator[pa.Table]:
    whole = table(rows)
    return (whole.slice(first, size) for first in range(0, rows, size))


def parts(**changes: Any) -> Parts:
    return Parts(**{"train": lambda: pieces(25), "validation": table(5), "test": table(5), "label": "late", **changes})


def whole() -> Tables:
    return Tables(table(25), table(5), table(5), "late")


SOURCES = {
    "a table": lambda: table(25),
    "a record batch": lambda: table(25).to_batches()[0],
    "a list": lambda: list(pieces(25)),
    "an iterator": lambda: pieces(25),
    "a function": lambda: lambda: pieces(25),
    "a reader": lambda: pa.RecordBatchReader.from_batches(table(25).schema, iter(table(25).to_batches(max_chunksize=4))),
    "a data set of Arrow": lambda: pa.dataset.dataset(list(pieces(25))),
    "a function that returns one": lambda: lambda: pa.dataset.dataset(list(pieces(25))),
    "parts without rows in between": lambda: [table(0), *pieces(25, 5), pa.table({}), table(0)],
    "a part without any value of a column": lambda: [table(24), table(25).slice(24).set_column(0, "name", pa.nulls(1))],
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_whatever_gives_the_rows_they_are_the_same_snapshot(source: Any) -> None:
    with small() as address:
        _, expected = kept(address, whole())
        open_store(address).delete(f"datasets/flights/{expected['digest']}/manifest.json")
        found, manifest = kept(address, parts(train=source()))
        assert manifest == expected
        assert found.table("train") == table(25)


def without_places(manifest: dict[str, Any]) -> dict[str, Any]:
    """What a manifest says beside where all of it lies."""
    return {name: value for name, value in manifest.items() if name != "uri" and not name.endswith("Uri")}


@pytest.mark.parametrize("place", ["s3_address", "gs_address"])
def test_a_snapshot_in_parts_is_the_same_in_every_kind_of_store(place: str, request: pytest.FixtureRequest) -> None:
    address: StoreAddress = request.getfixturevalue(place)
    with small() as here:
        _, expected = kept(here, parts())
        found, manifest = kept(address, parts())
        assert without_places(manifest) == without_places(expected)
        assert manifest["uri"].startswith(address.uri)
        assert len(manifest["files"]["train"]) == 3
        assert found.manifest() == manifest
        assert found.table("train") == table(25)
        assert [each.num_rows for each in found.batches("train", rows=10)] == [10, 10, 5]
        shards = [found.table("train", ["size"], shard, 2)["size"].to_pylist() for shard in range(2)]
        assert shards == [[*range(0, 25, 2)], [*range(1, 25, 2)]]
        # The same again finds it there, and another content is another place.
        assert kept(address, whole())[1] == manifest
        assert kept(address, parts(train=pieces(24)))[1]["digest"] != expected["digest"]


@pytest.mark.parametrize("place", ["s3_address", "gs_address"])
def test_parts_that_are_refused_leave_nothing_in_a_bucket(place: str, request: pytest.FixtureRequest) -> None:
    address: StoreAddress = request.getfixturevalue(place)
    with small(), pytest.raises(PermanentError, match="the test split is empty"):
        kept(address, parts(test=[]))
    assert list(open_store(address).list("datasets")) == []


def test_one_row_is_enough_of_each_split() -> None:
    with small() as address:
        found, manifest = kept(address, parts(train=iter([table(1, 7)]), validation=[table(1)], test=table(1)))
        assert manifest["rows"] == {"train": 1, "validation": 1, "test": 1}
        assert manifest["files"]["train"] == ["train.parquet"], "a small split lies where it always did"
        assert list(found.batches("train")) == [table(1, 7)]


@pytest.mark.parametrize("nothing", [[], [table(0)], lambda: iter(())], ids=["no part", "a part without rows", "a function"])
def test_splits_without_rows_are_all_named(nothing: Any) -> None:
    with small() as address, pytest.raises(PermanentError) as told:
        kept(address, parts(train=nothing, validation=nothing))
    assert str(told.value) == "the data cannot be a snapshot: the train split is empty; the validation split is empty"


def test_every_reason_is_told_at_once_with_the_number_of_the_part() -> None:
    other = table(3).set_column(1, "size", pa.array(["1", "2", "3"]))
    unlabelled = table(3).set_column(2, "late", pa.array([1, None, None]))
    given = parts(
        train=[table(3), other, unlabelled, unlabelled], validation=[], test=table(5).rename_columns(["n", "size", "late"])
    )
    for attempt in (datasets.check, lambda data: kept(StoreAddress(uri="file:///nowhere"), data)):
        with small(), pytest.raises(PermanentError) as told:
            attempt(given)
        assert str(told.value).split("; ") == [
            "the data cannot be a snapshot: the validation split is empty",
            "part 2 of the train split has name string, size string, late int64",
            "the first part of the train split has name string, size double, late int64: cast all to the same",
            "the label 'late' is missing in 4 rows of the train split",
            "the columns of the test split differ from the train split's: n string, size double, late int64 and "
            "name string, size double, late int64",
        ]


def test_of_many_parts_that_differ_a_few_are_shown() -> None:
    other = table(3).drop_columns(["size"])
    with pytest.raises(
        PermanentError, match="part 4 of the train split has name string, late int64; so in 9 parts in all, the"
    ):
        datasets.check(parts(train=[table(3), *[other] * 9]))


def test_a_column_without_a_value_in_the_first_part_has_no_type() -> None:
    first = table(3).set_column(0, "name", pa.nulls(3))
    with pytest.raises(PermanentError, match="the column 'name' is of type null"):
        datasets.check(parts(train=[first, table(3)]))


def test_what_is_no_table_is_named_with_its_number() -> None:
    with pytest.raises(PermanentError, match=r"part 2 of the train split is a DataFrame: .* Table.from_pandas makes one"):
        datasets.check(parts(train=[table(3), table(3).to_pandas()]))
    with pytest.raises(PermanentError, match="the test split is a int: it must be tables"):
        datasets.check(parts(test=3))


def test_an_error_of_what_makes_the_parts_comes_through_and_nothing_is_kept() -> None:
    def torn() -> Iterator[pa.Table]:
        yield from pieces(12)
        raise ValueError("the file of day 5 is torn")

    with small() as address:
        with pytest.raises(ValueError, match="the file of day 5 is torn") as told:
            kept(address, parts(train=torn))
        assert told.value.__notes__ == ["while part 5 of the train split was made"]
        assert list(open_store(address).list()) == []


def test_notes_are_read_when_all_parts_are() -> None:
    notes: list[str] = []

    def counted() -> Iterator[pa.Table]:
        yield from pieces(25)
        notes.append("3 rows had no size, left out")

    with small() as address:
        _, manifest = kept(address, parts(train=counted, notes=notes))
    assert manifest["notes"] == ["3 rows had no size, left out"]


class Dying(Directory):
    """A store whose process is killed before it has put its `last + 1`-th file."""

    def __init__(self, root: Path, last: int) -> None:
        super().__init__(root)
        self.left = last

    def put_file(self, key: str, path: Path) -> None:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        super().put_file(key, path)


@pytest.mark.parametrize("files", range(4))
def test_an_attempt_that_was_killed_between_files_leaves_nothing_that_is_read(files: int) -> None:
    with small() as address:
        with pytest.raises(KeyboardInterrupt):
            datasets.save(parts(train=lambda: reversed(list(pieces(25)))), "flights", Dying(directory_of(address), files))
        with pytest.raises(KeyboardInterrupt):
            datasets.save(parts(), "flights", Dying(directory_of(address), files))
        assert not [found for found in open_store(address).list() if found.key.endswith("manifest.json")]
        found, manifest = kept(address, parts())
        assert found.table("train") == table(25)
        assert len(manifest["files"]["train"]) == 3


def test_attempts_that_cut_the_rows_into_other_files_do_not_mix() -> None:
    with small(rows=4, file=4) as address:
        with pytest.raises(KeyboardInterrupt):
            datasets.save(parts(), "flights", Dying(directory_of(address), 4))
        left = {found.key for found in open_store(address).list()}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("heliostat.ml.snapshots.writer.FILE_ROWS", 12)
            found, manifest = kept(address, parts())
        assert not left & {f"{found.key}/{file}" for files in manifest["files"].values() for file in files}
        assert found.table("train") == table(25)


def test_rows_that_are_wide_are_in_smaller_row_groups_and_one_that_is_wider_has_its_own() -> None:
    texts = ["x" * 100, "x" * 5_000, *["x" * 100] * 23]
    wide = table(25).set_column(0, "name", pa.array(texts))
    with small(rows=20, size=1_000) as address:
        _, manifest = kept(address, parts(train=wide, validation=wide.slice(0, 1), test=wide.slice(0, 1)))
        folder = directory_of(address) / f"datasets/flights/{manifest['digest']}"
        metadata = [pq.read_metadata(folder / file) for file in manifest["files"]["train"]]
    groups = [each.row_group(number).num_rows for each in metadata for number in range(each.num_row_groups)]
    assert sum(groups) == 25
    assert groups[:2] == [1, 1]
    assert 2 < max(groups) < 10


def test_a_disk_that_is_full_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "00000.parquet").symlink_to("/dev/full")
    numbers = pa.table({"size": np.random.default_rng(0).random(300_000)})
    with pytest.raises(DiskFullError, match="free some space"):
        SplitWriter(tmp_path, numbers.schema).add(numbers)


def test_memory_holds_a_part_and_not_the_data() -> None:
    columns, rows, count = 2, 10_000, 80
    generator = np.random.default_rng(0)

    def many() -> Iterator[pa.Table]:
        for _ in range(count):
            numbers = {f"c{column}": generator.random(rows) for column in range(columns)}
            yield pa.table({**numbers, "late": generator.integers(0, 2, rows)})

    usual = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(usual)
    with small(rows=rows, file=100_000, block=20_000, memory=1 << 19) as address:
        pa.set_memory_pool(pool)
        tracemalloc.start()
        try:
            found, manifest = kept(address, Parts(many, [next(many())], [next(many())], "late"))
            assert sum(batch.num_rows for batch in found.batches("train", rows=2_000)) == count * rows
            by_numpy = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            pa.set_memory_pool(usual)
        statistics = read_json(address, manifest, "statistics")["train"]["columns"]["c0"]
    assert statistics["distinct"] == count * rows, "all of them, and so sorted on disk"
    data = columns * rows * count * 8
    assert pool.max_memory() < data / 3
    assert by_numpy < data / 3


def given_parts(parameters: dict[str, Any]) -> Any:
    return parts() if parameters["parts"] else table(3)


def test_the_job_keeps_parts_and_refuses_what_is_neither() -> None:
    with small() as address:
        specification = SnapshotSpecification(
            name="flights",
            entry_point=f"{__name__}:given_parts",
            parameters={"parts": 1},
            store=address,
            result_key="made.json",
        )
        snapshot(specification)
        assert read_made(address)["rows"] == {"train": 25, "validation": 5, "test": 5}
        with pytest.raises(PermanentError, match=r"returned Table: it must return Tables or Parts of heliostat\.ml"):
            snapshot(specification.model_copy(update={"parameters": {"parts": 0}}))


def read_made(address: StoreAddress) -> Any:
    return json.loads(open_store(address).get("made.json"))
