"""What waits on a node to be stored: it is its own stack's, and nobody else's."""

from __future__ import annotations

import datetime as dt
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel
from serving_fakes import seal_here

from heliostat.analysis.logged_requests import LoggedRequests
from heliostat.serving.prediction_log.columns import Columns
from heliostat.serving.prediction_log.spools import Head, folder_of, identity
from heliostat.serving.prediction_log.writer import PredictionLog
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.review import Review, ReviewProbability
from heliostat.spec.workload import PredictionLog as Settings
from heliostat.systems.objects import open_store


class Ask(BaseModel):
    size: float


class Told(BaseModel):
    p: float


@pytest.fixture
def ours(tmp_path):
    return StoreAddress(uri=f"file://{tmp_path}/ours")


@pytest.fixture
def theirs(tmp_path):
    return StoreAddress(uri=f"file://{tmp_path}/theirs")


@pytest.fixture
def spool(tmp_path):
    return tmp_path / "spool"


def open_log(store, spool):
    return PredictionLog(Settings(flush_seconds=0.01), store, spool, "flights", "1-abc", Columns.of(Ask, Told), seal=seal_here)


def stored(store):
    """Ids of the requests in a store."""
    objects = open_store(store)
    content = [objects.get(info.key) for info in objects.list("predictions/")]
    return [name for each in content for name in pq.ParquetFile(io.BytesIO(each)).read()["request_id"].to_pylist()]


def replayed(store, spool):
    """What a comparison run of this stack would send again."""
    return [ask.request_id for asks in LoggedRequests("flights", store, spool).newest(1000) for ask in asks]


def looked(store, spool):
    """A replica of the stack comes, looks at what was left, and goes."""
    log = open_log(store, spool)
    log._recover()
    log.close()


def aged(spool):
    """No writer lives that has just made them."""
    for path in spool.rglob("*.jsonl"):
        os.utime(path, (time.time() - 10,) * 2)


def killed(store, spool, name):
    """A replica that logs one request and is killed."""
    program = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_spools import *
log = open_log(StoreAddress(uri={store.uri!r}), Path({str(spool)!r}))
log.add(b{name!r}, b'{{"size":1}}', 1, b'{{"p":1}}', 0.001)
while not log._spool or b{name!r} not in log._spool.path.read_bytes():
    time.sleep(0.01)
print("flushed", flush=True)
time.sleep(60)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"flushed\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    aged(spool)


def test_a_killed_replicas_rows_go_to_its_own_stack_although_another_serves_the_same_name(ours, theirs, spool):
    killed(ours, spool, "of-ours")
    assert replayed(theirs, spool) == [], "a comparison sends no other stack's requests"
    assert replayed(ours, spool) == ["of-ours"]
    looked(theirs, spool)
    assert stored(theirs) == []
    looked(ours, spool)
    assert (stored(ours), stored(theirs)) == (["of-ours"], [])
    assert not list(spool.rglob("*.jsonl")), "what is stored needs no spool"


def test_a_spool_that_lies_in_another_stacks_folder_stays_there_and_is_told_of(ours, theirs, spool, caplog):
    killed(ours, spool, "of-ours")
    shutil.move(folder_of(spool, ours, "flights"), folder_of(spool, theirs, "flights"))
    looked(theirs, spool)
    assert replayed(theirs, spool) == stored(theirs) == []
    [found] = spool.rglob("*.jsonl")
    assert f"{found} stays where it is: it is for application flights and store {ours.uri}" in caplog.text


def test_a_spool_of_another_application_of_the_same_stack_is_none_of_ours(ours, spool):
    killed(ours, spool, "r")
    folder = folder_of(spool, ours, "flights")
    folder.rename(folder.with_name("trains"))
    looked(ours, spool)
    assert stored(ours) == []


@pytest.fixture
def older(spool):
    """Left by a release that named spools by application alone."""
    folder = spool / "flights"
    folder.mkdir(parents=True)
    entry = {"version": "1-abc", "time": 1.0, "latency_ms": 1.0, "inputs": [{"size": 4.0}], "predictions": [{"p": 2.0}]}
    (folder / "0f.jsonl").write_text(f"{json.dumps({'request_id': 'old', **entry})}\n")
    aged(spool)
    return folder / "0f.jsonl"


def test_a_spool_of_an_older_release_waits_and_is_told_of_once(ours, spool, older, caplog):
    log = open_log(ours, spool)
    log._recover()
    log._recover()
    log.close()
    assert stored(ours) == []
    assert older.exists()
    [told] = [record.getMessage() for record in caplog.records]
    assert f"1 spools of an earlier release in {older.parent}" in told
    assert str(folder_of(spool, ours, "flights")) in told


def test_a_spool_of_an_older_release_is_stored_once_somebody_says_whose_it_is(ours, spool, older):
    folder = folder_of(spool, ours, "flights")
    folder.mkdir(parents=True)
    older.rename(folder / older.name)
    assert replayed(ours, spool) == ["old"]
    aged(spool)
    looked(ours, spool)
    assert stored(ours) == replayed_of_files(ours, spool) == ["old"]


