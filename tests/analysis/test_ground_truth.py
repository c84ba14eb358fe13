"""Labels in the object store, from whoever learns them to the runner."""

from __future__ import annotations

import gzip
import io
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heliostat.analysis.ground_truth import GroundTruth
from heliostat.ml.ground_truth import Label, record
from heliostat.spec.addresses import StoreAddress
from heliostat.systems.errors import PermanentError, RetryableError


@pytest.fixture
def address(tmp_path):
    return StoreAddress(uri=f"file://{tmp_path}")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "ground-truth" / "halves" / "date=2013-07-09"
    path.mkdir(parents=True)
    return path


def read(address, **limits):
    truth = GroundTruth(address, "halves", **limits)
    truth.refresh()
    return truth


def test_recorded_labels_are_read(address):
    record(address, "halves", [Label("a", 1), Label("b", True, row=2), Label("c", 0.25)])
    record(address, "others", [Label("z", 1)])
    assert read(address).labels == {("a", 0): 1.0, ("b", 2): 1.0, ("c", 0): 0.25}


def test_recording_the_same_again_makes_no_other_object(address, tmp_path):
    assert record(address, "halves", [Label("a", 1), Label("b", 0)]) == record(
        address, "halves", [Label("b", 0), Label("a", 1)]
    )
    assert len(list((tmp_path / "ground-truth/halves").iterdir())) == 1


def test_no_labels_make_no_object(address, tmp_path):
    assert record(address, "halves", []) is None
    assert not (tmp_path / "ground-truth").exists()


def test_labels_that_say_nothing_are_refused_all_at_once(address, tmp_path):
    with pytest.raises(PermanentError, match=r"nan.*|inf") as raised:
        record(address, "halves", [Label("a", float("nan")), Label("", 1), Label("c", 1, row=-1), Label("d", 1)])
    assert all(name in str(raised.value) for name in ("'a'", "request_id=''", "'c'"))
    assert "'d'" not in str(raised.value)
    assert not (tmp_path / "ground-truth").exists()


def test_json_lines_and_parquet_of_others_are_read_without_a_row(address, folder):
    (folder / "a.jsonl").write_text('{"request_id":"a","label":true}\n{"request_id":"b","label":0,"row":3,"by":"ada"}\n')
    pq.write_table(pa.table({"request_id": ["c"], "label": [1]}), folder / "b.parquet")
    (folder / "README.txt").write_text("not a label")
    assert read(address).labels == {("a", 0): 1.0, ("b", 3): 0.0, ("c", 0): 1.0}


def as_parquet(rows):
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


ROWS = [
    {"request_id": "a", "row": 0, "label": 1.0, "by": "ada"},
    {"request_id": "b", "row": 3, "label": 0.0, "by": None},
    {"request_id": "c", "row": 0, "label": None, "by": None},
]
FORMS = {
    "l.parquet": as_parquet(ROWS),
    "l.jsonl": b"\xef\xbb\xbf" + b"\r\n".join(json.dumps(row).encode() for row in ROWS),
    "L.NDJSON": b"\n\n".join(json.dumps(row).encode() for row in ROWS) + b"\n",
    "l.csv": b'\xef\xbb\xbfrequest_id, row ,label,by\r\na,0,true,"a\nda"\r\nb,3,0,\r\n\r\nc,,,\r\n',
    "l.tsv": b"label\trequest_id\trow\n1\ta\t0\nFalse\tb\t3\n\tc\t\n",
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", list(FORMS))
def test_labels_are_read_in_each_form(address, folder, name, packed):
    content = FORMS[name]
    (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)
    truth = read(address)
    assert truth.labels == {("a", 0): 1.0, ("b", 3): 0.0}
    assert (truth.mistakes, truth.left_out) == ({}, "")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"request_id":"x","label":', "EOF while parsing"),
        (b"[1]", "[1] is no object with request_id and label"),
        (b'{"id":"x","label":1}', "it has no request_id, but id, label"),
        (b'{"request_id":"x"}', "it has no label, but request_id"),
        (b'{"request_id":null,"label":1}', "the request_id null is none"),
        (b'{"request_id":"x","label":"late"}', 'the label "late" is no finite number'),
        (b'{"request_id":"x","label":1e999}', "is no finite number"),
        (b'{"request_id":"x","label":1' + b"0" * 400 + b"}", "is no finite number"),
        (b'{"request_id":"x","label":1,"row":-1}', "the row -1 is no number from 0"),
        (b'{"request_id":"x","label":1,"row":0.5}', "the row 0.5 is no number from 0"),
        (b"[" * 200_000, "recursion limit exceeded"),
        (b"\xff\xfe", "expected value"),
    ],
)
def test_a_line_that_is_no_label_costs_no_other_and_is_told(address, folder, caplog, line, reason):
    (folder / "a.jsonl").write_bytes(b'{"request_id":"a","label":1}\n' + line + b'\n{"request_id":"b","label":0}\n')
    truth = read(address)
    truth.refresh()
    assert truth.labels == {("a", 0): 1.0, ("b", 0): 0.0}
    [told] = truth.mistakes.values()
    assert told.startswith("1 of 3 lines are no labels, line 2 first: ")
    assert reason in told
    assert told in truth.left_out
    assert len(caplog.records) == 1, "told once"


