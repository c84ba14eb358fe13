"""A worker's loop, with a broker that hinders it; and whose tasks it takes."""

from __future__ import annotations

import threading
import time

import pytest
from queue_fakes import eventually, submit

from heliostat.serving.errors import HttpError
from heliostat.serving.queue.adoption import GRACE_SECONDS, UNPROVEN_GRACE_SECONDS, Labels
from heliostat.serving.queue.consumer import Consumer, Work
from heliostat.spec.task_queue import TaskQueue
from heliostat.systems.brokers.base import BrokerAwayError, NewTask, Retention, TaskState
from heliostat.systems.brokers.sqlite import Sqlite

KEEP = Retention(600, 600)
LABEL = "3-abc"
QUEUE = TaskQueue(retry_seconds=1.0)


class Clock:
    now = time.time()

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def broker(tmp_path, clock):
    broker = Sqlite(tmp_path / "t.sqlite", KEEP, clock)
    yield broker
    broker.close()


def consumer(broker, answer, queue=QUEUE, **more):
    return Consumer(broker, Work(queue, LABEL, "w", answer), lambda: (LABEL,), **more)


def test_an_answer_that_the_broker_does_not_hear_is_said_until_it_does(broker, monkeypatch):
    monkeypatch.setattr("heliostat.serving.queue.consumer._AWAY_SECONDS", 0.001)
    submit(broker, "one", b"1")
    settle, failures = broker.settle, [3]

    def flaky(outcomes, keep):
        if failures[0]:
            failures[0] -= 1
            raise BrokerAwayError("away")
        return settle(outcomes, keep)

    monkeypatch.setattr(broker, "settle", flaky)
    answered = []
    worker = consumer(broker, lambda lease: answered.append(lease.id) or b"x")
    assert worker._batch()
    assert broker.read("one").state is TaskState.SUCCEEDED
    assert answered == ["one"], "it was predicted once"


def test_a_worker_whose_broker_is_away_waits_for_it(broker, monkeypatch):
    monkeypatch.setattr("heliostat.serving.queue.consumer._AWAY_SECONDS", 0.001)
    lease, away = broker.lease, threading.Event()

    def leasing(*given):
        if not away.is_set():
            raise BrokerAwayError("away")
        return lease(*given)

    monkeypatch.setattr(broker, "lease", leasing)
    submit(broker, "one", b"1")
    worker = consumer(broker, lambda lease: b"x")
    thread = threading.Thread(target=worker.run)
    thread.start()
    away.set()
    eventually(lambda: broker.read("one").state is TaskState.SUCCEEDED, "it does not come back")
    worker.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_what_is_refused_for_its_time_is_tried_again_and_what_is_refused_for_itself_is_not(broker):
    def refused(status):
        def answer(lease):
            raise HttpError(status, "refused")

        return answer

    submit(broker, "old", b"1")
    assert consumer(broker, refused(503))._batch()
    assert broker.read("old").state is TaskState.WAITING, "what was predicted is too old, for now"
    submit(broker, "unfit", b"1")
    assert consumer(broker, refused(422))._batch()
    assert broker.read("unfit").state is TaskState.FAILED


def test_a_failure_is_tried_again_after_twice_as_long_each_time_and_a_minute_at_most(broker, clock):
    broker.submit(NewTask("one", LABEL, b"1", clock.now + 10_000, 20), 10)

    def fail(lease):
        raise ValueError("no")

    worker, pauses = consumer(broker, fail), []
    for _ in range(9):
        assert worker._batch()
        before = clock.now
        while not broker.lease([LABEL], "looks", 0, 1) and not _ready(broker, clock):
            clock.now += 0.5
        pauses.append(clock.now - before)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def _ready(broker, clock):
    from heliostat.systems.brokers import sqlite_steps

    with broker._read() as db:
        return sqlite_steps.anything(db, [LABEL], clock.now)


def test_slow_tasks_are_taken_one_at_a_time_and_fast_ones_together(broker):
    for n in range(100):
        submit(broker, f"t{n}", b"1")
    sizes = []
    lease = broker.lease

    class Counting:
        def __getattr__(self, name):
            return getattr(broker, name)

        def lease(self, *given):
            found = lease(*given)
            sizes.append(len(found))
            return found

    fast = consumer(Counting(), lambda lease: b"x")
    while fast._batch():
        pass
    assert sizes[0] == 1, "nothing is known of how long they take"
    assert max(sizes) > 20
    slow = consumer(Counting(), lambda lease: time.sleep(0.12) or b"x")
    for n in range(3):
        submit(broker, f"s{n}", b"1")
    sizes.clear()
    while slow._batch():
        pass
    assert sizes == [1, 1, 1, 0]


def test_what_a_worker_that_stops_has_not_begun_is_another_s_at_once(broker):
    for n in range(70):
        submit(broker, f"t{n}", b"1")
    worker = consumer(broker, lambda lease: b"x")
    for _ in range(40):
        worker._batch()
        worker._seconds = 1e-6
        break
    worker._work.__dict__["answer"] = lambda lease: worker.stop() or b"x"
    worker._batch()
    depth = broker.depth()
    assert (depth.waiting, depth.running) == (68, 0)


def test_a_task_that_was_cancelled_while_it_waited_in_a_worker_is_not_begun(broker):
    for n in range(3):
        submit(broker, f"t{n}", b"1")
    begun = []
    worker = consumer(broker, lambda lease: begun.append(lease.id) or b"x")
    worker._seconds = 1e-6

    def answer(lease):
        begun.append(lease.id)
        broker.cancel("t2")
        worker._renew(list(worker._held.values()))
        return b"x"

    worker._work.__dict__["answer"] = answer
    worker._batch()
    assert begun == ["t0", "t1"]


def test_workers_take_the_tasks_of_versions_that_have_none_any_more(broker, clock):
    submit(broker, "old", b"1", "2-old")
    broker.beat("2-old", 9)
    submit(broker, "own", b"1", LABEL)
    labels = Labels(broker, LABEL)
    labels.refresh()
    assert labels() == (LABEL,), "the old version still has workers"
    clock.now += 9 + GRACE_SECONDS + 0.1
    labels.refresh()
    assert labels() == (LABEL, "2-old")


def test_a_version_that_no_client_reaches_takes_over_nothing_while_others_work(broker, clock):
    submit(broker, "old", b"1", "1-older")
    broker.beat("2-stable", 10_000)
    candidate = Labels(broker, LABEL)
    clock.now += 1_000
    candidate.refresh()
    assert candidate() == (LABEL,)
    stable = Labels(broker, "2-stable")
    submit(broker, "s", b"1", "2-stable")
    stable.refresh()
    assert stable() == ("2-stable", "1-older")


def test_a_version_that_is_the_only_one_left_takes_over_after_a_while(broker, clock):
    submit(broker, "old", b"1", "2-old")
    broker.beat("2-old", 9)
    labels = Labels(broker, LABEL)
    clock.now += 9 + GRACE_SECONDS + 0.1
    labels.refresh()
    assert labels() == (LABEL,), "it may be a candidate that nobody has tested"
    clock.now += UNPROVEN_GRACE_SECONDS
    labels.refresh()
    assert labels() == (LABEL, "2-old")
