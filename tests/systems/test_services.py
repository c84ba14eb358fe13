# ruff: noqa: ASYNC240 - a test may read a file
import asyncio
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import psutil
import pytest

from heliostat.systems import proc, processes
from heliostat.systems.errors import PermanentError

# The root makes a child in a session of its own, as Ray and others do.
TREE = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("up", flush=True)
time.sleep(600)
"""

# Both take a while to give back their memory, and hold a lock until that is done.
LARGE = """
import fcntl, os, sys, time
child = os.fork() == 0
memory = b"x" * (256 << 20)
lock = open("child" if child else "root", "w")
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("up", flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def runtime(tmp_path, monkeypatch):
    monkeypatch.setenv("HELIOSTAT_RUNTIME_DIR", str(tmp_path / "run"))


@pytest.fixture
async def folder(tmp_path):
    yield tmp_path / "data"
    await processes.stop(tmp_path / "data", "tree", grace_seconds=0)


def tree(folder: Path, **environment: str) -> processes.Service:
    return processes.Service(folder, "tree", (sys.executable, "-u", "-c", TREE), environment)


async def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come true"
        await asyncio.sleep(0.02)


async def test_a_service_that_runs_is_adopted(folder):
    first = processes.start(tree(folder))
    assert processes.start(tree(folder)) == first
    assert processes.find(folder, "tree").pid == first
    assert os.getsid(first) == first, "it must not get the terminal's signals"


async def test_stopping_ends_every_process_of_the_tree_and_no_other(folder, tmp_path):
    other = processes.Service(tmp_path / "other", "tree", (sys.executable, "-c", "import time; time.sleep(600)"))
    stranger = processes.start(other)
    processes.start(tree(folder))
    await until(lambda: len(processes.marked(folder, "tree")) == 2)
    await processes.stop(folder, "tree", grace_seconds=5)
    assert processes.marked(folder) == []
    assert processes.find(folder, "tree") is None
    assert psutil.pid_exists(stranger)
    await processes.stop(tmp_path / "other", "tree", grace_seconds=5)


async def test_what_a_killed_root_left_is_cleared_before_it_is_started_again(folder):
    first = processes.start(tree(folder))
    await until(lambda: len(processes.marked(folder, "tree")) == 2)
    left = next(p.pid for p in processes.marked(folder, "tree") if p.pid != first)
    os.kill(first, signal.SIGKILL)
    await until(lambda: processes.find(folder, "tree") is None)
    assert psutil.pid_exists(left)
    assert processes.start(tree(folder)) != first
    assert not psutil.pid_exists(left) or psutil.Process(left).status() == psutil.STATUS_ZOMBIE


async def test_what_is_just_being_killed_is_waited_for_and_started_anew(folder):
    large = processes.Service(folder, "tree", (sys.executable, "-u", "-c", LARGE))
    for times in range(1, 4):
        root = processes.start(large)
        await until(lambda times=times: processes.log_tail(folder, "tree").split() == ["up", "up"] * times)
        tree = processes.marked(folder, "tree")
        assert len(tree) == 2
        for process in tree:
            process.kill()
        assert processes.find(folder, "tree") is None
        if times == 2:
            await processes.stop(folder, "tree", grace_seconds=0)
            assert all(proc.wait_until_gone(process.pid, 0) for process in tree)
        assert not psutil.pid_exists(root) or proc.is_ending(root)


async def test_a_process_id_that_was_used_again_is_not_the_service(folder):
    processes.start(tree(folder))
    record = folder / "tree.pid.json"
    wrong = {**json.loads(record.read_text()), "pid": os.getpid()}
    record.write_text(json.dumps(wrong))
    assert processes.find(folder, "tree") is None
    await processes.stop(folder, "tree", grace_seconds=0)
    assert psutil.pid_exists(os.getpid())


async def test_a_service_of_before_a_reboot_is_gone(folder):
    processes.start(tree(folder))
    record = folder / "tree.pid.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "boot": "another"}))
    assert processes.find(folder, "tree") is None


async def test_other_arguments_make_another_service(folder):
    assert not processes.is_as(tree(folder))
    processes.start(tree(folder))
    assert processes.is_as(tree(folder))
    assert not processes.is_as(tree(folder, OTHER="1"))


async def test_a_stop_of_what_is_gone_is_a_success(folder):
    await processes.stop(folder, "never-started", grace_seconds=5)


async def test_secrets_of_an_update_do_not_reach_services(folder, monkeypatch):
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "hush")
    pid = processes.start(tree(folder, MINE="1"))
    environment = Path(f"/proc/{pid}/environ")
    await until(lambda: b"MINE=1" in environment.read_bytes())  # while it is being loaded it has none
    assert b"hush" not in environment.read_bytes()


async def test_the_log_has_what_the_service_wrote(folder):
    processes.start(tree(folder))
    await until(lambda: processes.log_tail(folder, "tree") == "up")
    assert processes.log_tail(folder, "never-started") == ""


def test_a_program_that_is_not_there_is_said(tmp_path):
    with pytest.raises(PermanentError, match="no-such-program"):
        processes.start(processes.Service(tmp_path, "x", ("/no-such-program",)))


def test_a_full_disk_is_said(tmp_path, monkeypatch):
    def full(*arguments, **named):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(PermanentError, match="no space left on the disk"):
        processes.start(processes.Service(tmp_path / "new", "x", ("true",)))


def test_sockets_fit_however_deep_the_checkout_lies(tmp_path):
    deep = tmp_path.joinpath(*["d" * 40] * 6)
    short = processes.runtime_directory(deep)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(short / "s"))
    assert short != processes.runtime_directory(tmp_path)


def test_a_runtime_folder_that_others_can_write_is_refused(tmp_path, monkeypatch):
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    monkeypatch.setenv("HELIOSTAT_RUNTIME_DIR", str(open_to_all))
    with pytest.raises(PermanentError, match="only this user"):
        processes.runtime_root()


def test_private_files_are_private_and_replaced_whole(tmp_path):
    path = tmp_path / "token"
    processes.write_private(path, "a")
    processes.write_private(path, "b")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("b", 0o600)
    assert list(tmp_path.iterdir()) == [path]
