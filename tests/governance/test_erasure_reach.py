"""Which data sets a deletion reaches: those that an application's versions learned of, however they are called."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from erasure_worlds import OTHER, ErasureWorld, Killed
from personal_fakes import EMAIL

from heliostat.governance import snapshots
from heliostat.governance.reach import reach_of
from heliostat.governance.subjects import Subject
from heliostat.ml.datasets import Tables, save
from heliostat.monitoring.reference import ReferenceAbout
from heliostat.spec import ingested, ledger, monitoring, predictions
from heliostat.spec.batch import ParquetSink, SnapshotSource
from heliostat.spec.jobs import BatchSpecification, SnapshotSpecification
from heliostat.spec.rollouts import Phase
from heliostat.systems.errors import RetryableError
from heliostat.testing.declarations import AT_ONCE, desired, version

APPLICATION = "loans-feature-x-abcdefghij"
NOW = datetime(2026, 3, 2, tzinfo=UTC)
LOGS = {
    "jobs/train-loans-0123456789ab-1.log": True,  # of the data set, and nothing says it but how it is called
    f"jobs/monitor-{APPLICATION}-0123456789ab-1.log": True,
    "jobs/snapshot-scores-0123456789ab-1.log": True,
    "jobs/train-loans-eu-0123456789ab-1.log": False,
    "jobs/snapshot-rents-loans-0123456789ab-1.log": False,
}


TRAININGS = {
    f"trainings/loans/{'1' * 32}.report.json": True,
    f"trainings/loans/{'1' * 32}.workers/trials/1/abc/trial.json": True,
    "mlflow/3/abc/artifacts/training/report.json": True,
    "mlflow/3/abc/artifacts/training/report.txt": True,
    f"trainings/rents/{'1' * 32}.report.json": False,
}


def people(first: int, *emails: str) -> pa.Table:
    there = [*emails, *(f"p{n}@example.org" for n in range(first, first + 20))]
    numbers = [float(n) for n in range(len(there))]
    return pa.table({"email": there, "income": numbers, "late": [n % 2 for n in numbers]})


class World(ErasureWorld):
    """A branch's environment, whose application is not called as its workload, and with it its data set, is. Beside it are one
    that was made of its prediction log, one that was made of that one, and two that have nothing to do with it."""

    application = APPLICATION

    def fill(self) -> None:
        self.digests = {
            name: self.saved(name, people(first, EMAIL, OTHER, EMAIL))
            for first, name in enumerate(("loans", "scores", "ranks", "rents", "rents-loans"))
        }
        self.served(APPLICATION, self.digests["loans"])
        source = {"uri": self.store.uri(f"predictions/{APPLICATION}/")}
        self.made("scores", sources=[source])
        self.made("ranks", parents=[{"name": "scores", "digest": self.digests["scores"]}])
        self.made("rents", sources=[{"uri": self.store.uri("predictions/rents/")}])
        self.store.put(ingested.part_key("scores", "1" * 64), self.parquet(people(0, EMAIL)))
        for key in LOGS:
            self.store.put(key, f"no such person: {EMAIL}\n".encode())
        asked = self.specification("rents-loans")
        self.store.put("jobs/snapshot-rents-loans-0123456789ab-1.json", asked.model_dump_json().encode())
        about = ReferenceAbout(
            digest="d" * 64, model_uri="models:/loans/3", dataset_digest=self.digests["loans"], since=NOW, trained_rows=23,
            rows=21,
        )  # fmt: skip
        for name in ("loans", APPLICATION):
            top = monitoring.reference_top(name, "d" * 64)
            self.store.put(f"{top}inputs.arrow", b"counts")
            self.store.put(f"{top}about.json", about.model_dump_json().encode())
        for key in TRAININGS:
            self.store.put(key, json.dumps({"trials": [{"error": f"ValueError: who is '{EMAIL}'?"}]}).encode())
        self.store.put("evaluations/loans/e.json", json.dumps({"slices": {f"email={EMAIL}]": 1, f"'{EMAIL}'": 2}}).encode())

    def parquet(self, table: pa.Table) -> bytes:
        written = pa.BufferOutputStream()
        pq.write_table(table, written)
        return written.getvalue().to_pybytes()

    def saved(self, name: str, table: pa.Table) -> str:
        tables = Tables(train=table, validation=table.slice(3, 9), test=table.slice(2), label="late")
        return save(tables, name, self.store, more={"personal": ["email"]})["digest"]

    def served(self, application: str, digest: str) -> None:
        target = desired(version=version(model_uri="models:/loans/1", data_digest=digest))
        entry = ledger.Entry(
            number=1, id="1", application=application, at=1.0, kind=ledger.EntryKind.END, rollout=1, phase=Phase.SUCCEEDED,
            strategy=AT_ONCE, previous=None, target=target, weights={target.version.digest: 1.0},
        )  # fmt: skip
        self.store.put(ledger.key_of(application, 1), entry.model_dump_json().encode())

    def made(self, name: str, **made: Any) -> None:
        manifest = json.loads(self.store.get(f"datasets/{name}/{self.digests[name]}/manifest.json"))
        self.store.put(f"datasets/{name}/made/{'7' * 64}.json", json.dumps({**manifest, "made": made}).encode())

    def specification(self, name: str, **given: Any) -> SnapshotSpecification:
        return SnapshotSpecification(
            name=name, entry_point="w.d:snapshot", parameters={}, store=self.address,
            result_key=f"datasets/{name}/made/{'7' * 64}.json", **given,
        )  # fmt: skip

    def batch(self, name: str, application: str, data_set: str) -> BatchSpecification:
        digest = next(each.key.split("/")[2] for each in self.store.list(f"datasets/{data_set}/"))
        return BatchSpecification(
            name=name, application=application, contract="w.c:C", code_digest="2" * 64, model_uri="models:/loans/1",
            source=SnapshotSource(split="test"), dataset_key=f"datasets/{data_set}/{digest}", sink=ParquetSink(),
            key=("email",), columns=(), run={}, store=self.address, tracking_uri="http://127.0.0.1:1",
        )  # fmt: skip

    def mentions(self) -> list[str]:
        """Whatever still has the person in clear, tables included, data sets by name; and all of monitors."""
        found = set()
        for info in self.store.list():
            content = self.store.get(info.key)
            if info.key.endswith(".parquet"):
                content = str(pq.read_table(pa.BufferReader(content)).to_pydict()).encode()
            if EMAIL.encode() in content:
                top, name = info.key.split("/")[:2]
                found.add(name if top == "datasets" else info.key)
        return sorted(found | {info.key for info in self.store.list("monitors/")})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    world = World(tmp_path_factory.mktemp("made"))
    world.fill()
    return world.folder


@pytest.fixture
def world(tmp_path: Path, made: Path) -> World:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    # What a data set says of a log is an address, which is another one in the copy.
    for path in tmp_path.rglob("made/*.json"):
        path.write_text(path.read_text().replace(str(made), str(tmp_path)))
    return World(tmp_path)


NOBODYS = sorted([*(key for key, theirs in (LOGS | TRAININGS).items() if not theirs), "rents", "rents-loans"])


def test_data_sets_are_found_by_what_was_made_of_what_and_no_other_is_touched(world: World) -> None:
    proof = world.erase()
    assert world.mentions() == NOBODYS
    assert proof.data_sets == ("loans", "ranks", "scores")
    assert sorted(each.name for each in proof.snapshots) == ["loans", "ranks", "scores"]
    removed = {each.key: each for each in proof.objects}
    texts = LOGS | TRAININGS
    assert {key for key in texts if key in removed} == {key for key, theirs in texts.items() if theirs}
    assert removed[ingested.part_key("scores", "1" * 64)].rows == 1
    assert proof.left == 0 and f"monitors/loans/references/{'d' * 64}/about.json" in removed, "of another application too"
    assert json.loads(world.store.get("evaluations/loans/e.json"))["slices"].keys() >= {"<personal>"}


def test_what_a_job_was_told_says_it_as_well(world: World) -> None:
    for info in list(world.store.list("ledger/")):
        world.store.delete(info.key)
    assert reach_of(world.store, APPLICATION).data_sets == ("ranks", "scores")
    job = world.batch("loans-nightly-x", APPLICATION, "loans")
    world.store.put("jobs/batch-loans-nightly-x-0123456789ab.scheduled.json", job.model_dump_json().encode())
    assert reach_of(world.store, APPLICATION).data_sets == ("loans", "ranks", "scores")
    assert reach_of(world.store, "nobody").data_sets == ()
    declared = json.loads(next(world.store.get(each.key) for each in world.store.list("datasets/rents/made/")))["digest"]
    assert reach_of(world.store, "nobody", [declared]).data_sets == ("rents",), "or what it is declared with"


def test_a_data_set_that_was_only_refused_is_found_by_what_its_job_was_told(world: World) -> None:
    ingestion = {"source": {"kind": "predictions", "application": APPLICATION, "fields": ["email"]}}
    asked = world.specification("draft", ingestion=ingestion)
    world.store.put("jobs/snapshot-draft-0123456789ab-1.json", asked.model_dump_json().encode())
    row = {"findings": [{"column": "email", "text": f"no {EMAIL!r}", "examples": [{"email": EMAIL}, {"email": OTHER}]}]}
    world.store.put(f"datasets/draft/refused/{'6' * 64}.json", json.dumps(row).encode())
    assert "draft" in world.erase().data_sets
    assert world.mentions() == NOBODYS


def test_what_other_applications_predicted_of_such_a_data_set_goes_and_what_they_logged_is_told(world: World) -> None:
    job = world.batch("loans-nightly", "loans", "loans")
    world.store.put("jobs/batch-loans-nightly-0123456789ab-1.json", job.model_dump_json().encode())
    declared = predictions.Declared(application="loans", sink=ParquetSink())
    world.store.put(predictions.declared_key("loans-nightly", declared), declared.model_dump_json().encode())
    world.store.put(predictions.part_key("loans-nightly", "5" * 64), world.parquet(people(0, EMAIL)))
    proof = world.erase()
    assert world.mentions() == NOBODYS
    told = "what was logged for loans, which learned of loans, ranks, scores as well, is not searched: delete it there too"
    assert told in proof.notes


def test_a_data_set_that_is_made_meanwhile_is_searched_in_the_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    retire = snapshots.retire

    def retired(*arguments: Any) -> None:
        retire(*arguments)
        world.digests = {"late": world.saved("late", people(9, EMAIL))}
        world.made("late", parents=[{"name": "ranks", "digest": "1" * 64}])

    monkeypatch.setattr(snapshots, "retire", retired)
    with pytest.raises(Exception, match="run it again, it goes on"):
        world.erase()
    monkeypatch.undo()
    assert "late" in world.erase().data_sets
    assert world.mentions() == NOBODYS


@pytest.mark.parametrize("after", range(1, 46, 4))
def test_killed_at_any_change_it_goes_on_and_comes_to_the_same(world: World, after: int, monkeypatch: Any) -> None:
    killed = Killed(world.store, after)
    monkeypatch.setattr(snapshots, "open_store", lambda address: killed)
    try:
        proof = world.erase(killed)
    except RetryableError:
        monkeypatch.undo()
        proof = next(iter(world.proofs), None) or world.erase()
    assert world.mentions() == NOBODYS
    assert sorted(each.name for each in proof.snapshots) == ["loans", "ranks", "scores"]


def test_somebody_who_is_nowhere_changes_nothing(world: World) -> None:
    world.subject = Subject.of("email", "nobody@example.org", world.keys)
    before = {info.key: world.store.get(info.key) for info in world.store.list()}
    assert world.erase().rows == 0
    after = {info.key: world.store.get(info.key) for info in world.store.list() if not info.key.startswith("governance/")}
    assert after == {key: content for key, content in before.items() if not key.startswith("governance/")}
