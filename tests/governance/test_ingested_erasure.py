"""The deletion of a person from what ingestions keep: parts, refused rows, and records; killed anywhere, it goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from erasure_worlds import OTHER, ErasureWorld, Killed
from personal_fakes import EMAIL

from heliostat.governance import snapshots
from heliostat.governance.subjects import Subject
from heliostat.jobs import data_of
from heliostat.jobs import snapshot as job
from heliostat.ml.datasets import Snapshot
from heliostat.spec import ingested
from heliostat.spec.ingestion import FilesSource
from heliostat.spec.jobs import SnapshotSpecification
from heliostat.systems.errors import PermanentError, RetryableError

SCHEMA = """
label: late
columns:
  email: {type: string, values: [nobody], knownAtPrediction: KNOWN}
  income: {type: double}
  late: {type: double}
"""
REFUSED = "6" * 64
MADE = f"datasets/loans/made/{'7' * 64}.json"


def rows(first: int, *emails: str) -> pa.Table:
    numbers = range(first, first + 20)
    there = [*emails, *(f"p{n}@example.org" for n in numbers)][:20]
    return pa.table({"email": there, "income": [float(n) for n in numbers], "late": [float(n % 2) for n in numbers]})


class World(ErasureWorld):
    """A data set that is ingested of two files, of which one has a person, and was refused once with rows of theirs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.source = {"kind": "files", "uri": f"file://{folder}/rows"}

    def fill(self) -> None:
        (self.folder / "rows").mkdir()
        pq.write_table(rows(0, EMAIL, OTHER, EMAIL), self.folder / "rows" / "a.parquet")
        pq.write_table(rows(100, OTHER), self.folder / "rows" / "b.parquet")
        with pytest.raises(PermanentError, match="not among the 1 expected"):
            self.make(REFUSED, SCHEMA.replace("KNOWN", "true"))
        self.make("7" * 64, SCHEMA.replace("KNOWN", "false"))

    def make(self, identity: str, schema: str | None = None):
        split = {"kind": "group", "column": "income", "validation": 0.3, "test": 0.3}
        key = f"datasets/loans/made/{identity}.json"
        job.snapshot(
            SnapshotSpecification(
                name="loans",
                entry_point="w.d:snapshot",
                parameters={},
                identity=identity,
                code_digest="2" * 64,
                data_schema=schema,
                ingestion={"source": self.source, "label": "late", "split": split},
                store=self.address,
                result_key=key,
            )
        )
        return json.loads(self.store.get(key))

    def parts(self):
        keys = [info.key for info in self.store.list("datasets/loans/ingested/parts/")]
        return [pq.read_table(pa.BufferReader(self.store.get(key))) for key in keys]

    def emails(self, manifest):
        read = Snapshot(f"datasets/loans/{manifest['digest']}", self.address)
        return {email for split in ("train", "validation", "test") for email in read.table(split)["email"].to_pylist()}

    def mentions(self):
        named = [info.key for info in self.store.list("datasets/") if EMAIL.encode() in self.store.get(info.key)]
        return named + [table.num_rows for table in self.parts() if EMAIL in table["email"].to_pylist()]


@pytest.fixture(autouse=True)
def function(monkeypatch):
    monkeypatch.setattr(data_of, "load_entry_point", {"w.d:snapshot": lambda parameters, rows: rows}.__getitem__)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data_of, "load_entry_point", {"w.d:snapshot": lambda parameters, rows: rows}.__getitem__)
        World(folder).fill()
    return folder


@pytest.fixture
def world(tmp_path, made):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True, copy_function=shutil.copy2)
    found = World(tmp_path)
    found.source = World(made).source  # its files are where they were read, or they would be others
    return found


def test_rows_of_the_person_go_from_parts_refusals_and_records_and_the_proof_says_so(world):
    assert world.mentions()
    proof = world.erase()
    assert world.mentions() == []
    assert proof.left == 0
    assert proof.searched["parts of ingested rows"] == 2
    assert proof.searched["reports of refused data"] == 1
    assert proof.searched["records of how data sets were made"] == 1
    removed = {each.key.split("/")[2]: each for each in proof.objects}
    assert (removed["ingested"].rows, removed["refused"].rows > 0, removed["made"].rows > 0) == (2, True, True)
    assert world.store.exists(removed["ingested"].successor)
    assert sum(table.num_rows for table in world.parts()) == 38, "nobody else's row goes"
    report = json.loads(world.store.get(f"datasets/loans/refused/{REFUSED}.json"))
    assert report["findings"][0]["examples"], "rows of others stay"
    assert any("named a person" in each["text"] for each in report["findings"]), "texts quote values as well"


def test_the_next_data_set_is_made_of_the_rest_and_no_file_is_read_again(world, monkeypatch):
    before = json.loads(world.store.get(MADE))
    world.erase()
    monkeypatch.setattr("heliostat.jobs.ingested_rows.table_of_file", lambda *_: 1 / 0)
    again = world.make("8" * 64)
    assert EMAIL not in world.emails(again)
    assert sum(again["rows"].values()) == 38
    after = json.loads(world.store.get(MADE))
    assert after["made"]["parents"] == [{"name": "loans", "digest": before["digest"]}], "lineage leads to what was there"
    assert again["digest"] == after["digest"]


def test_a_source_that_still_has_the_rows_as_they_were_brings_none_back(world):
    world.erase()
    source = FilesSource.model_validate(world.source)
    world.store.delete(ingested.state_key("loans", ingested.digest_of_source(source)))
    assert EMAIL not in world.emails(world.make("9" * 64))
    assert world.mentions() == []


def test_a_run_that_read_before_the_deletion_makes_no_data_set_after_it(world, monkeypatch):
    def erased_meanwhile(parameters, rows):
        world.erase()
        return rows

    monkeypatch.setattr(data_of, "load_entry_point", {"w.d:snapshot": erased_meanwhile}.__getitem__)
    with pytest.raises(RetryableError, match="make it again"):
        world.make("9" * 64)
    assert world.mentions() == []


@pytest.mark.parametrize("after", range(18))
def test_killed_at_any_change_it_goes_on_and_comes_to_the_same(world, after, monkeypatch):
    killed = Killed(world.store, after)
    monkeypatch.setattr(snapshots, "open_store", lambda address: killed)
    try:
        proof = world.erase(killed)
    except RetryableError:
        monkeypatch.undo()
        monkeypatch.setattr(data_of, "load_entry_point", {"w.d:snapshot": lambda parameters, rows: rows}.__getitem__)
        proof = next(iter(world.proofs), None) or world.erase()
    assert world.mentions() == []
    assert sum(each.rows for each in proof.objects if "/ingested/" in each.key) == 2
    assert sum(world.make("8" * 64)["rows"].values()) == 38


def test_two_people_one_after_the_other(world):
    world.erase()
    world.subject = Subject.of("email", OTHER, world.keys)
    proof = world.erase()
    assert sum(each.rows for each in proof.objects if "/ingested/" in each.key) == 2
    assert sum(world.make("8" * 64)["rows"].values()) == 36


def test_nobody_is_found_where_nobody_is_and_parts_without_the_field_are_told(world):
    world.subject = Subject.of("email", "nobody@example.org", world.keys)
    assert world.erase().rows == 0
    world.subject = Subject.of("phone", "1", world.keys)
    assert any("2 parts of rows ingested for loans have no column phone" in note for note in world.erase().notes)
