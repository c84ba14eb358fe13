"""What a version is held against has personal inputs as the log has them, and is made anew where a person's rows go."""

from __future__ import annotations

import datetime as dt
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from personal_fakes import EMAIL, contract, key

from heliostat.data.storage import from_bytes
from heliostat.governance import derived
from heliostat.governance.erasing import Erasing, announcement_of
from heliostat.governance.subjects import Subject
from heliostat.jobs import monitor
from heliostat.jobs.monitoring import model as monitor_model
from heliostat.jobs.monitoring import reference as monitor_reference
from heliostat.jobs.monitoring.model import Answering
from heliostat.ml.datasets import Tables, save
from heliostat.monitoring import intervals
from heliostat.monitoring.state import MonitorState, state_of
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.erasure import ErasureProof, key_of
from heliostat.spec.findings import State
from heliostat.spec.monitoring import MonitorSpecification, reference_top, references, states
from heliostat.spec.monitors import Monitor
from heliostat.spec.personal import Privacy
from heliostat.spec.problem import Problem
from heliostat.spec.tasks import Regression
from heliostat.systems.errors import RetryableError
from heliostat.systems.objects import open_store
from heliostat.systems.personal_keys import Keyring
from heliostat.systems.references import take
from heliostat.systems.revisions import Revisions

MONDAY = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
NEXT = MONDAY + dt.timedelta(days=1, hours=2)
ROWS = 600
PLACES = ("SW1Y-4JH", "AB1C-2DE", "XY9Z-8WV")


def people(seed: int, count: int = ROWS) -> pa.Table:
    """Rows in clear, as a training has them; the first is Ada's."""
    draw = np.random.default_rng(seed)
    return pa.table(
        {
            "email": [EMAIL, *(f"p{seed}-{number}@example.org" for number in range(1, count))],
            "name": [f"Person {seed} {number}" for number in range(count)],
            "postcode": draw.choice(PLACES, count),
            "age": pa.array(draw.integers(20, 80, count)),
            "income": draw.gamma(2, 10_000, count),
        }
    )


