"""The deletion of a person: every row that is found goes, nothing else does, and a kill anywhere is gone on from."""

from __future__ import annotations

import io
import json
import shutil
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from erasure_worlds import OTHER, ErasureWorld, Killed
from personal_fakes import EMAIL, ROW, opened
from pydantic_core import to_json

from heliostat.governance import objects, snapshots
from heliostat.governance.erasing import announcement_of
from heliostat.governance.subjects import Subject, subject_field
from heliostat.ml.datasets import Snapshot, Tables, save
from heliostat.ml.ground_truth import Label, record
from heliostat.serving.rest.exchange import Request
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.erasure import ErasureProof, content_of, digest_of, key_of
from heliostat.spec.postprocessing import PostprocessingStep
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import open_store
from heliostat.systems.personal_keys import Keyring


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of a world, which is made once and copied for each test."""
    folder = tmp_path_factory.mktemp("made")
    World(folder).fill()
    return folder


@pytest.fixture
def world(tmp_path, made):
    return World(copied(made, tmp_path))


def copied(made, folder):
    shutil.copytree(made, folder, dirs_exist_ok=True)
    return folder


@pytest.mark.parametrize("value", ["ada@example.org", "Müller", 'o"neill\\'])
@pytest.mark.parametrize("ascii_alone", [True, False])
def test_a_line_has_a_person_however_json_writes_the_name_and_one_that_was_put_aside_as_well(value, ascii_alone):
    is_theirs = objects.names(Subject("who", value, frozenset({"hashed"})))
    line = json.dumps({"who": value, "what": 1}, ensure_ascii=ascii_alone).encode()
    aside = to_json({"reason": "no JSON", "line": line.decode("latin-1")})
    assert is_theirs(line) and is_theirs(aside) and is_theirs(b'{"who": "hashed"}')
    assert not is_theirs(json.dumps({"who": f"{value}s", "what": 1}).encode())


class World(ErasureWorld):
    """A store with a prediction log, labels, a review item and a snapshot, in which two people are."""

    def fill(self) -> None:
        self.log(("r-1", [EMAIL]), ("r-2", [OTHER, EMAIL, OTHER]), ("r-3", [OTHER]))
        record(self.address, "loans", [Label("r-1", 1.0), Label("r-2", 1.0, 0), Label("r-2", 0.0, 1), Label("r-3", 1.0)])
        line = json.dumps({"request_id": "r-1", "inputs": {"email": self.keys.hashed(EMAIL)}}).encode() + b"\n"
        self.store.put("reviews/loans/items/a.jsonl", line + line.replace(b"k1:", b"k9:"))
        self.store.put("ground-truth/loans/by-hand.csv", b"request_id,label\nr-1,1\n")
        emails = [EMAIL, OTHER, "x@example.org", EMAIL] + [f"p{number}@example.org" for number in range(20)]
        table = pa.table({"email": emails, "income": [float(n) for n in range(24)], "late": [float(n % 2) for n in range(24)]})
        manifest = save(
            Tables(train=table, validation=table.slice(1, 9), test=table.slice(4), label="late"), "loans", self.store
        )
        self.store.put("datasets/loans/made/abc.json", json.dumps(manifest).encode())

    def log(self, *requests, **version):
        app = opened(self.folder, self.privacy, **version)
        for request_id, emails in requests:
            body = json.dumps({"rows": [{**ROW, "email": email} for email in emails]}).encode()
            assert app.reply(Request("POST", "/predict", b"", {b"x-request-id": request_id.encode()}, body)).status == 200
        app.close()

    def logged(self):
        files = sorted((self.folder / "objects" / "predictions" / "loans").rglob("*.parquet"))
        rows = [row for path in files for row in pq.read_table(path).to_pylist()]
        return sorted((row["request_id"], row["row"]) for row in rows)

    def logged_whole(self):
        """What is logged in files that are not damaged."""
        damaged = self.folder / "objects" / "predictions" / "loans" / "date=2099-01-01" / "damaged.parquet"
        content = damaged.read_bytes()
        damaged.unlink()
        found = self.logged()
        damaged.write_bytes(content)
        return found

    def labels(self):
        rows = [row for path in (self.folder / "objects" / "ground-truth" / "loans").glob("*.parquet")
                for row in pq.read_table(path).to_pylist()]  # fmt: skip
        return sorted((row["request_id"], row["row"]) for row in rows)


REST = [("r-2", 0), ("r-2", 2), ("r-3", 0)]


def test_all_rows_of_the_person_go_and_no_others_and_the_proof_says_which(world):
    assert subject_field(world.store, "loans") == "email"
    proof = world.erase()
    assert world.logged() == REST, "rows keep their numbers in the request"
    assert world.labels() == [("r-2", 0), ("r-3", 0)]
    assert world.store.get("reviews/loans/items/a.jsonl").count(b"\n") == 1
    assert (proof.left, proof.rows) == (0, 2 + 2 + 1 + 2 + 1)
    assert proof.searched["files of the prediction log"] == 1 and proof.searched["snapshots"] == 1
    for each in proof.objects:
        assert objects.sha256(world.store.get(each.key)) == each.after != each.before
    assert any("by-hand.csv" in note for note in proof.notes)
    [snapshot] = proof.snapshots
    assert snapshot.rows == {"train": 2, "validation": 1}
    kept = ErasureProof.model_validate_json(world.store.get(key_of("loans", proof.id, "proof")))
    assert digest_of(kept) == digest_of(proof) == objects.sha256(content_of(proof))
    assert proof.told()["proof"] == digest_of(proof)
    for info in world.store.list():
        content = world.store.get(info.key)
        assert EMAIL.encode() not in content, info.key
        if "erasures" not in info.key:
            assert world.keys.hashed(EMAIL).encode() not in content, info.key


def test_what_the_model_answered_before_steps_goes_too_and_stays_with_the_others_rows(world, tmp_path, monkeypatch):
    (tmp_path / "doubled_loans.py").write_text(
        "def double(rows, answers, given):\n    return [a.model_copy(update={'score': 2 * a.score}) for a in answers]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    steps = (PostprocessingStep(name="double", function="doubled_loans:double"),)
    world.log(("r-9", [OTHER, EMAIL, OTHER]), postprocessing=steps)
    world.erase()
    assert world.logged() == sorted([*REST, ("r-9", 0), ("r-9", 2)])
    world.log(("r-10", [EMAIL, OTHER]), postprocessing=steps)
    rows = [row for path in (world.folder / "objects" / "predictions" / "loans").rglob("*.parquet")
            for row in pq.read_table(path).to_pylist() if "changes" in row]  # fmt: skip
    assert {(row["request_id"], row["row"]) for row in rows} == {("r-9", 0), ("r-9", 2), ("r-10", 0), ("r-10", 1)}
    for row in rows:
        assert (row["model_prediction_score"], row["prediction_score"]) == (50.0, 100.0)
        assert [each["step"] for each in row["changes"]] == ["double"]


def test_what_has_a_snapshot_s_place_says_as_it_did_what_is_personal_and_how_large_a_sample_it_is(world):
    table = pa.table({"email": [EMAIL, *[OTHER] * 8], "income": [1.0] * 9, "late": [0.0, 1.0, 0.0] * 3})
    tables = Tables(train=table, validation=table, test=table, label="late")
    made = save(tables, "loans", world.store, more={"sample": 0.1, "personal": ["email"]})
    after = next(each.after for each in world.erase().snapshots if each.before == made["digest"])
    manifest = json.loads(world.store.get(f"datasets/loans/{after}/manifest.json"))
    assert (manifest["sample"], manifest["personal"]) == (0.1, ["email"])
    for name in ("statistics", "schema"):
        assert OTHER.encode() not in world.store.get(f"datasets/loans/{after}/{name}.json")


def statistics(world, digest):
    return {name: json.loads(world.store.get(f"datasets/loans/{digest}/{name}.json")) for name in ("statistics", "schema")}


def test_statistics_from_before_columns_were_marked_are_made_anew_without_their_values(world):
    table = pa.table({"email": [OTHER] * 9, "name": ["Grace"] * 9, "income": [1.0] * 9, "late": [0.0, 1.0, 0.0] * 3})
    digest = save(Tables(train=table, validation=table, test=table, label="late"), "loans", world.store)["digest"]
    before = statistics(world, digest)
    assert OTHER in str(before["statistics"]) and "Grace" in str(before["schema"]), "when it was made nothing was marked"
    proof = world.erase()
    told = statistics(world, digest)
    assert OTHER not in str(told) and "Grace" not in str(told), "the contract's marks are those of the log"
    columns = told["statistics"]["train"]["columns"]
    assert columns["name"] == {"type": "string", "count": 9, "missing": 0, "distinct": 1}
    assert columns["late"] == before["statistics"]["train"]["columns"]["late"]
    manifest = json.loads(world.store.get(f"datasets/loans/{digest}/manifest.json"))
    assert manifest["personal"] == ["email", "name"]
    removed = {each.key: each for each in proof.objects}
    for name in ("statistics", "schema"):
        each = removed[f"datasets/loans/{digest}/{name}.json"]
        assert each.rows == 0 and each.before != each.after == objects.sha256(world.store.get(each.key))
    assert proof.searched[snapshots.STATISTICS] == 2, "its own, and those of what has the other snapshot's place"
    assert statistics(world, proof.snapshots[0].after)["schema"]["columns"]["email"].keys() == {"type", "required", "role"}
    world.subject = Subject.of("email", "nobody@example.org", world.keys)
    assert not [each for each in world.erase().objects if each.key.startswith("datasets/")], "once is enough"


def test_what_a_job_wrote_beside_the_deletion_goes_with_the_next_one(world):
    [erased] = world.erase().snapshots
    key = f"datasets/loans/{erased.before}/profiles/train.arrow"
    world.store.put(key, EMAIL.encode())
    proof = world.erase()
    assert not world.store.exists(key) and [each.key for each in proof.objects] == [key]


def test_a_snapshot_s_bytes_go_its_name_stays_and_names_what_follows(world):
    before = json.loads(world.store.get("datasets/loans/made/abc.json"))
    [erased] = world.erase().snapshots
    old = json.loads(world.store.get(f"datasets/loans/{erased.before}/manifest.json"))
    assert (old["digest"], old["files"], old["erased"]["successor"]) == (before["digest"], {}, erased.after)
    assert [info.key for info in world.store.list(f"datasets/loans/{erased.before}/")] == [
        f"datasets/loans/{erased.before}/manifest.json"
    ]
    new = json.loads(world.store.get(f"datasets/loans/{erased.after}/manifest.json"))
    assert new["parents"][0]["digest"] == erased.before and new["rows"]["train"] == 22
    assert json.loads(world.store.get("datasets/loans/made/abc.json"))["digest"] == erased.after, "the next `up` takes it"
    table = Snapshot(f"datasets/loans/{erased.after}", world.address).table("train")
    assert EMAIL not in table["email"].to_pylist() and table.num_rows == 22
    emails = [EMAIL, OTHER, "x@example.org", EMAIL] + [f"p{number}@example.org" for number in range(20)]
    again = pa.table({"email": emails, "income": [float(n) for n in range(24)], "late": [float(n % 2) for n in range(24)]})
    with pytest.raises(PermanentError, match="take them out of the source as well"):
        save(Tables(train=again, validation=again.slice(1, 9), test=again.slice(4), label="late"), "loans", world.store)


@pytest.mark.parametrize("after", range(26))
def test_killed_at_any_change_it_goes_on_and_comes_to_the_same(world, after, monkeypatch):
    killed = Killed(world.store, after)
    monkeypatch.setattr(snapshots, "open_store", lambda address: killed)
    try:
        first = world.erase(killed)
    except RetryableError:
        monkeypatch.undo()
        first = None
    proof = first or next(iter(world.proofs), None) or world.erase()
    assert world.logged() == REST
    assert world.labels() == [("r-2", 0), ("r-3", 0)], "the labels of rows that were removed before the kill go too"
    assert proof.left == 0 and proof.rows == 8, "what was removed before the kill is in the proof"
    if first is not None:
        assert killed.calls <= after


def parquet(**columns):
    written = io.BytesIO()
    pq.write_table(pa.table(columns), written)
    return written.getvalue()


def test_a_damaged_file_holds_nothing_up_and_the_proof_says_what_to_do_about_it(world):
    damaged = ("predictions/loans/date=2099-01-01/damaged.parquet", "ground-truth/loans/damaged.parquet")
    for key in damaged:
        world.store.put(key, b"PAR1 cut off")
    assert subject_field(world.store, "loans") == "email", "an older file of the log says it"
    proof = world.erase()
    assert (world.logged_whole(), world.store.exists(damaged[0])) == (REST, True)
    assert [key for key in damaged if any(note.startswith(f"{key} cannot be read") for note in proof.notes)] == [*damaged]


def test_labels_go_however_their_row_is_written(world):
    top = "ground-truth/loans"
    world.store.put(f"{top}/text.parquet", parquet(request_id=["r-2"] * 2, row=["1", "0"], label=[1.0, 0.0]))
    world.store.put(f"{top}/nan.parquet", parquet(request_id=["r-1", "r-3"], row=[float("nan"), 0.0], label=[1.0, 0.0]))
    world.store.put(f"{top}/unsaid.parquet", parquet(label=[1.0]))
    lines = b'\xef\xbb\xbf{"request_id": "r-1", "row": "", "label": 1}\n{"request_id": "r-2", "row": "1", "label": 1}\n'
    kept = b'{"request_id": "r-2", "row": "0", "label": 1}\n[1]\n'
    world.store.put(f"{top}/text.jsonl", lines + kept)
    world.erase()
    assert world.store.get(f"{top}/text.jsonl") == kept
    left = {name: pq.read_table(io.BytesIO(world.store.get(f"{top}/{name}.parquet"))).to_pylist() for name in ("text", "nan")}
    assert left == {
        "text": [{"request_id": "r-2", "row": "0", "label": 0.0}],
        "nan": [{"request_id": "r-3", "row": 0.0, "label": 0.0}],
    }


def test_a_logged_row_without_a_time_goes_where_it_is_theirs_and_stays_where_it_is_not():
    times = pa.array([None, None, 1], pa.timestamp("us", "UTC"))
    content = parquet(request_id=["a", "b", "c"], row=[0, 0, 0], time=times, input_email=["ada", "grace", "grace"])
    cleaned = objects.predictions(content, Subject("email", "ada", frozenset()), 1.0)
    assert cleaned is not None and (cleaned.rows, cleaned.predictions) == (1, (("a", 0),))
    assert pq.read_table(io.BytesIO(cleaned.content))["request_id"].to_pylist() == ["b", "c"]


def test_who_is_erased_already_is_searched_for_again_and_a_row_on_its_way_is_left_out(world):
    first = world.erase()
    again = world.erase()
    assert again.id != first.id and again.rows == 0
    announced = announcement_of(world.store, "loans", world.subject, "")
    assert announced.id not in (first.id, again.id)
    late = announced.model_copy(update={"at": 9e9})
    world.store.put(key_of("loans", late.id), late.model_dump_json().encode())
    world.log(("r-7", [EMAIL, OTHER]))
    assert world.logged() == sorted([*REST, ("r-7", 1)]), "it was stored after the deletion was announced"


def test_who_comes_again_later_is_kept(world):
    world.erase()
    world.log(("r-8", [EMAIL]))
    assert ("r-8", 0) in world.logged()


def test_nobody_is_found_by_a_value_that_nobody_has(world):
    world.subject = Subject.of("email", "nobody@example.org", world.keys)
    before = world.logged()
    assert (world.erase().rows, world.logged()) == (0, before)


def test_numbers_are_people_too_and_other_columns_are_nobody():
    keys = Keyring([("k", b"k" * 32)])
    subject = Subject.of("id", "17", keys)

    def found(*values: pa.Array, of: Subject = subject) -> list[bool]:
        return of.rows_in(pa.chunked_array([*values])).to_pylist()

    assert found([17, 18, None]) == [True, False, False]
    assert found([17.0, 17.5, None, float("nan")]) == [True, False, False, False], "a number of a column with missing values"
    assert found(pa.array([17, 18], pa.uint8())) == found(pa.array([17, 18], pa.float32())) == [True, False]
    assert found(pa.array([17, 18, None]).dictionary_encode()) == [True, False, False]
    assert found(pa.array(["17", None]).dictionary_encode()) == [True, False]
    assert found(pa.array([Decimal("17.00"), Decimal("17.01"), None])) == [True, False, False]
    assert (
        found(pa.array([b"17", b"\xff", None]))
        == found(pa.array(["17", "18", None], pa.string_view()))
        == [True, False, False]
    )
    assert found(pa.array([True, False])) == found(pa.array([["17"], None])) == [False, False]
    assert found(pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array(["17"]))) == [True, True]
    assert pa.types.is_boolean(subject.rows_in(pa.chunked_array([], pa.date32())).type)
    far = Subject.of("id", "9" * 20, keys)
    assert found([17], of=far) == found([1e20], of=far) == [False], "a float that is near is somebody else"
    day = Subject.of("born", "1815-12-10", keys)
    assert found(pa.array([date(1815, 12, 10), date(1906, 12, 9), None]), of=day) == [True, False, False]
    assert found([17], [18], of=day) == [False, False]


def test_without_a_marked_field_it_is_asked_for(tmp_path):
    with pytest.raises(PermanentError, match="no prediction log that could say"):
        subject_field(open_store(StoreAddress(uri=f"file://{tmp_path}")), "loans")