def test_lines_of_a_table_that_are_no_labels_are_counted(address, folder):
    (folder / "a.csv").write_text("request_id,label\na,1\nb\nc,late\nd,0\n")
    (folder / "b.parquet").write_bytes(as_parquet([{"request_id": "e", "label": 1.0}, {"request_id": None, "label": 1.0}]))
    truth = read(address)
    assert truth.labels == {("a", 0): 1.0, ("d", 0): 0.0, ("e", 0): 1.0}
    assert [text.partition(",")[0] for _, text in sorted(truth.mistakes.items())] == [
        "2 of 4 lines are no labels",
        "1 of 2 lines are no labels",
    ]


def test_a_file_of_another_form_is_named_and_what_is_about_files_is_not(address, folder):
    for name in ("labels.xlsx", "labels.json", "labels.jsonl.zst", "labels", "_SUCCESS", ".a.jsonl.crc"):
        (folder / name).write_text("x")
    truth = read(address)
    assert sorted(Path(key).name for key in truth.mistakes) == ["labels", "labels.json", "labels.jsonl.zst", "labels.xlsx"]
    assert all("it is not read: labels are in files that end with" in text for text in truth.mistakes.values())
    assert "labels.xlsx" in truth.left_out


def test_what_is_whole_of_a_torn_packed_file_is_read(address, folder):
    content = b"".join(b'{"request_id":"r-%d","label":1}\n' % number for number in range(20_000))
    whole = gzip.compress(b'{"request_id":"first","label":1}\n')
    (folder / "a.jsonl.gz").write_bytes(whole + gzip.compress(content)[:-2_000])
    truth = read(address)
    assert ("first", 0) in truth.labels
    assert 1_000 < len(truth.labels) < 20_000
    assert "it cannot be unpacked to its end" in truth.left_out


def test_a_newer_object_corrects_an_older_one_and_is_read_when_it_comes(address, folder):
    (folder / "b-old.jsonl").write_text('{"request_id":"a","label":0}\n{"request_id":"b","label":0}\n')
    os.utime(folder / "b-old.jsonl", (1, 1))
    (folder / "a-new.jsonl").write_text('{"request_id":"a","label":1}\n')
    truth = read(address)
    assert truth.labels == {("a", 0): 1.0, ("b", 0): 0.0}
    (folder / "c.jsonl").write_text('{"request_id":"b","label":1}\n')
    truth.refresh()
    assert truth.labels["b", 0] == 1.0


def test_what_is_no_table_of_labels_is_named_and_the_rest_is_read(address, folder):
    (folder / "a.jsonl").write_text('{"id":"a"}\n')
    Path(folder, "b.parquet").write_bytes(b"PAR1 nonsense")
    (folder / "c.jsonl").write_text('{"request_id":"c","label":null}\n{"request_id":"d","label":1}\n')
    truth = read(address)
    assert truth.labels == {("d", 0): 1.0}
    assert sorted(Path(key).name for key in truth.mistakes) == ["a.jsonl", "b.parquet"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("endless.jsonl", b'{"request_id":"a","row":1e999,"label":1}\n'),
        ("too-large.jsonl", b'{"request_id":"a","label":1' + b"0" * 400 + b"}\n"),
        ("torn.jsonl", b'{"request_id":"a","la'),
        ("deep.jsonl", b"[" * 200_000),
        ("empty.parquet", b""),
        ("torn.parquet", None),
    ],
)
def test_a_damaged_file_is_left_out_with_one_warning_and_the_rest_is_read(address, folder, caplog, name, content):
    if content is None:  # what is left of its pages does not unpack
        pq.write_table(pa.table({"request_id": ["c"] * 5_000, "label": range(5_000)}), folder / name)
        whole = bytearray((folder / name).read_bytes())
        whole[40:2_000] = bytes(1_960)
        content = bytes(whole)
    (folder / name).write_bytes(content)
    (folder / "z.jsonl").write_text('{"request_id":"d","label":1}\n')
    truth = read(address)
    truth.refresh()
    assert truth.labels == {("d", 0): 1.0}
    assert [Path(key).name for key in truth.mistakes] == [name]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    (folder / name).unlink()
    (folder / name.replace("parquet", "jsonl")).write_text('{"request_id":"e","label":1}\n')
    truth.refresh()
    assert truth.labels["e", 0] == 1.0


def test_a_damaged_file_that_is_put_right_is_no_mistake_any_more(address, folder):
    (folder / "a.jsonl").write_text("nonsense")
    truth = read(address)
    assert truth.mistakes
    (folder / "a.jsonl").write_text('{"request_id":"a","label":1}\n')
    truth.refresh()
    assert (truth.labels, truth.mistakes) == ({("a", 0): 1.0}, {})