class World:
    """A store with what a version was trained on, and its log, in which nothing personal is clear."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = StoreAddress(uri=f"file://{folder}/objects")
        self.store = open_store(self.address)
        self.privacy = Privacy(keys=(key(folder, "k1"),))
        self.keys = Keyring.of(self.privacy.keys)

    def fill(self) -> None:
        tables = {
            name: people(seed).append_column("late", people(seed)["income"])
            for seed, name in enumerate(("train", "validation", "test"))
        }
        save(Tables(**tables, label="late"), "loans", self.store)
        rows = people(7)
        columns = {
            "email": [self.keys.hashed(each) for each in rows["email"].to_pylist()],
            "name": pa.nulls(ROWS, pa.string()),
            "postcode": [each[:2] for each in rows["postcode"].to_pylist()],
            "age": [each // 10 * 10.0 for each in rows["age"].to_pylist()],
            "income": rows["income"],
        }
        table = {
            "request_id": [f"r-{number}" for number in range(ROWS)],
            "row": pa.array([0] * ROWS, pa.int32()),
            "time": pa.array([MONDAY + dt.timedelta(minutes=number) for number in range(ROWS)], pa.timestamp("us", "UTC")),
            "version": ["3-abc"] * ROWS,
            "prediction_score": rows["income"].to_numpy() / 1000,
            **{f"input_{name}": column for name, column in columns.items()},
        }
        buffer = io.BytesIO()
        pq.write_table(pa.table(table), buffer)
        self.store.put(f"predictions/loans/date={MONDAY:%Y-%m-%d}/a.parquet", buffer.getvalue())

    @property
    def digests(self) -> list[str]:
        """Of the snapshots whose bytes are there."""
        return sorted({info.key.split("/")[2] for info in self.store.list("datasets/loans/") if "train.parquet" in info.key})

    def specification(self, digest: str, **changes: Any) -> MonitorSpecification:
        given = {"field": "score", "labelsWithinSeconds": 20 * 86_400, "drift": {}, "predictionDrift": {}}
        watched = Monitor.model_validate({**given, **changes.pop("monitor", {})})
        parts = {"privacy": self.privacy, "dataset_key": f"datasets/loans/{digest}", "dataset_digest": digest}
        parts |= {"model_uri": "models:/loans/3", **changes}
        return MonitorSpecification(
            name="loans", contract="loans:CONTRACT", code_digest="c" * 64,
            problem=Problem(task=Regression()), monitor=watched, store=self.address, tracking_uri="http://mlflow",
            at=NEXT.timestamp(), **parts,
        )  # fmt: skip

    def look(self, digest: str, **changes: Any) -> MonitorState:
        asked = self.specification(digest, **changes)
        monitor.watch_with(asked, Answering(asked, self.folder))
        return state_of(Revisions(self.store, states("loans")).newest()[1])

    def kept(self) -> list[str]:
        """The digests of references, and all that is in them."""
        return sorted({info.key.split("/")[3] for info in self.store.list(references("loans"))})

    def reference(self) -> Any:
        [digest] = self.kept()
        top = reference_top("loans", digest)
        read = pa.ipc.open_file(pa.BufferReader(self.store.get(f"{top}labelled.arrow"))).read_all()
        return from_bytes(self.store.get(f"{top}inputs.arrow")), read

    def erase(self) -> ErasureProof:
        subject = Subject.of("email", EMAIL, self.keys)
        work = Erasing(self.address, announcement_of(self.store, "loans", subject, "asked for"), subject, lambda text: None)
        proof = work.run()
        work.keep(proof)
        return proof


@pytest.fixture(autouse=True)
def contracts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_model, "load_entry_point", lambda _: contract())
    monkeypatch.setattr(intervals, "_DRAWS", 30)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    world = World(tmp_path_factory.mktemp("made"))
    world.fill()
    return world.folder


@pytest.fixture
def world(tmp_path: Path, made: Path) -> World:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return World(tmp_path)


def test_inputs_are_counted_as_the_log_has_them_and_a_log_like_the_training_is_no_drift(world: World) -> None:
    [digest] = world.digests
    state = world.look(digest)
    inputs, _ = world.reference()
    assert set(inputs.columns) == {"postcode", "age", "income"}
    assert set(inputs.columns["postcode"].texts.values.to_pylist()) == {"SW", "AB", "XY"}
    assert set(inputs.columns["age"].numbers.finite.histogram.values) <= {20.0, 30.0, 40.0, 50.0, 60.0, 70.0}
    drifts = {name: each.state for name, each in state.findings.items() if name.startswith("loans/drift/")}
    assert drifts == dict.fromkeys(("loans/drift/postcode", "loans/drift/age", "loans/drift/income"), State.OK)
    assert any(text.startswith("email is not watched: it says whose row it is") for text in state.problems)
    assert any(text == "name is not watched: it is never logged" for text in state.problems)


def test_the_subject_is_hashed_where_it_is_asked_for_and_left_out_without_a_key(world: World) -> None:
    [digest] = world.digests
    world.look(digest, monitor={"drift": {"columns": ["email", "income"]}})
    inputs, _ = world.reference()
    assert all(each.startswith("hmac:k1:") for each in inputs.columns["email"].texts.values.to_pylist())
    (world.folder / "k1.key").unlink()
    state = world.look(digest, monitor={"drift": {"columns": ["income", "email"]}})
    assert any("email is not watched: it is hashed, and there is no key: " in text for text in state.problems)
    assert set(world.reference()[0].columns) == {"income"}


def test_rows_that_are_kept_beside_predictions_are_treated_too(world: World) -> None:
    [digest] = world.digests
    quality = {"metric": "mean_absolute_error", "margin": 0.3, "slices": ["email", "postcode"]}
    world.look(digest, monitor={"quality": [quality], "estimate": [{"metric": "mean_absolute_error", "margin": 0.3}]})
    _, rows = world.reference()
    assert set(rows["input_postcode"].to_pylist()) == {"SW", "AB", "XY"}
    assert world.keys.hashed(EMAIL) in rows["input_email"].to_pylist() and "input_name" not in rows.column_names
    for info in world.store.list("monitors/"):
        content = world.store.get(info.key)
        assert EMAIL.encode() not in content and b"Person 0 1" not in content, info.key


def test_after_a_deletion_the_reference_is_made_anew_of_the_rest_and_nothing_of_the_old_one_is_left(world: World) -> None:
    [digest] = world.digests
    quality = {"metric": "mean_absolute_error", "margin": 0.3, "slices": ["email"]}
    world.look(digest, monitor={"quality": [quality]})
    [before] = world.kept()
    [log] = world.store.list("predictions/")
    world.store.delete(log.key)  # it is the snapshot alone that says so
    proof = world.erase()
    assert world.kept() == []
    removed = {each.key.rpartition("/")[2]: each for each in proof.objects if each.key.startswith(references("loans"))}
    assert set(removed) == {"inputs.arrow", "labelled.arrow", "predictions.arrow", "about.json"}
    assert (removed["inputs.arrow"].rows, removed["labelled.arrow"].rows, removed["inputs.arrow"].after) == (1, 1, None)
    assert proof.searched["references of monitors"] == 4 and proof.left == 0
    state = world.look(digest, monitor={"quality": [quality]})
    [after] = world.kept()
    inputs, rows = world.reference()
    assert before != after == state.reference and inputs.rows == ROWS - 1 and rows.num_rows == ROWS - 1
    assert world.keys.hashed(EMAIL) not in rows["input_email"].to_pylist()
    assert world.look(digest, monitor={"quality": [quality]}).reference == after and world.kept() == [after]
    assert world.erase().rows == 0, "and it stays"
    assert world.kept() == [after]


def test_what_a_version_is_held_against_by_another_declaration_does_not_stay_beside_the_newest(world: World) -> None:
    [digest] = world.digests
    world.look(digest)
    first = world.kept()
    world.look(digest, model_uri="models:/loans/4")
    world.look(digest, monitor={"drift": {"columns": ["income"]}})
    assert len(world.kept()) == 2 and first[0] not in world.kept(), "another version's stays"


def test_a_look_that_read_rows_before_they_were_deleted_keeps_nothing_of_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    [digest] = world.digests
    made = monitor_reference._made

    def erased_meanwhile(*given: Any) -> Any:
        found = made(*given)
        world.erase()
        return found

    monkeypatch.setattr(monitor_reference, "_made", erased_meanwhile)
    with pytest.raises(RetryableError, match="look again"):
        world.look(digest)
    assert world.kept() == []
    monkeypatch.undo()
    monkeypatch.setattr(monitor_model, "load_entry_point", lambda _: contract())
    world.look(digest)
    assert world.reference()[0].rows == ROWS - 1


def test_while_rows_are_being_deleted_a_look_goes_on_and_keeps_no_reference(world: World) -> None:
    [digest] = world.digests
    announced = announcement_of(world.store, "loans", Subject.of("email", EMAIL, world.keys), "")
    world.store.put(key_of("loans", announced.id), announced.model_dump_json().encode())
    assert world.look(digest).newest_window == f"{MONDAY:%Y-%m-%d}"
    assert world.kept() == []
    world.erase()
    world.look(digest)
    assert len(world.kept()) == 1


def test_of_a_snapshot_by_reference_all_that_is_here_goes_once_its_own_store_deleted_rows(
    world: World, tmp_path: Path
) -> None:
    [digest] = world.digests
    there = StoreAddress(uri=f"file://{tmp_path}/production")
    shutil.copytree(tmp_path / "objects" / "datasets", tmp_path / "production" / "datasets")
    for info in list(world.store.list("datasets/")):
        world.store.delete(info.key)
    known = json.loads(open_store(there).get(f"datasets/loans/{digest}/manifest.json"))
    take(world.store, there, known)
    world.look(digest)
    assert EMAIL.encode() in world.store.get(f"datasets/loans/{digest}/statistics.json")
    first = world.erase()
    assert len(world.kept()) == 1 and any(there.uri in note for note in first.notes), "its rows are not ours to delete"
    subject = Subject.of("email", EMAIL, world.keys)
    Erasing(there, announcement_of(open_store(there), "loans", subject, ""), subject, lambda text: None).run()
    proof = world.erase()
    assert world.kept() == [] and proof.searched[derived.COPIES] == 5
    assert [info.key for info in world.store.list("datasets/")] == [f"datasets/loans/{digest}/manifest.json"]
    world.look(digest)
    assert world.reference()[0].rows == ROWS - 1, "the next look is of what has its place there"
    [after] = {info.key.split("/")[2] for info in world.store.list("datasets/")} - {digest}
    assert EMAIL.encode() not in world.store.get(f"datasets/loans/{after}/statistics.json")


def test_first_answers_with_the_person_go_and_those_that_are_left_have_their_place(world: World) -> None:
    of_others = {"dataset_digest": None, "dataset_key": "", "monitor": {"referenceRows": 500}}
    world.look("", **of_others)
    inputs, _ = world.reference()
    assert {"postcode", "age"} <= set(inputs.columns) and not {"email", "name"} & set(inputs.columns) and inputs.rows == 500
    before = world.reference()[0].columns["income"].numbers.finite.moments
    proof = world.erase()
    assert world.kept() == [] and any(each.key.startswith(references("loans")) for each in proof.objects)
    world.look("", **of_others)
    assert world.reference()[0].rows == 500 and world.reference()[0].columns["income"].numbers.finite.moments != before
    assert world.erase().rows == 0 and len(world.kept()) == 1
