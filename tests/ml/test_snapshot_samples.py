"""Samples of data: the same rows each time, whatever the pieces, and of a snapshot the same as of what made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from heliostat.jobs import data_of, sample_of
from heliostat.jobs import snapshot as job
from heliostat.ml.datasets import Parent, Parts, Snapshot, Tables
from heliostat.ml.snapshots.sampling import is_taken, sampled
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.data_sets import SnapshotManifest
from heliostat.spec.jobs import SnapshotSpecification, WholeSnapshot
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import open_store


def table(rows: int) -> pa.Table:
    numbers = range(rows)
    when = pa.array([1_700_000_000 + number for number in numbers], pa.timestamp("s"))
    return pa.table({"at": when, "name": [f"n{n % 7}" for n in numbers], "late": [n % 3 == 0 for n in numbers]})


def test_a_sample_has_its_share_and_no_period_of_the_data_in_it():
    taken = is_taken(0, 100_000, 0.1)
    assert 9_700 < taken.sum() < 10_300
    by_weekday = np.bincount(np.arange(100_000)[taken] % 7, minlength=7)
    assert by_weekday.min() > 0.9 * by_weekday.mean()


def test_a_larger_sample_has_all_rows_of_a_smaller_one():
    small, large = is_taken(0, 10_000, 0.05), is_taken(0, 10_000, 0.2)
    assert (large | ~small).all() and large.sum() > small.sum()


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_the_same_rows_are_taken_however_they_come(size: int):
    whole = table(1000)
    pieces = (whole.slice(first, size) for first in range(0, 1000, size))
    assert pa.concat_tables(sampled(pieces, 0.3)).equals(whole.filter(pa.array(is_taken(0, 1000, 0.3))))


class World:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.address = StoreAddress(uri=f"file://{folder}/objects")
        self.notes = ["1 of 2,001 left out"]
        self.data: Any = Tables(table(2000), table(300), table(300), "late", notes=tuple(self.notes))
        self.calls = 0
        monkeypatch.setattr(data_of, "load_entry_point", lambda _: self.call)

    def call(self, _: Any) -> Any:
        self.calls += 1
        return self.data

    def make(self, sample: float | None = None, whole: WholeSnapshot | None = None, key: str = "made") -> SnapshotManifest:
        specification = SnapshotSpecification(
            name="birds", entry_point="w.d:snapshot", parameters={}, store=self.address, result_key=key,
            sample=sample, whole=whole, identity="a" * 64, code_digest="b" * 64,
        )  # fmt: skip
        job.snapshot(specification)
        return SnapshotManifest.model_validate_json(open_store(self.address).get(key))

    def rows(self, manifest: SnapshotManifest, split: str = "train") -> pa.Table:
        return Snapshot(f"datasets/birds/{manifest.digest}", self.address).table(split)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_a_sample_of_a_snapshot_is_that_of_its_function_and_does_not_call_it(world: World):
    whole = world.make()
    of_function = world.make(0.25)
    assert world.calls == 2
    place = WholeSnapshot(key=f"datasets/birds/{whole.digest}", digest=whole.digest, store=world.address)
    of_snapshot = world.make(0.25, place, "again")
    assert world.calls == 2
    assert of_snapshot.digest == of_function.digest != whole.digest
    assert 400 < of_function.rows["train"] < 600 and 40 < of_function.rows["test"] < 110
    assert of_snapshot.made is not None and of_snapshot.made.sources[0].digest == whole.digest


def test_a_sample_says_so_in_its_manifest(world: World):
    assert world.make().sample is None and "sample" not in world.make().model_dump()
    made = world.make(0.25)
    assert made.sample == 0.25
    assert made.notes == (*world.notes, "a sample of 25 % of the rows")
    assert Snapshot(f"datasets/birds/{made.digest}", world.address).manifest()["sample"] == 0.25


def test_a_sample_names_the_parents_of_its_data(world: World):
    parent = Parent(name="nests", digest="c" * 64)
    world.data = Tables(table(2000), table(300), table(300), "late", parents=(parent,))
    made = world.make(0.25).made
    assert made is not None and made.parents == (parent,)


def test_a_sample_is_not_kept_where_its_rows_are_not_current_any_more(world: World, monkeypatch: pytest.MonkeyPatch):
    def refuse() -> None:
        raise RetryableError("a person's rows were deleted meanwhile")

    monkeypatch.setattr(sample_of, "data_of", lambda *_: data_of.Made(world.data, require_current=refuse))
    with pytest.raises(RetryableError, match="deleted meanwhile"):
        world.make(0.25)


def test_parts_are_sampled_as_they_come_and_may_still_add_notes(world: World):
    notes: list[str] = []

    def pieces(rows: int) -> Any:
        for first in range(0, rows, 100):
            yield table(rows).slice(first, 100)
        notes.append(f"{rows} read")

    in_memory = world.make(0.25)
    world.data = Parts(lambda: pieces(2000), lambda: pieces(300), lambda: pieces(300), "late", notes=notes)
    made = world.make(0.25)
    assert made.digest == in_memory.digest, "an adopted snapshot, whatever it came in"
    world.data = Parts(lambda: pieces(2100), lambda: pieces(300), lambda: pieces(300), "late", notes=notes)
    notes.clear()
    assert world.make(0.25).notes == ("2100 read", "300 read", "300 read", "a sample of 25 % of the rows")


def test_a_sample_that_leaves_a_split_empty_says_what_was_asked_for(world: World):
    world.data = Tables(table(2000), table(300), table(3), "late")
    with pytest.raises(PermanentError, match=r"a sample of 0\.1 % of the rows of birds: .*the test split is empty"):
        world.make(0.001)
