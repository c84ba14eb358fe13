"""The deletion of a person from what monitors keep and from logs of jobs; killed anywhere, it goes on."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from erasure_worlds import OTHER, ErasureWorld, Killed
from personal_fakes import EMAIL

from heliostat.governance import derived, snapshots
from heliostat.governance.mentions import Mentions
from heliostat.governance.subjects import Subject
from heliostat.ml.datasets import Tables, save
from heliostat.monitoring.reference import ReferenceAbout
from heliostat.monitoring.state import MonitorState, state_of
from heliostat.spec import monitoring
from heliostat.spec.findings import Aspect, Finding, State
from heliostat.systems.errors import RetryableError
from heliostat.systems.revisions import Revisions

NOW = datetime(2026, 3, 2, tzinfo=UTC)
THEIRS, NOBODYS = (monitoring.reference_top("loans", digit * 64) for digit in "ab")
LOG = "jobs/train-loans-0123456789ab-1.log"


class World(ErasureWorld):
    """Two snapshots, of which one has the person, with a reference of each; findings by slices, alarms, and a job's log."""

    def fill(self) -> None:
        for emails, top in (([EMAIL, OTHER, EMAIL], THEIRS), ([OTHER] * 3, NOBODYS)):
            people = emails + [f"p{n}@example.org" for n in range(20)]
            numbers = [float(n) for n in range(23)]
            table = pa.table({"email": people, "income": numbers, "late": [n % 2 for n in numbers]})
            tables = Tables(train=table, validation=table.slice(3, 9), test=table.slice(2), label="late")
            digest = save(tables, "loans", self.store, more={"personal": ["email"]})["digest"]
            about = ReferenceAbout(
                digest="d" * 64, model_uri="models:/loans/3", dataset_digest=digest, since=NOW, trained_rows=23, rows=21
            )
            for name in ("inputs", "labelled", "predictions"):
                self.store.put(f"{top}{name}.arrow", b"counts")
            self.store.put(f"{top}about.json", about.model_dump_json().encode())
        revisions = Revisions(self.store, monitoring.states("loans"))
        for text in ("", f"{self.keys.hashed(EMAIL)} is new", f"'{EMAIL}' (3 times)"):
            finding = Finding(
                monitor="loans", aspect=Aspect.QUALITY, subject=f"roc_auc[email={self.keys.hashed(EMAIL)}]", text=text or "-",
                state=State.BREACH, at=NOW,
            )  # fmt: skip
            state = MonitorState(findings={f"loans/quality/{finding.subject}": finding} if text else {})
            revisions.change(lambda _, state=state: state.model_dump_json().encode())
        report = {"findings": [f"row 7: '{EMAIL}' ÷ None", f"row 8: '{OTHER}' ÷ None"]}
        self.store.put(monitoring.window_key("loans", "2026-03-02"), json.dumps(report).encode())
        rows = {"columns": ["income", "email"], "data": [[1.0, EMAIL], [2.0, OTHER], [3.0, EMAIL]]}
        for model, loader in (("ours", "heliostat.ml.pyfunc"), ("theirs", "mlflow.sklearn")):
            self.store.put(f"mlflow/1/models/{model}/MLmodel", f"flavors:\n  loader_module: {loader}\n".encode())
            self.store.put(f"mlflow/1/models/{model}/input_example.json", json.dumps(rows).encode())
            asked = json.dumps({"dataframe_split": rows}).encode()
            self.store.put(f"mlflow/1/models/{model}/serving_input_example.json", asked)
        self.store.put(LOG, f"epoch 1\nValueError: no such person: <{EMAIL}>\n{OTHER}\n".encode())

    @property
    def revisions(self) -> list[MonitorState]:
        keys = sorted(info.key for info in self.store.list(monitoring.states("loans")))
        return [state_of(self.store.get(each)) for each in keys]

    def mentions(self) -> list[str]:
        """Whatever still names the person, or counts them."""
        wanted = (EMAIL.encode(), self.keys.hashed(EMAIL).encode())
        objects = [info.key for top in ("monitors/", "jobs/", "datasets/") for info in self.store.list(top)]
        named = [each for each in objects if any(token in self.store.get(each) for token in wanted)]
        return named + [each for each in objects if each.startswith(THEIRS)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("made"))
    world.fill()
    return world.folder


@pytest.fixture
def world(tmp_path: Path, made: Path) -> World:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return World(tmp_path)


