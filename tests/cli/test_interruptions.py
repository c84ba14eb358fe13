"""`up` as a process of its own: signals, a reader that leaves, a kill."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

WAITING = """
    import asyncio, sys
    from heliostat.cli import operate
    from heliostat.engine.events import Summary

    async def run(kind, target, options, sink, snapshots, stacks, cancel):
        snapshots.save(target.previous)  # the engine does before it makes anything
        print("begun", flush=True)
        await cancel.wait()
        if {stubborn}:
            while cancel.is_set():
                await asyncio.sleep(0.01)
            await cancel.wait()
        return Summary(False, {{}}, 1.0, True)

    operate.run = run
    from heliostat.cli.main import run as command
    sys.exit(command(["up", "--yes", "--skip-preview"]))
"""


@contextlib.contextmanager
def waiting_up(stubborn):
    code = textwrap.dedent(WAITING.format(stubborn=stubborn))
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        while "begun" not in process.stdout.readline():
            assert process.poll() is None
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_cancels_in_order_and_releases_the_lock(desk, number):
    desk.monkeypatch.undo()
    with real_stack(desk) as folder, waiting_up(stubborn=False) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 8, err
        assert "Cancelling" in out
        assert "The operation was cancelled." in out
        assert not list(folder.glob("state/.pulumi/locks/**/*.json"))


def test_the_second_signal_aborts_what_does_not_end(desk):
    desk.monkeypatch.undo()
    with real_stack(desk), waiting_up(stubborn=True) as process:
        process.send_signal(signal.SIGINT)
        while "Cancelling" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
        assert process.returncode == 8
        assert "Aborting" in out


def test_a_reader_that_leaves_does_not_end_the_operation(desk):
    desk.monkeypatch.undo()
    with real_stack(desk), waiting_up(stubborn=False) as process:
        process.stdout.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 8, "it ended in order, as cancelled, and not by a broken pipe"
        assert "standard output is gone" in process.stderr.read()


def test_a_killed_operation_leaves_a_lock_that_the_next_one_goes_past(desk):
    desk.monkeypatch.undo()
    with real_stack(desk) as folder:
        with waiting_up(stubborn=False) as process:
            process.kill()
            process.wait()
        assert len(list(folder.glob("state/.pulumi/locks/**/*.json"))) == 1
        (begun,) = history(desk)
        assert (begun["kind"], begun["result"], "endTime" in begun) == ("update", "in-progress", False)
        assert f"(pid {process.pid})" in begun["environment"]["heliostat.by"]
        assert "killed" in desk.ok("stack", "history"), "nobody holds the stack"
        with waiting_up(stubborn=False) as process:
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        assert "removed the lock of a dead process" in err and "was killed: the history says so now" in err
        assert not list(folder.glob("state/.pulumi/locks/**/*.json"))
        ended, killed = history(desk)
        assert [ended["result"], killed["result"]] == ["failed", "failed"], "in the words that the official CLI has"
        assert killed["environment"] == {**begun["environment"], "heliostat.ended": "killed"}
        assert "heliostat.ended" not in ended["environment"]


def test_what_goes_on_is_in_the_history_and_a_broken_lock_has_it_say_that_it_was_killed(desk):
    desk.monkeypatch.undo()
    with real_stack(desk):
        with waiting_up(stubborn=False) as process:
            assert "in-progress" in desk.ok("stack", "history") and "killed" not in desk.ok("stack", "history")
            assert f"(pid {process.pid})" in desk.ok("stack")
            process.kill()
        assert "the update by" in desk("cancel", "--yes", "dev").err
        (killed,) = history(desk)
        assert killed["environment"]["heliostat.ended"] == "killed"
        assert "was killed" not in desk("cancel", "--yes", "dev").err


def history(desk):
    return json.loads(desk.ok("stack", "history", "--json"))


@contextlib.contextmanager
def real_stack(desk):
    """The desk's project for processes of their own: with the CLI's number of iterations, and this environment."""
    environment = dict(os.environ)
    os.environ.update(PULUMI_BACKEND_URL=f"file://{desk.state}", PULUMI_HOME=str(desk.folder / "home"))
    os.environ["PULUMI_CONFIG_PASSPHRASE"] = "pass"
    try:
        with contextlib.chdir(desk.folder):
            desk.ok("stack", "init", "dev")
            yield desk.folder.parent
    finally:
        os.environ.clear()
        os.environ.update(environment)
