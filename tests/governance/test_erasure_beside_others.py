"""The deletion of a person while others write what they read before: none of it is there behind the proof."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from erasure_worlds import OTHER
from personal_fakes import EMAIL, ROW
from test_erasure import World as LogWorld
from test_ingested_erasure import SCHEMA, rows
from test_ingested_erasure import World as IngestedWorld

from heliostat.jobs import data_of, ingested_rows
from heliostat.jobs import snapshot as snapshot_job
from heliostat.serving.prediction_log import files
from heliostat.serving.prediction_log.sealing import Sealed
from heliostat.serving.prediction_log.spools import Head
from heliostat.spec import ingested
from heliostat.spec.ingestion import FilesSource
from heliostat.spec.review import Review, ReviewProbability
from heliostat.systems.errors import RetryableError
from heliostat.systems.storage.directory import Directory


class Meanwhile:
    """A store in which something is done once, right before a call that changes it."""

    def __init__(self, store: Any, key: str, act: Callable[[], object]) -> None:
        self._store, self._key, self._act = store, key, act
        self._done = False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in ("put", "put_file"):
            return found

        def call(key: str, *args: Any, **kwargs: Any) -> Any:
            if key.startswith(self._key) and not self._done:
                self._done = True
                self._act()
            return found(key, *args, **kwargs)

        return call


def mentions(world: LogWorld) -> list[str]:
    """What is left of the person, in any object but the deletion's own."""
    token = world.keys.hashed(EMAIL).encode()
    found = []
    for info in world.store.list(""):
        content = world.store.get(info.key)
        if info.key.endswith(".parquet"):
            content = repr(pq.read_table(Path(world.folder, "objects", info.key)).to_pylist()).encode()
        if not info.key.startswith("governance/") and (token in content or EMAIL.encode() in content):
            found.append(info.key)
    return found


@pytest.mark.parametrize("first", ["predictions/", "reviews/", "predictions-unread/"])
def test_a_spool_that_is_sealed_meanwhile_has_no_row_of_the_person(tmp_path, monkeypatch, first):
    world, proofs = LogWorld(tmp_path), []
    plain, store = files.open_store, files.store
    monkeypatch.setitem(ROW, "income", 500.0)  # people look at what the model is unsure of
    monkeypatch.setattr(
        files, "open_store", lambda address: Meanwhile(plain(address), first, lambda: proofs.append(world.erase()))
    )

    def with_a_damaged_line(spool: Path, own: Head) -> Sealed:
        with spool.open("ab") as file:
            file.write(b'{"inputs": [{"email": "%b"}]\n' % world.keys.hashed(EMAIL).encode())
        return store(spool, own)

    monkeypatch.setattr(files, "store", with_a_damaged_line)
    review = Review(answer=ReviewProbability(field="score"), below=1.0)
    world.log(("r-1", [EMAIL]), ("r-2", [OTHER, EMAIL]), review=review)
    assert [each.left for each in proofs] == [0]
    assert mentions(world) == []
    assert world.logged() == [("r-2", 0)]
    items = [world.store.get(info.key) for info in world.store.list("reviews/")]
    assert [each.count(b"\n") for each in items] == [1], "what others were answered is looked at"


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data set that is ingested of files, of which one has the person."""
    monkeypatch.setattr(data_of, "load_entry_point", {"w.d:snapshot": lambda parameters, rows: rows}.__getitem__)
    world = IngestedWorld(tmp_path)
    world.fill()
    return world


def with_erasure(monkeypatch: pytest.MonkeyPatch, module: Any, world: Any, key: str) -> None:
    plain = module.open_store
    monkeypatch.setattr(module, "open_store", lambda address: Meanwhile(plain(address), key, world.erase))


def test_a_part_that_is_put_again_meanwhile_goes_with_the_run_that_put_it(data, monkeypatch):
    source = FilesSource.model_validate(data.source)
    data.store.delete(ingested.state_key("loans", ingested.digest_of_source(source)))
    with monkeypatch.context() as patch:
        with_erasure(patch, ingested_rows, data, "datasets/loans/ingested/parts/")
        with pytest.raises(RetryableError, match="make it again"):
            data.make("8" * 64)
    assert data.mentions() == []
    assert sum(data.make("8" * 64)["rows"].values()) == 38


def test_a_part_that_a_killed_run_put_again_behind_the_proof_goes_with_the_next_run(data):
    [old] = [
        info.key for info in data.store.list("datasets/loans/ingested/parts/") if EMAIL.encode() in data.store.get(info.key)
    ]
    content = data.store.get(old)
    data.erase()
    data.store.put(old, content)
    assert sum(data.make("8" * 64)["rows"].values()) == 38
    assert data.mentions() == []


@pytest.mark.parametrize("name", ["train.parquet", "manifest.json"])
def test_a_snapshot_that_is_stored_while_the_person_is_deleted_is_not_kept(data, monkeypatch, name):
    pq.write_table(rows(200), data.folder / "rows" / "c.parquet")  # another snapshot than the one that is there
    plain, proofs = Directory._write, []

    def write(self: Directory, key: str, *given: Any, **more: Any) -> bool:
        if key.startswith("datasets/loans/") and key.endswith(f"/{name}") and not proofs:
            proofs.append(None)  # what the deletion stores itself comes behind it
            proofs.append(data.erase())
        return plain(self, key, *given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Directory, "_write", write)
        with pytest.raises(RetryableError, match="make it again"):
            data.make("8" * 64)
    assert proofs[1].left == 0
    assert data.mentions() == []
    made = data.make("8" * 64)
    assert EMAIL not in data.emails(made) and sum(made["rows"].values()) == 58


def test_a_report_of_refused_rows_that_is_stored_while_the_person_is_deleted_is_not_kept(data, monkeypatch):
    with_erasure(monkeypatch, snapshot_job, data, f"datasets/loans/refused/{'8' * 64}")
    with pytest.raises(RetryableError, match="make it again"):
        data.make("8" * 64, SCHEMA.replace("KNOWN", "true"))
    assert data.mentions() == []