def test_references_texts_and_logs_lose_the_person_and_nobody_else(world):
    assert len(world.mentions()) > 8
    proof = world.erase()
    assert world.mentions() == [] and proof.left == 0
    searched = {derived.REFERENCES: 8, derived.TEXTS: 5, derived.LOGS: 1}
    assert {name: proof.searched[name] for name in searched} == searched
    removed = {each.key: each for each in proof.objects}
    counted = {each.removeprefix(THEIRS): removed[each].rows for each in removed if each.startswith(THEIRS)}
    assert counted == {"inputs.arrow": 2, "labelled.arrow": 1, "predictions.arrow": 1, "about.json": 0}
    assert all(removed[f"{THEIRS}{name}"].after is None for name in counted)
    assert world.store.exists(f"{NOBODYS}inputs.arrow"), "a reference of another snapshot stays"
    report = json.loads(world.store.get(monitoring.window_key("loans", "2026-03-02")))
    assert report == {"findings": ["row 7: <personal> ÷ None", f"row 8: '{OTHER}' ÷ None"]}
    assert removed[monitoring.window_key("loans", "2026-03-02")].rows == 1
    log = world.store.get(LOG).decode().splitlines()
    assert (log[0], log[2]) == ("epoch 1", OTHER) and "a person whose rows were deleted" in log[1]


def test_input_examples_of_models_that_trainings_logged_lose_the_person_s_rows(world):
    theirs = world.store.get("mlflow/1/models/theirs/input_example.json")
    proof = world.erase()
    assert proof.searched["input examples of models"] == 2
    for name in ("input_example", "serving_input_example"):
        found = json.loads(world.store.get(f"mlflow/1/models/ours/{name}.json"))
        assert found.get("dataframe_split", found)["data"] == [[2.0, OTHER]]
    assert world.store.get("mlflow/1/models/theirs/input_example.json") == theirs, "it is known by its digest"
    assert sum(each.rows for each in proof.objects if each.key.startswith("mlflow/")) == 4


def test_the_newest_state_is_a_new_one_so_that_a_look_beside_it_begins_anew(world):
    before = len(world.revisions)
    world.erase()
    assert len(world.revisions) == before + 1
    [finding] = world.revisions[-1].findings.values()
    assert (finding.subject, finding.text) == ("roc_auc[email=<personal>]", "<personal> (3 times)")
    assert finding.state is State.BREACH
    assert list(world.revisions[-1].findings) == ["loans/quality/roc_auc[email=<personal>]"]


@pytest.mark.parametrize("after", range(0, 37, 3))
def test_killed_at_any_change_it_goes_on_and_comes_to_the_same(world, after, monkeypatch):
    killed = Killed(world.store, after)
    monkeypatch.setattr(snapshots, "open_store", lambda address: killed)
    try:
        proof = world.erase(killed)
    except RetryableError:
        monkeypatch.undo()
        proof = next(iter(world.proofs), None) or world.erase()
    assert world.mentions() == []
    theirs = {each.key.removeprefix(THEIRS): each.rows for each in proof.objects if each.key.startswith(THEIRS)}
    assert theirs == {"inputs.arrow": 2, "labelled.arrow": 1, "predictions.arrow": 1, "about.json": 0}
    assert world.store.exists(f"{NOBODYS}about.json")


def test_somebody_who_is_nowhere_changes_nothing(world):
    world.subject = Subject.of("email", "nobody@example.org", world.keys)
    before = {info.key: world.store.get(info.key) for info in world.store.list()}
    assert world.erase().rows == 0
    after = {info.key: world.store.get(info.key) for info in world.store.list() if not info.key.startswith("governance/")}
    assert after == {key: content for key, content in before.items() if not key.startswith("governance/")}


def test_a_cut_off_reference_goes_where_rows_were_removed_that_it_may_have_counted(world):
    world.store.delete(f"{NOBODYS}about.json")
    world.erase()
    assert not [*world.store.list(monitoring.references("loans"))]


def test_a_number_is_a_person_where_it_is_quoted_and_not_in_counts():
    world = Mentions(Subject("id", "1234", frozenset({"hmac:k1:" + "0" * 32})))
    assert world.hidden("1234 of 12345 rows differ") == "1234 of 12345 rows differ"
    assert world.hidden("roc_auc[id=1234]") == "roc_auc[id=<personal>]"
    assert world.hidden("1234") == world.hidden("hmac:k1:" + "0" * 32) == "<personal>"
    assert world.without(b'{"rows": 1234, "text": "1234 rows"}') is None
    assert world.without(b"no JSON: '1234'") is None


def test_other_applications_keep_what_is_theirs(world):
    texts = {"monitors/rents/windows/a.json": f'["{EMAIL}"]', "jobs/train-rents-0123456789ab-1.log": EMAIL}
    for key, text in texts.items():
        world.store.put(key, text.encode())
    world.erase()
    assert {key: world.store.get(key).decode() for key in texts} == texts