def test_what_the_store_did_not_give_is_asked_for_again(address, folder, monkeypatch):
    put(folder, "old", 1, "a")
    put(folder, "new", 2, "b")
    truth = GroundTruth(address, "halves")
    get = truth._store.get

    def away(key):
        if "old" in key:
            raise RetryableError("the store is away")
        return get(key)

    monkeypatch.setattr(truth._store, "get", away)
    with pytest.raises(RetryableError):
        truth.refresh()
    assert truth.labels == {("b", 0): 1.0}
    monkeypatch.setattr(truth._store, "get", get)
    truth.refresh()
    assert truth.labels == {("a", 0): 1.0, ("b", 0): 1.0}


def put(folder, name, at, *requests, label=1):
    path = folder / f"{name}.jsonl"
    path.write_text("".join(f'{{"request_id":"{request}","label":{label}}}\n' for request in requests))
    os.utime(path, (at, at))


def test_a_label_of_an_older_object_that_comes_later_corrects_nothing(address, folder):
    put(folder, "new", 9, "a", label=1)
    truth = read(address)
    put(folder, "late", 5, "a", "b", label=0)
    truth.refresh()
    assert truth.labels == {("a", 0): 1.0, ("b", 0): 0.0}


def test_beyond_what_fits_the_oldest_go_and_never_come_back(address, folder, monkeypatch):
    put(folder, "a-oldest", 1, "x", "y", label=0)
    put(folder, "b-old", 2, "k", "l")
    put(folder, "c-new", 3, "x", "m")
    truth = GroundTruth(address, "halves", most=3)
    opened = []
    get = truth._store.get
    monkeypatch.setattr(truth._store, "get", lambda key: opened.append(Path(key).name) or get(key))
    truth.refresh()
    assert opened == ["c-new.jsonl", "b-old.jsonl"]
    opened.clear()
    newest = {("x", 0): 1.0, ("m", 0): 1.0}
    assert newest.items() <= truth.labels.items()
    assert len(truth.labels) == 3
    truth.refresh()
    assert opened == [], "what was passed over counts as read"
    put(folder, "d-newest", 4, "n", "o")
    truth.refresh()
    assert opened == ["d-newest.jsonl"]
    assert set(truth.labels) < {("n", 0), ("o", 0), ("x", 0), ("m", 0)}
    assert {("n", 0), ("o", 0)} < set(truth.labels)
    assert truth.labels.get(("x", 0), 1.0) == 1.0
    assert truth.requests == {request for request, _ in truth.labels}
    put(folder, "e-late", 2, "p")
    truth.refresh()
    assert opened == ["d-newest.jsonl"], "it is older than what was forgotten"
    assert ("p", 0) not in truth.labels


def test_without_any_there_is_no_truth(address):
    assert read(address).labels == {}


def test_no_more_labels_are_kept_than_fit(address, folder):
    for number in range(4):
        path = folder / f"{number}.jsonl"
        path.write_text("".join(f'{{"request_id":"{number}-{n}","label":1}}\n' for n in range(10)))
        os.utime(path, (number, number))
    labels = read(address, most=20).labels
    assert {name.partition("-")[0] for name, _ in labels} == {"2", "3"}


def test_labels_of_a_review_have_the_weight_of_their_chance_within_the_log(address, folder):
    given = {"a": {"weight": 20.0, "logged": 0.5}, "b": {"weight": 1}, "c": {"weight": 0}, "d": {"weight": "none"}, "e": {}}
    lines = [{"request_id": name, "label": 1, **more} for name, more in given.items()]
    (folder / "r.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (folder / "r.csv").write_text("request_id,label,weight\nf,1,4\ng,1,\n")
    pq.write_table(pa.table({"request_id": ["h"], "label": [1.0], "weight": [3.0], "logged": [None]}), folder / "r.parquet")
    assert read(address).weights == {("a", 0): 10.0, ("b", 0): 1.0, ("f", 0): 4.0, ("h", 0): 3.0}


@pytest.mark.parametrize("order", [("plain", "review"), ("review", "plain")])
@pytest.mark.parametrize("together", [True, False])
def test_a_row_whose_truth_came_by_another_way_as_well_counts_as_one(address, folder, order, together):
    truth = GroundTruth(address, "halves")
    for age, name in enumerate(order):
        weight = {"weight": 20.0} if name == "review" else {}
        (folder / f"{name}.jsonl").write_text(json.dumps({"request_id": "a", "label": age, **weight}))
        os.utime(folder / f"{name}.jsonl", (1e9 + age, 1e9 + age))
        if not together:
            truth.refresh()
    truth.refresh()
    assert (truth.labels, truth.weights) == ({("a", 0): 1.0}, {})


def test_a_label_that_is_forgotten_has_no_weight_left(address, folder):
    for age, name in enumerate(("old", "new")):
        (folder / f"{name}.jsonl").write_text(json.dumps({"request_id": name, "label": 1, "weight": 2}))
        os.utime(folder / f"{name}.jsonl", (1e9 + age, 1e9 + age))
    assert read(address, most=1).weights == {("new", 0): 2.0}
