"""Snapshots of another stack's store: taken by reference, read where they are, and never written to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from ml_world import World

from heliostat.governance.snapshots import rows_of
from heliostat.jobs.batch.rows import parts_of
from heliostat.ml import datasets
from heliostat.ml.datasets import Snapshot, Tables
from heliostat.ml.snapshots.reader import fetched
from heliostat.provider.dataset import DatasetHandler
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.batch import SnapshotSource
from heliostat.spec.training_resources import DatasetInputs
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import directory_of, open_store
from heliostat.systems.references import refer
from heliostat.testing.jobs import JobResult

HANDLER = DatasetHandler()


def table(rows: int) -> pa.Table:
    return pa.table({"email": [f"{n}@example.org" for n in range(rows)], "late": [n % 2 == 0 for n in range(rows)]})


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Places:
    """A stack's own store, and production's, which has a snapshot of the same code."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = World(folder)
        self.world.install(monkeypatch)
        self.world.outcome = self._made
        self.folder = folder / "production"
        self.production = StoreAddress(uri=self.folder.as_uri())
        self.own = self.world.store
        self.own_folder = directory_of(self.own)

    def _made(self, specification: dict[str, Any]) -> JobResult:
        store = open_store(StoreAddress.model_validate(specification["store"]))
        rows = 8 if specification.get("sample") is None else 4
        sample = {"sample": specification["sample"]} if specification.get("sample") is not None else {}
        data = Tables(table(rows), table(rows), table(rows), "late")
        manifest = datasets.save(data, specification["name"], store, more=sample)
        datasets.put_json(store, specification["resultKey"], {**manifest, "made": {"identity": specification["identity"]}})
        return JobResult()

    def inputs(self, **changes: Any) -> DatasetInputs:
        given = {
            "name": "flights", "code": self.world.code, "entry_point": "workloads.flights.dataset:snapshot",
            "store": self.own, "origin": self.production, "ray": self.world.ray, **changes,
        }  # fmt: skip
        return DatasetInputs(**given)

    async def in_production(self) -> str:
        """Have it make the snapshot, as its own stack does; the digest."""
        self.world.store = self.production
        made = await HANDLER.create(self.world.context, self.inputs(store=self.production, origin=None))
        self.world.store = self.own
        self.world.submitted.clear()
        return made.outputs.address.digest


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    return Places(tmp_path, monkeypatch)


async def test_a_snapshot_that_another_store_has_is_read_there_and_nothing_is_copied_or_written(places: Places):
    digest = await places.in_production()
    before = content(places.folder)
    await HANDLER.preview(places.world.context, None, places.inputs())
    assert not any(name.startswith("datasets/") for name in content(places.own_folder)), "a preview writes nothing"
    created = await HANDLER.create(places.world.context, places.inputs())
    outputs = created.outputs
    assert places.world.submitted == [], "no job runs for it"
    assert outputs.address.digest == digest and outputs.address.uri.startswith(places.own.uri)
    assert outputs.rows == {"train": 8, "validation": 8, "test": 8}
    assert any("by reference" in text for text in places.world.told["info"])
    key = f"datasets/flights/{digest}"
    snapshot = Snapshot(key, places.own)
    assert snapshot.table("train").equals(table(8)) and snapshot.home() == places.production
    assert [part.num_rows for part in snapshot.batches("test", rows=5)] == [5, 3]
    assert not any(name.endswith(".parquet") for name in content(places.own_folder)), "the rows stay where they are"
    assert json.loads(open_store(places.own).get(f"{key}/statistics.json"))["train"]["rows"] == 8
    assert f"{key}/profiles/train.arrow" in content(places.own_folder)
    assert await HANDLER.read(places.world.context, created.identifier, outputs) == outputs
    assert (await HANDLER.create(places.world.context, places.inputs())).outputs == outputs
    assert content(places.folder) == before


async def test_whoever_takes_files_finds_them_where_they_are(places: Places, tmp_path: Path):
    digest = await places.in_production()
    await HANDLER.create(places.world.context, places.inputs())
    files = tmp_path / "files"
    files.mkdir()
    assert fetched(f"datasets/flights/{digest}", places.own, files)["train"].rows == 8

    class Specification:
        name, source, store = "flights-nightly", SnapshotSource(split="test"), places.own
        dataset_key = f"datasets/flights/{digest}"
        run = type("Run", (), {"part_rows": 1})

    (part,) = parts_of(Specification(), None)  # type: ignore[arg-type]
    assert StoreAddress.model_validate_json(part.store) == places.production


async def test_what_the_other_store_does_not_have_is_made_here(places: Places):
    await places.in_production()
    changed = places.inputs(parameters={"late_minutes": 20})
    created = await HANDLER.create(places.world.context, changed)
    assert len(places.world.submitted) == 1
    assert Snapshot(f"datasets/flights/{created.outputs.address.digest}", places.own).table("train").num_rows == 8


async def test_a_snapshot_that_goes_there_is_gone_here_and_made_anew_with_its_rows(places: Places):
    digest = await places.in_production()
    created = await HANDLER.create(places.world.context, places.inputs())
    open_store(places.production).delete(f"datasets/flights/{digest}/manifest.json")
    assert await HANDLER.read(places.world.context, created.identifier, created.outputs) is None
    again = await HANDLER.create(places.world.context, places.inputs())
    assert len(places.world.submitted) == 1
    snapshot = Snapshot(f"datasets/flights/{again.outputs.address.digest}", places.own)
    assert again.outputs.address.digest == digest and snapshot.home() == places.own
    assert snapshot.table("train").equals(table(8)), "what was only a reference has its own rows now"


