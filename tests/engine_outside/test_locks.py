import datetime
import json
import os
import socket
import subprocess
import sys

import pytest

from heliostat.engine.stackerrors import LockedError
from heliostat.engine.state import locks
from heliostat.engine.state.bucket import FileBucket
from heliostat.engine.state.locks import Lock, is_dead, locked

STACK = "organization/p/dev"
FOLDER = ".pulumi/locks/organization/p/dev"


@pytest.fixture
def bucket(tmp_path):
    return FileBucket(tmp_path, f"file://{tmp_path}")


@pytest.fixture
def notices():
    return []


def lock_of(bucket, *, pid, host=None, timestamp=None):
    now = datetime.datetime.now().astimezone().isoformat()
    said = {"pid": pid, "username": "eve", "hostname": host or socket.gethostname(), "timestamp": timestamp or now}
    bucket.write(f"{FOLDER}/other.json", json.dumps(said).encode())


def dead_pid():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_a_lock_names_this_process_as_the_cli_does_and_goes_with_it(bucket, notices):
    with locked(bucket, STACK, notices.append):
        (key,) = bucket.list(FOLDER)
        said = json.loads(bucket.read(key))
        assert said.keys() == {"pid", "username", "hostname", "timestamp"}
        assert said["pid"] == os.getpid()
        assert datetime.datetime.fromisoformat(said["timestamp"]).tzinfo is not None
    assert bucket.list(FOLDER) == []
    assert notices == []


def test_a_lock_is_released_after_an_error(bucket, notices):
    with pytest.raises(RuntimeError), locked(bucket, STACK, notices.append):
        raise RuntimeError
    assert bucket.list(FOLDER) == []


def test_a_living_process_is_named_with_the_command_that_clears_its_lock(bucket, notices):
    lock_of(bucket, pid=os.getpid())
    with pytest.raises(LockedError) as caught, locked(bucket, STACK, notices.append):
        pass
    text = str(caught.value)
    assert f"eve@{socket.gethostname()} (pid {os.getpid()}) since 20" in text
    assert "heliostat cancel -s dev" in text
    assert bucket.list(FOLDER) == [f"{FOLDER}/other.json"]


def test_the_lock_of_a_dead_process_of_this_host_is_broken_with_a_notice(bucket, notices):
    pid = dead_pid()
    lock_of(bucket, pid=pid)
    with locked(bucket, STACK, notices.append):
        pass
    assert len(notices) == 1
    assert f"pid {pid}" in notices[0]


def test_a_lock_of_another_host_stands_whatever_its_process_number(bucket, notices):
    lock_of(bucket, pid=dead_pid(), host="elsewhere")
    with pytest.raises(LockedError, match="eve@elsewhere"), locked(bucket, STACK, notices.append):
        pass


def test_a_damaged_lock_stands(bucket, notices):
    bucket.write(f"{FOLDER}/x.json", b"{")
    with pytest.raises(LockedError, match="unreadable"), locked(bucket, STACK, notices.append):
        pass


def test_a_later_process_with_the_same_number_does_not_hold_the_lock():
    lock = Lock("k", 7, "eve", "here", "2026-01-01T00:00:00.123456789Z")
    taken = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC).timestamp()
    assert is_dead(lock, "here", lambda _: taken + 60)
    assert not is_dead(lock, "here", lambda _: taken - 60)
    assert is_dead(lock, "here", lambda _: None)
    assert not is_dead(lock, "elsewhere", lambda _: None)


def test_all_locks_are_cleared_by_cancel(bucket):
    lock_of(bucket, pid=1, host="elsewhere")
    assert locks.release_all(bucket, STACK) == 1
    assert locks.held(bucket, STACK) == []
    assert locks.release_all(bucket, STACK) == 0


def test_whoever_waits_goes_on_at_once_where_nobody_holds_the_stack_or_only_a_dead_process(bucket, notices):
    def sleep(seconds):
        raise AssertionError("there is nothing to wait for")

    locks.wait_until_free(bucket, STACK, 60, notices.append, sleep)
    lock_of(bucket, pid=dead_pid())
    locks.wait_until_free(bucket, STACK, 60, notices.append, sleep)
    assert notices == []


def test_whoever_waits_is_told_once_for_whom_and_no_longer_than_he_wants_to(bucket, notices):
    lock_of(bucket, pid=1, host="elsewhere", timestamp="today")
    slept = []
    locks.wait_until_free(bucket, STACK, 60, notices.append, slept.append)
    assert sum(slept) == 60
    assert notices == ["dev is held by eve@elsewhere (pid 1) since today: waiting, for 60 s at most"]
    locks.wait_until_free(bucket, STACK, 0, notices.append, slept.append)
    assert sum(slept) == 60 and len(notices) == 1
