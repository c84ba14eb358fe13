"""The prediction log: off the request's way, and nothing but the last moment lost to a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from serving_fakes import Ask, Told, seal_here

from heliostat.serving.prediction_log import files, sealing, writer
from heliostat.serving.prediction_log.columns import Columns
from heliostat.serving.prediction_log.spools import Head
from heliostat.serving.prediction_log.writer import PredictionLog
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.workload import PredictionLog as Settings
from heliostat.systems.objects import open_store

BODY = b'{"kind":"a","size":4.0,"when":"2013-07-09T19:30:00"}'
COLUMNS = Columns.of(Ask, Told)
ANSWER = b'{"score":2.0}'


@pytest.fixture
def address(tmp_path):
    return StoreAddress(uri=f"file://{tmp_path}/objects")


def open_log(address, tmp_path, seal=seal_here, **settings):
    given = Settings(**{"flush_seconds": 0.05, **settings})
    return PredictionLog(given, address, tmp_path / "spool", "halves", "3-abc", COLUMNS, seal=seal)


def stored(address):
    """Every prediction in the store, and its objects' keys."""
    store = open_store(address)
    keys = [info.key for info in store.list("predictions/halves/")]
    return [row for key in keys for row in pq.read_table(Path(address.uri.removeprefix("file://"), key)).to_pylist()], keys