def replayed_of_files(store, spool):
    assert not list(spool.rglob("*.jsonl"))
    openings = open_store(store)
    [info] = openings.list("predictions/")
    openings.put(f"predictions/flights/date={dt.datetime.now(dt.UTC):%Y-%m-%d}/today.parquet", openings.get(info.key))
    openings.delete(info.key)
    return replayed(store, spool)


def test_files_of_an_older_release_are_still_replayed(ours, spool):
    columns = {
        "request_id": pa.array(["one", "two", "two"]),
        "row": pa.array([0, 0, 1], pa.int32()),
        "time": pa.array([dt.datetime.now(dt.UTC)] * 3, pa.timestamp("us", "UTC")),
        "version": pa.array(["1-abc"] * 3),
        "latency_ms": pa.array([1.0] * 3),
        "input_size": pa.array([1.0, 2.0, 3.0]),
        "input_day": pa.array([dt.datetime(2013, 7, 9)] * 3, pa.timestamp("s")),
        "prediction_p": pa.array([0.5] * 3),
    }
    content = io.BytesIO()
    pq.write_table(pa.table(columns), content)
    open_store(ours).put(f"predictions/flights/date={dt.datetime.now(dt.UTC):%Y-%m-%d}/a.parquet", content.getvalue())
    found = [ask for asks in LoggedRequests("flights", ours, spool, frozenset({"day"})).newest(10) for ask in asks]
    assert [json.loads(ask.body) for ask in found] == [
        {"rows": [{"size": 2.0, "day": "2013-07-09"}, {"size": 3.0, "day": "2013-07-09"}]},
        {"size": 1.0, "day": "2013-07-09"},
    ]


def test_a_line_that_is_no_prediction_is_kept_aside_and_costs_no_other(ours, spool, caplog):
    killed(ours, spool, "r")
    [path] = spool.rglob("*.jsonl")
    with path.open("ab") as file:
        entry = path.read_bytes().split(b"\n")[1]
        file.write(b'no json\n[1\n2]\n3,4\n{"request_id":"x"}\n')
        file.write(entry.replace(b'"predictions":[', b'"predictions":[{"p":1},') + b"\n")
        file.write(entry.replace(b'"time":', b'"time":1e300,"was":') + b"\n")
        file.write(entry.replace(b'"r"', b'"s"') + b"\n")
    aged(spool)
    assert {"r", "s"} <= set(replayed(ours, spool))
    looked(ours, spool)
    assert stored(ours) == ["r", "s"]
    objects = open_store(ours)
    [info] = objects.list("predictions-unread/flights/")
    lines = [json.loads(line) for line in objects.get(info.key).splitlines()]
    assert [line["line"][:9] for line in lines] == ["no json\n", "[1\n", "2]\n", "3,4\n", *['{"request'] * 3]
    assert "7 lines of" in caplog.text
    assert "predictions-unread/flights/" in caplog.text


def test_lines_that_make_a_list_of_values_together_are_none_each(ours, spool):
    killed(ours, spool, "r")
    [path] = spool.rglob("*.jsonl")
    with path.open("ab") as file:
        file.write(b"[1\n2]\n3,4\n")  # with the lines around them as many values as lines
    aged(spool)
    looked(ours, spool)
    assert stored(ours) == ["r"]
    objects = open_store(ours)
    [info] = objects.list("predictions-unread/flights/")
    assert [json.loads(line)["line"] for line in objects.get(info.key).splitlines()] == ["[1\n", "2]\n", "3,4\n"]


def test_a_store_is_itself_however_its_address_is_written():
    same = [
        [StoreAddress(uri="file:///a/b"), StoreAddress(uri="file:///a/b/"), StoreAddress(uri="file:///a/./b")],
        [StoreAddress(uri="s3://b/p"), StoreAddress(uri="s3://b/p/", region="eu-west-1")],
        [
            StoreAddress(uri="s3://b/p", endpoint="http://localhost:1"),
            StoreAddress(uri="s3://b/p", endpoint="http://localhost:1/"),
        ],
        [StoreAddress(uri="s3://b")],
        [StoreAddress(uri="gs://b/p"), StoreAddress(uri="gs://b/p/", region="EU")],
        [StoreAddress(uri="gs://b")],
        [StoreAddress(uri="file:///a")],
    ]
    names = [{identity(address) for address in group} for group in same]
    assert [len(group) for group in names] == [1] * len(same)
    assert len(set.union(*names)) == len(same)


def test_a_head_says_of_what_kind_the_answer_is_that_reviews_look_at(tmp_path):
    columns = Columns.of(Ask, Told)
    review = Review(answer=ReviewProbability(field="late_probability"))
    head = Head(store=StoreAddress(uri=tmp_path.as_uri()), application="flights", columns=columns, review=review)
    assert Head.of(head.line) == head