async def test_a_snapshot_whose_rows_were_erased_there_is_not_taken(places: Places):
    digest = await places.in_production()
    created = await HANDLER.create(places.world.context, places.inputs())
    key = f"datasets/flights/{digest}/manifest.json"
    manifest = json.loads(open_store(places.production).get(key))
    datasets.put_json(open_store(places.production), key, {**manifest, "erased": {"successor": "e" * 64}})
    assert await HANDLER.read(places.world.context, created.identifier, created.outputs) is None


async def test_a_reference_to_a_reference_is_one_to_where_the_rows_are(places: Places, tmp_path: Path):
    digest = await places.in_production()
    await HANDLER.create(places.world.context, places.inputs())
    third = StoreAddress(uri=(tmp_path / "third").as_uri())
    await HANDLER.create(places.world.context, places.inputs(store=third, origin=places.own))
    assert Snapshot(f"datasets/flights/{digest}", third).home() == places.production
    assert places.world.submitted == []


async def test_a_reference_that_was_cut_off_is_none_and_is_finished_by_the_next_run(
    places: Places, monkeypatch: pytest.MonkeyPatch
):
    digest = await places.in_production()
    store = open_store(places.own)
    known = json.loads(next(iter((places.folder / "datasets/flights/made").iterdir())).read_text())
    writes: list[str] = []

    class Killed:
        """The store of a process that dies at its `allowed`-th write."""

        def __init__(self, allowed: int) -> None:
            self.allowed = allowed

        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        def put(self, key: str, data: bytes) -> bool:
            if not self.allowed:
                raise KeyboardInterrupt
            self.allowed -= 1
            writes.append(key)
            return store.put(key, data)

    for allowed in range(6):
        with pytest.raises(KeyboardInterrupt):
            refer(Killed(0 if allowed == 0 else 1), places.production, "made.json", known)  # type: ignore[arg-type]
        is_there = store.exists(f"datasets/flights/{digest}/manifest.json")
        assert not is_there or allowed == 5, "the manifest comes last"
    refer(store, places.production, "made.json", known)
    assert len(writes) == len(set(writes)), "what was written is not written again"
    assert Snapshot(f"datasets/flights/{digest}", places.own).table("train").num_rows == 8


async def test_a_store_that_cannot_be_read_is_told_with_what_to_do(places: Places, monkeypatch: pytest.MonkeyPatch):
    def refused(*_: Any) -> None:
        raise PermanentError("403 Forbidden")

    monkeypatch.setattr("heliostat.provider.dataset.known_manifest", refused, raising=True)
    monkeypatch.setattr("heliostat.provider.dataset._manifest", lambda _: None)
    with pytest.raises(PermanentError, match=r"production cannot be read: 403 Forbidden; .*snapshots\.stack"):
        await HANDLER.preview(places.world.context, None, places.inputs())


async def test_a_sample_is_taken_of_the_other_store_s_snapshot_and_is_another_snapshot(places: Places):
    digest = await places.in_production()
    sampled = places.inputs(sample=0.5)
    await HANDLER.preview(places.world.context, None, sampled)
    assert places.world.told["info"][-1] == "will make a sample of 50 % of the rows as the snapshot of flights"
    created = await HANDLER.create(places.world.context, sampled)
    (asked,) = places.world.submitted
    assert asked["sample"] == 0.5
    assert asked["whole"] == {
        "key": f"datasets/flights/{digest}", "digest": digest, "store": places.production.model_dump(mode="json")
    }  # fmt: skip
    assert created.outputs.address.sample == 0.5 and created.outputs.address.digest != digest
    assert "flights: a sample of 50 % of the rows is taken, and every figure is of that" in places.world.told["warn"]
    whole = (await HANDLER.create(places.world.context, places.inputs())).outputs
    assert whole.address.sample is None and whole.address.digest == digest


async def test_a_sample_of_what_nobody_made_is_taken_of_the_function(places: Places):
    await HANDLER.create(places.world.context, places.inputs(sample=0.5))
    (asked,) = places.world.submitted
    assert asked["whole"] is None


async def test_an_erasure_leaves_rows_of_another_store_to_that_store(places: Places):
    digest = await places.in_production()
    await HANDLER.create(places.world.context, places.inputs())
    manifest = Snapshot(f"datasets/flights/{digest}", places.own).manifest()

    class Everybody:
        field = "email"

        def rows_in(self, column: pa.ChunkedArray) -> pa.Array:
            return pa.array([True] * len(column))

    assert rows_of(places.own, manifest, Everybody()) == {}  # type: ignore[arg-type]
    theirs = Snapshot(f"datasets/flights/{digest}", places.production).manifest()
    assert rows_of(places.production, theirs, Everybody()) == {"train": 8, "validation": 8, "test": 8}  # type: ignore[arg-type]


def test_where_snapshots_may_come_from_is_no_difference_and_how_much_of_them_is(places: Places):
    old = places.inputs()
    assert "origin" in HANDLER.insignificant_inputs(old, places.inputs(origin=None))
    assert "sample" not in HANDLER.insignificant_inputs(old, places.inputs(sample=0.5))