def until(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found


def close(log):
    """Until all is sealed, however busy the machine is: a replica that ends waits 10 s for that, and leaves the rest."""
    log.close()
    for thread in log._threads:
        thread.join(120)
        assert not thread.is_alive()


def spooled(tmp_path):
    return sorted((tmp_path / "spool").rglob("*.jsonl"))


def aged(path):
    """Left by who is no more: one that was just made may not be locked yet."""
    os.utime(path, (time.time() - 10,) * 2)
    return path


def test_every_prediction_is_stored_with_its_request(address, tmp_path):
    log = open_log(address, tmp_path)
    log.add(b'id"1', BODY, 1, ANSWER, 0.0015)
    log.add(b"id2", b'{ "rows":\n[%s, %s]}\n' % (BODY, BODY), 2, b'{"rows":[{"score":2.0},{"score":3.0}]}', 0.001)
    log.close()
    rows, keys = stored(address)
    assert [(row["request_id"], row["row"], row["prediction_score"]) for row in rows] == [
        ('id"1', 0, 2.0),
        ("id2", 0, 2.0),
        ("id2", 1, 3.0),
    ]
    assert rows[0]["version"] == "3-abc"
    assert rows[0]["latency_ms"] == 1.5
    assert (rows[0]["input_kind"], rows[0]["input_size"], rows[0]["input_when"].hour) == ("a", 4.0, 19)
    assert abs(rows[0]["time"].timestamp() - time.time()) < 60
    assert keys[0].startswith(f"predictions/halves/date={rows[0]['time']:%Y-%m-%d}/")
    assert not spooled(tmp_path), "what is stored needs no spool"


def test_no_sampling_logs_nothing_and_starts_nothing(address, tmp_path):
    log = open_log(address, tmp_path, sampling_rate=0)
    log.add(b"id", BODY, 1, ANSWER, 0.001)
    log.close()
    assert stored(address)[0] == []
    assert not (tmp_path / "spool").exists()


def test_half_of_the_requests_are_sampled(address, tmp_path):
    log = open_log(address, tmp_path, sampling_rate=0.5)
    said = [log.add(b"id", BODY, 1, ANSWER, 0.001) for _ in range(2000)]
    log.close()
    assert sum(said) == len(stored(address)[0]), "whether it is logged is said"
    assert 850 < len(stored(address)[0]) < 1150


def test_a_file_is_closed_at_its_age(address, tmp_path):
    log = open_log(address, tmp_path, roll_seconds=0.2)
    log.add(b"id1", BODY, 1, ANSWER, 0.001)
    until(lambda: len(stored(address)[0]) == 1)
    log.add(b"id2", BODY, 1, ANSWER, 0.001)
    until(lambda: len(stored(address)[1]) == 2)
    log.close()


def test_what_others_left_and_cannot_be_looked_at_now_stops_no_sealing(address, tmp_path, monkeypatch):
    looks = []

    def too_many(path):
        looks.append(path)
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(writer, "spools_in", too_many)
    log = open_log(address, tmp_path)
    until(lambda: looks)
    monkeypatch.undo()
    log.add(b"id1", BODY, 1, ANSWER, 0.001)
    close(log)
    assert [row["request_id"] for row in stored(address)[0]] == ["id1"]


def test_a_killed_replica_loses_only_what_was_not_flushed(address, tmp_path):
    program = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_prediction_log import *
from pathlib import Path
log = open_log(StoreAddress(uri={address.uri!r}), Path({str(tmp_path)!r}))
for n in range(500):
    log.add(b"id%d" % n, BODY, 1, ANSWER, 0.001)
until(lambda: [path for path in spooled(Path({str(tmp_path)!r})) if path.read_bytes().count(b"\\n") == 501], 60)
print("flushed", flush=True)
time.sleep(60)
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"flushed\n"
    alive = open_log(address, tmp_path)
    aged(spooled(tmp_path)[0])
    alive._recover()
    assert stored(address)[0] == [], "the file of a writer that lives is its own"
    alive.close()
    child.send_signal(signal.SIGKILL)
    child.wait()
    with spooled(tmp_path)[0].open("ab") as file:
        file.write(b'{"request_id":"torn')
    aged(spooled(tmp_path)[0])
    heir = open_log(address, tmp_path)
    until(lambda: len(stored(address)[0]) == 500)
    heir.close()
    assert not spooled(tmp_path)


def test_storing_a_spool_again_writes_the_same_object(address, tmp_path):
    log = open_log(address, tmp_path)
    log.add(b"id", BODY, 1, ANSWER, 0.001)
    [spool] = until(lambda: [path for path in spooled(tmp_path) if path.stat().st_size])
    copy = spool.read_bytes()
    log.close()
    first = stored(address)
    spool.write_bytes(copy)
    files.store(spool, Head(store=address, application="halves", columns=Columns()))
    assert stored(address) == first


def test_an_entry_of_before_midnight_is_kept_under_its_day(address, tmp_path):
    spool = tmp_path / "s.jsonl"
    line = '{{"request_id":"x","version":"1","time":{},"latency_ms":1.0,"inputs":[{{"a":1}}],"predictions":[{{"b":2}}]}}\n'
    spool.write_text(line.format(1373414399.5) + line.format(1373414400.5))
    assert files.store(spool, Head(store=address, application="halves", columns=COLUMNS)).predictions == 2
    assert [key.split("/")[2] for key in stored(address)[1]] == ["date=2013-07-09", "date=2013-07-10"]


def test_a_full_disk_drops_entries_and_counts_them_and_fails_no_request(address, tmp_path, monkeypatch):
    log = open_log(address, tmp_path)
    log.add(b"id0", BODY, 1, ANSWER, 0.001)
    until(lambda: [path for path in spooled(tmp_path) if path.stat().st_size])
    real = os.write

    def full(descriptor, data):
        real(descriptor, data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("heliostat.serving.prediction_log.writer.os.write", full)
    log.add(b"id1", BODY, 1, ANSWER, 0.001)
    until(lambda: log.dropped == 1)
    monkeypatch.setattr("heliostat.serving.prediction_log.writer.os.write", real)
    log.add(b"id2", BODY, 1, ANSWER, 0.001)
    log.close()
    assert [row["request_id"] for row in stored(address)[0]] == ["id0", "id2"], "no half line may stay in the file"


def test_memory_is_bounded_where_the_writer_cannot_follow(address, tmp_path, monkeypatch):
    monkeypatch.setattr("heliostat.serving.prediction_log.writer._MOST_WAITING_ROWS", 10)
    log = open_log(address, tmp_path, flush_seconds=60)
    for _ in range(15):
        log.add(b"id", BODY, 1, ANSWER, 0.001)
    assert log.dropped == 5
    log.close()
    assert len(stored(address)[0]) == 10


def test_a_store_that_cannot_be_reached_keeps_the_spool(address, tmp_path, caplog):
    log = open_log(address, tmp_path, seal=sealing.seal)
    log.add(b"id", BODY, 1, ANSWER, 0.001)
    Path(tmp_path, "objects").write_text("no folder")
    close(log)
    Path(tmp_path, "objects").unlink()
    assert "cannot be stored yet: PermanentError: cannot write" in caplog.text
    [spool] = spooled(tmp_path)
    aged(spool)
    log = open_log(address, tmp_path)
    until(lambda: len(stored(address)[0]) == 1)
    log.close()


def test_a_spool_is_sealed_by_the_program_of_an_earlier_release_s_name_too(address, tmp_path, monkeypatch):
    monkeypatch.setattr(sealing, "_SEALER", "heliostat.ml.sealing")  # replicas that run know it by no other
    log = open_log(address, tmp_path, seal=sealing.seal)
    log.add(b"id", BODY, 1, ANSWER, 0.001)
    close(log)
    assert len(stored(address)[0]) == 1


def test_what_seals_leaves_the_cores_to_replicas_before_it_imports_anything(address, tmp_path, monkeypatch):
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\nread -r head\necho "{\\"predictions\\": $(nice)}"\n')
    program.chmod(0o700)
    monkeypatch.setattr(sealing.sys, "executable", str(program))
    sealed = sealing.seal(
        tmp_path / "a.jsonl", os.open(tmp_path, os.O_RDONLY), Head(store=address, application="a", columns=Columns())
    )
    assert sealed.predictions == min(os.getpriority(os.PRIO_PROCESS, 0) + 10, 19)


def test_a_replica_never_imports_what_parquet_takes_and_its_log_is_stored(address, tmp_path):
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from heliostat.serving.prediction_log.columns import Columns
from heliostat.serving.prediction_log.writer import PredictionLog
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.workload import PredictionLog as Settings
log = PredictionLog(Settings(), StoreAddress(uri={address.uri!r}), sys.argv[1], "halves", "3-abc", Columns())
log.add(b"id", b"{{}}", 1, b"{{}}", 0.001)
log.close()
[thread.join(120) for thread in log._threads]  # a busy machine may take more than the 10 s of `close`
assert not {{"pyarrow", "pandas", "boto3"}} & set(sys.modules), "it costs memory and time"
"""
    program = program.replace("sys.argv[1]", f"__import__('pathlib').Path({str(tmp_path / 'spool')!r})")
    subprocess.run([sys.executable, "-c", program], check=True, timeout=200)
    assert [row["request_id"] for row in stored(address)[0]] == ["id"]
    assert not spooled(tmp_path)
