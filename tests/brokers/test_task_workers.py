"""Workers as processes that are killed, ended, and hindered: each task is answered once whatever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from queue_fakes import arguments, ended, eventually, submit

from heliostat.serving.queue.workers import Workers
from heliostat.spec.task_queue import TaskQueue
from heliostat.systems.brokers import open_broker
from heliostat.systems.brokers.base import TaskState
from heliostat.systems.errors import PermanentError

COMMAND = (sys.executable, str(Path(__file__).with_name("tiny_worker.py")))
QUEUE = TaskQueue(lease_seconds=3, retry_seconds=0.1, timeout_seconds=60)


@pytest.fixture
def marks(tmp_path, monkeypatch):
    folder = tmp_path / "marks"
    folder.mkdir()
    monkeypatch.setenv("TINY_WORKER_MARKS", str(folder))
    return folder


@contextmanager
def running(folder, queue=QUEUE, count=1, **changes):
    """Workers of a queue, and its broker."""
    given = arguments(folder, queue, **changes)
    broker = open_broker(queue, "orders", given.version.store)
    workers = Workers(given, broker, count, COMMAND)
    workers.start()
    try:
        yield broker, workers
    finally:
        workers.stop(10)
        broker.close()


def recorded(broker, monkeypatch):
    """Whether each worker that was given up was to blame."""
    abandon, blames = broker.abandon, []
    monkeypatch.setattr(broker, "abandon", lambda name, blame: blames.append(blame) or abandon(name, blame))
    return blames


def executions(marks, value):
    return len(list(marks.glob(f"{value:g}.*")))


def test_tasks_are_answered_tried_again_or_kept_as_dead_letters_with_error_and_payload(tmp_path, marks):
    with running(tmp_path) as (broker, _):
        submit(broker, "rows", b'{"rows":[{"value":11},{"value":12}]}')
        submit(broker, "once", b'{"do":"fail once","value":1}')
        submit(broker, "never", b'{"do":"fail","value":2}')
        submit(broker, "unfit", b'{"do":"dance"}')
        answered = ended(broker, "rows")
        assert (answered.answer, answered.answered_by) == (b'{"rows":[{"twice":22.0},{"twice":24.0}]}', "3-abc")
        assert (ended(broker, "once").state, ended(broker, "once").attempts) == (TaskState.SUCCEEDED, 2)
        dead = ended(broker, "never")
        assert (dead.state, dead.attempts, dead.payload) == (TaskState.FAILED, 3, b'{"do":"fail","value":2}')
        assert dead.error == "ValueError: no answer for 2"
        assert executions(marks, 2) == 3
        unfit = ended(broker, "unfit")
        assert (unfit.state, unfit.attempts) == (TaskState.FAILED, 1)
        assert unfit.error.startswith("refused with 422")


def test_a_poisoned_task_becomes_a_dead_letter_and_takes_no_other_along(tmp_path, marks):
    with running(tmp_path) as (broker, workers):
        [first] = workers.pids
        for n in range(20):
            submit(broker, f"t{n}", b'{"value":%d}' % n)
        submit(broker, "poison", b'{"do":"die","value":1000}', attempts=1)
        for n in range(20, 40):
            submit(broker, f"t{n}", b'{"value":%d}' % n)
        dead = ended(broker, "poison")
        assert (dead.state, dead.attempts) == (TaskState.FAILED, 1)
        assert dead.error.startswith("its worker was lost")
        assert all(ended(broker, f"t{n}").state is TaskState.SUCCEEDED for n in range(40))
        assert 1 <= executions(marks, 1000) <= 2, "once in company at most, and once alone"
        assert first not in eventually(lambda: workers.pids, "no worker runs")


def test_the_task_of_a_worker_that_is_killed_is_back_at_once_and_answered_by_another(tmp_path, marks, monkeypatch):
    with running(tmp_path, count=2) as (broker, workers):
        abandoned = recorded(broker, monkeypatch)
        submit(broker, "long", b'{"do":"sleep","value":7}')
        [mark] = eventually(lambda: list(marks.glob("7.*")), "nobody began")
        os.kill(int(mark.name.split(".")[-1]), signal.SIGKILL)
        assert ended(broker, "long").answer == b'{"twice":14.0}'
        assert executions(marks, 7) == 2
        assert abandoned == [True], "nobody waits for the end of its lease"
        assert len(eventually(lambda: len(workers.pids) == 2 and workers.pids, "there is no other")) == 2


def test_a_task_longer_than_its_lease_is_worked_on_once(tmp_path, marks):
    queue = QUEUE.model_copy(update={"lease_seconds": 1.0})
    with running(tmp_path, queue, count=2) as (broker, _):
        submit(broker, "long", b'{"do":"sleep","value":7}')
        assert ended(broker, "long").attempts == 1
        assert executions(marks, 7) == 1


def test_workers_that_are_stopped_finish_what_they_have_and_leave_the_rest(tmp_path, marks):
    given = arguments(tmp_path, QUEUE)
    broker = open_broker(QUEUE, "orders", given.version.store)
    workers = Workers(given, broker, 1, COMMAND)
    workers.start()
    for n in range(3):
        submit(broker, f"long{n}", b'{"do":"sleep","value":%d}' % n)
    eventually(lambda: list(marks.glob("*.*")) and executions(marks, 0), "nobody began")
    workers.stop(20)
    states = [broker.read(f"long{n}").state for n in range(3)]
    assert states == [TaskState.SUCCEEDED, TaskState.WAITING, TaskState.WAITING]
    assert all(broker.read(f"long{n}").attempts == 0 for n in (1, 2))
    broker.close()


def test_a_task_that_outlasts_the_drain_is_not_to_blame(tmp_path, marks):
    given = arguments(tmp_path, QUEUE)
    broker = open_broker(QUEUE, "orders", given.version.store)
    workers = Workers(given, broker, 1, COMMAND)
    workers.start()
    submit(broker, "hangs", b'{"do":"hang","value":1}')
    eventually(lambda: executions(marks, 1), "nobody began")
    workers.stop(0.5)
    task = broker.read("hangs")
    assert (task.state, task.attempts) == (TaskState.WAITING, 0)
    broker.close()


def test_an_attempt_that_takes_too_long_is_ended_and_has_failed(tmp_path, marks, monkeypatch):
    queue = QUEUE.model_copy(update={"timeout_seconds": 0.5})
    with running(tmp_path, queue) as (broker, _):
        abandoned = recorded(broker, monkeypatch)
        submit(broker, "hangs", b'{"do":"hang","value":1}', attempts=1)
        submit(broker, "after", b'{"value":2}')
        dead = ended(broker, "hangs")
        assert (dead.state, dead.attempts, dead.error) == (TaskState.FAILED, 1, "the attempt took longer than 0.5 s")
        assert ended(broker, "after").attempts == 1
        assert abandoned == [False], "it has said so itself"


def test_workers_end_with_whoever_looks_after_them(tmp_path, marks):
    program = (
        "import sys, time; sys.path[:0] = [{here!r}, {serving!r}]\n"
        "from queue_fakes import arguments; from pathlib import Path; import test_task_workers as t\n"
        "given = arguments(Path({folder!r}), t.QUEUE)\n"
        "workers = t.Workers(given, t.open_broker(t.QUEUE, 'orders', given.version.store), 1, t.COMMAND)\n"
        "workers.start(); print(*workers.pids, flush=True); time.sleep(600)\n"
    ).format(here=str(Path(__file__).parent), serving=str(Path(__file__).parents[1] / "serving"), folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    eventually(
        lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2], "it runs on"
    )


def test_a_version_whose_model_cannot_be_loaded_does_not_start(tmp_path, marks):
    given = arguments(tmp_path, QUEUE, model_uri="models:/orders/404")
    workers = Workers(given, open_broker(QUEUE, "orders", given.version.store), 2, COMMAND)
    with pytest.raises(PermanentError, match="FileNotFoundError: there is no such model"):
        workers.start()
    assert workers.pids == []


def test_a_broker_that_is_killed_and_comes_back_has_lost_nothing(tmp_path, marks, own_redis):
    queue = QUEUE.model_copy(update={"broker": own_redis.address})
    with running(tmp_path, queue, count=2) as (broker, _):
        taken = []
        stop = threading.Event()

        def client():
            n = 0
            while not stop.is_set():
                try:
                    submit(broker, f"t{n}", b'{"value":%d}' % n)
                except Exception:
                    time.sleep(0.05)  # and again with the same id
                else:
                    taken.append(n)
                    n += 1

        thread = threading.Thread(target=client)
        thread.start()
        for _ in range(2):
            before = len(taken)
            eventually(lambda before=before: len(taken) > before + 100, "nothing is taken")
            own_redis.kill()
            own_redis.start()
        stop.set()
        thread.join()
        tasks = [ended(broker, f"t{n}") for n in taken]
        assert [task.state for task in tasks] == [TaskState.SUCCEEDED] * len(tasks)
        assert [task.answer for task in tasks] == [b'{"twice":%.1f}' % (2 * n) for n in taken]
