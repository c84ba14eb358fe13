"""What every broker of tasks has to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

from heliostat.systems.brokers.base import (
    Answered,
    Failed,
    Lease,
    NewTask,
    QueueFullError,
    Retention,
    Returned,
    TaskBroker,
    TaskConflictError,
    TaskState,
)

T = TypeVar("T")

KEEP = Retention(results=600, dead_letters=600)
LONG = 20.0
_PATIENCE = 15.0


def new(task_id: str, payload: bytes = b"{}", *, version: str = "1-a", seconds: float = 600, attempts: int = 3) -> NewTask:
    """A task to submit."""
    return NewTask(task_id, version, payload, time.time() + seconds, attempts)


class TaskBrokerConformance:
    """Inherit it, and give `broker`."""

    soon = 0.3
    """A lease that ends soon, in seconds."""
    fences = True
    """Whether who lost a lease can say nothing any more, also while somebody else has the task."""

    @pytest.fixture
    def broker(self) -> TaskBroker:
        """An empty broker with `KEEP`."""
        raise NotImplementedError

    def test_a_task_is_taken_worked_on_and_answered(self, broker: TaskBroker) -> None:
        assert broker.submit(new("one", b'{"a":1}'), 10) is TaskState.WAITING
        [lease] = taken(broker)
        assert (lease.id, lease.payload, lease.attempts, lease.version) == ("one", b'{"a":1}', 0, "1-a")
        assert broker.lease(["1-a"], "other", 1, LONG) == [], "it is the first worker's"
        assert broker.settle([Answered(lease, b'{"b":2}', "1-a")], KEEP) == [True]
        task = broker.read("one")
        assert task is not None
        assert (task.state, task.answer, task.answered_by, task.attempts) == (TaskState.SUCCEEDED, b'{"b":2}', "1-a", 1)
        assert task.ended_at is not None
        assert broker.lease(["1-a"], "w", 1, LONG) == []

    def test_nothing_is_known_of_a_task_that_nobody_submitted(self, broker: TaskBroker) -> None:
        assert broker.read("none") is None
        assert broker.ended({"none"}) == {"none"}
        assert broker.cancel("none") is None
        assert not broker.revive("none", time.time() + 10)
        assert broker.lease(["1-a"], "w", 1, LONG) == []
        assert broker.abandon("w", blame=True) == 0

    def test_the_same_task_twice_is_one(self, broker: TaskBroker) -> None:
        broker.submit(new("one"), 10)
        broker.submit(new("one"), 10)
        [lease] = taken(broker)
        broker.settle([Answered(lease, b"x", "1-a")], KEEP)
        assert broker.submit(new("one"), 10) is TaskState.SUCCEEDED
        assert broker.lease(["1-a"], "w", 1, LONG) == []

    def test_another_payload_under_the_same_id_is_refused(self, broker: TaskBroker) -> None:
        broker.submit(new("one", b"1"), 10)
        with pytest.raises(TaskConflictError, match="one"):
            broker.submit(new("one", b"2"), 10)

    def test_the_first_answer_stands(self, broker: TaskBroker) -> None:
        broker.submit(new("one"), 10)
        [first] = taken(broker, seconds=self.soon)
        [second] = taken(broker)
        assert (first.id, second.id) == ("one", "one")
        assert broker.settle([Answered(second, b"second", "1-a")], KEEP) == [True]
        assert broker.settle([Answered(first, b"first", "1-a")], KEEP) == [False]
        task = broker.read("one")
        assert task is not None
        assert task.answer == b"second"

    def test_of_several_that_answer_at_once_one_stands(self, broker: TaskBroker) -> None:
        broker.submit(new("one"), 10)
        [lease] = taken(broker)
        stood: list[bool] = []
        ready = threading.Barrier(4)

        def answer(n: int) -> None:
            ready.wait()
            stood.extend(broker.settle([Answered(lease, str(n).encode(), "1-a")], KEEP))

        threads = [threading.Thread(target=answer, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(stood) == [False, False, False, True]

    def test_a_lease_that_is_renewed_stays_and_one_that_is_not_is_back(self, broker: TaskBroker) -> None:
        broker.submit(new("one"), 10)
        [lease] = taken(broker, seconds=self.soon)
        assert broker.renew([lease], LONG) == set()
        time.sleep(self.soon)
        assert broker.lease(["1-a"], "w2", 1, LONG) == []
        assert broker.renew([lease], self.soon) == set()
        [again] = taken(broker)
        assert again.id == "one"
        assert broker.settle([Failed(again, "no", 0.0)], KEEP) == [True]

    def test_a_task_that_failed_comes_back_with_what_is_known_of_it(self, broker: TaskBroker) -> None:
        broker.submit(new("one"), 10)
        [lease] = taken(broker)
        broker.settle([Failed(lease, "ZeroDivisionError: thirteen", 0.0)], KEEP)
        [again] = taken(broker)
        assert again.attempts == 1
        task = broker.read("one")
        assert task is not None
        assert (task.attempts, task.error) == (1, "ZeroDivisionError: thirteen")

    def test_what_fails_as_often_as_it_may_is_a_dead_letter_with_its_payload(self, broker: TaskBroker) -> None:
        broker.submit(new("one", b"[1]", attempts=2), 10)
        for _ in range(2):
            [lease] = taken(broker)
            broker.settle([Failed(lease, "no", 0.0)], KEEP)
        [dead] = broker.dead_letters(10)
        assert (dead.id, dead.state, dead.payload, dead.error, dead.attempts) == ("one", TaskState.FAILED, b"[1]", "no", 2)
        assert broker.lease(["1-a"], "w", 1, LONG) == []

    def test_what_would_fail_again_is_a_dead_letter_at_once(self, broker: TaskBroker) -> None:
        broker.submit(new("one"), 10)
        [lease] = taken(broker)
        broker.settle([Failed(lease, "unfit", None)], KEEP)
        assert [task.error for task in broker.dead_letters(10)] == ["unfit"]

    def test_a_dead_letter_is_tried_again_as_if_it_were_new(self, broker: TaskBroker) -> None:
        broker.submit(new("one", attempts=1), 10)
        [lease] = taken(broker)
        broker.settle([Failed(lease, "no", 0.0)], KEEP)
        assert broker.revive("one", time.time() + 60)
        assert not broker.revive("one", time.time() + 60), "it is none any more"
        assert broker.dead_letters(10) == []
        [again] = taken(broker)
        assert again.attempts == 0
        assert broker.settle([Answered(again, b"x", "1-a")], KEEP) == [True]

    def test_a_task_that_is_cancelled_is_answered_by_nobody(self, broker: TaskBroker) -> None:
        broker.submit(new("waits"), 10)
        cancelled = broker.cancel("waits")
        assert cancelled is not None
        assert cancelled.state is TaskState.CANCELLED
        assert broker.lease(["1-a"], "w", 1, LONG) == []
        broker.submit(new("runs"), 10)
        [lease] = taken(broker)
        broker.cancel("runs")
        assert broker.renew([lease], LONG) == {"runs"}, "its worker is told"
        assert broker.settle([Answered(lease, b"x", "1-a")], KEEP) == [False]
        task = broker.read("runs")
        assert task is not None
        assert task.state is TaskState.CANCELLED

    def test_what_has_ended_is_not_cancelled(self, broker: TaskBroker) -> None:
        broker.submit(new("one"), 10)
        [lease] = taken(broker)
        broker.settle([Answered(lease, b"x", "1-a")], KEEP)
        task = broker.cancel("one")
        assert task is not None
        assert task.state is TaskState.SUCCEEDED

    def test_a_task_past_its_deadline_is_a_dead_letter(self, broker: TaskBroker) -> None:
        broker.submit(new("late", seconds=-1), 10)
        assert broker.lease(["1-a"], "w", 1, LONG) == []
        [dead] = until(lambda: broker.dead_letters(10))
        assert dead.error.startswith("its deadline passed")

    def test_what_was_returned_was_not_tried(self, broker: TaskBroker) -> None:
        broker.submit(new("one", attempts=1), 10)
        for _ in range(3):
            [lease] = taken(broker)
            assert lease.attempts == 0
            assert broker.settle([Returned(lease)], KEEP) == [True]
        task = broker.read("one")
        assert task is not None
        assert task.attempts == 0

    def test_who_lost_a_lease_says_nothing_about_the_task(self, broker: TaskBroker) -> None:
        broker.submit(new("one"), 10)
        [first] = taken(broker)
        broker.settle([Failed(first, "first", 0.0)], KEEP)
        [second] = taken(broker)
        stale = Lease(first.id, "0" + first.token, b"", 0, first.deadline, first.version)
        if not self.fences:
            pytest.skip("this broker knows a lease by what it may do with it")
        assert broker.settle([Failed(stale, "stale", None)], KEEP) == [False]
        assert broker.renew([stale], LONG) == {"one"}
        assert broker.settle([Answered(second, b"x", "1-a")], KEEP) == [True]

    def test_a_task_that_kills_its_worker_becomes_a_dead_letter(self, broker: TaskBroker) -> None:
        broker.submit(new("poison", attempts=2), 10)
        for _ in range(2):
            taken(broker, seconds=self.soon)
        dead = until(lambda: broker.dead_letters(10) if broker.lease(["1-a"], "w", 1, LONG) == [] else [])
        assert [(task.id, task.attempts) for task in dead] == [("poison", 2)]
        assert dead[0].error.startswith("its worker was lost")

    def test_versions_have_their_tasks_apart(self, broker: TaskBroker) -> None:
        broker.submit(new("blue", version="1-a"), 10)
        broker.submit(new("green", version="2-b"), 10)
        [lease] = taken(broker, labels=["2-b"])
        assert lease.id == "green"
        assert broker.lease(["2-b"], "w", 1, LONG) == []
        [lease] = taken(broker, labels=["2-b", "1-a"])
        assert lease.id == "blue", "whoever names another version has its tasks"

    def test_tasks_of_a_version_without_workers_are_told_of(self, broker: TaskBroker) -> None:
        broker.submit(new("one", version="1-a"), 10)
        assert until(lambda: broker.orphans(0.0)) == ["1-a"]
        broker.beat("1-a", 60)
        broker.beat("2-b", 60)
        assert broker.orphans(0.0) == []
        assert sorted(broker.alive()) == ["1-a", "2-b"]

    def test_the_depth_counts_what_waits_runs_and_failed(self, broker: TaskBroker) -> None:
        for n in range(3):
            broker.submit(new(f"t{n}"), 10)
        [lease] = taken(broker)
        depth = broker.depth()
        assert (depth.waiting, depth.running, depth.dead) == (2, 1, 0)
        assert depth.oldest_seconds is None or 0 <= depth.oldest_seconds < 60
        assert depth.waiting_by_version == {"1-a": 2}, "of the version that took them"
        broker.settle([Failed(lease, "no", None)], KEEP)
        depth = broker.depth()
        assert (depth.waiting, depth.running, depth.dead) == (2, 0, 1)
        assert depth.ended in ({"failed": 1}, {}), "a broker counts, or does not"

    def test_no_more_tasks_are_taken_than_may_be_open(self, broker: TaskBroker) -> None:
        broker.submit(new("one"), 1)
        with pytest.raises(QueueFullError, match="1 tasks are open"):
            self.submit_fresh(broker, new("two"), 1)
        assert broker.read("two") is None
        broker.submit(new("one"), 1)  # it is there

    def submit_fresh(self, broker: TaskBroker, task: NewTask, most: int) -> None:
        """Submit as somebody who has not asked how many there are."""
        broker.submit(task, most)

    def test_webhooks_are_due_once_a_task_has_ended_and_until_they_went_well(self, broker: TaskBroker) -> None:
        broker.submit(NewTask("one", "1-a", b"1", time.time() + 60, 3, "https://a.example/x"), 10)
        assert broker.due_webhooks(10, 60) == []
        [lease] = taken(broker)
        broker.settle([Answered(lease, b"x", "1-a")], KEEP)
        [hook] = broker.due_webhooks(10, 60)
        assert (hook.task.id, hook.task.webhook, hook.tries) == ("one", "https://a.example/x", 0)
        assert broker.due_webhooks(10, 60) == [], "another has it"
        broker.note_webhook("one", "answered 500", 0.0)
        [again] = until(lambda: broker.due_webhooks(10, 60))
        assert (again.tries, again.task.webhook_note) == (1, "answered 500")
        broker.note_webhook("one", "delivered", None)
        assert broker.due_webhooks(10, 0.0) == []

    def test_a_broker_that_keeps_what_it_has_says_nothing(self, broker: TaskBroker) -> None:
        assert broker.volatile() == ""

    def test_what_is_past_its_time_is_swept(self, broker: TaskBroker) -> None:
        broker.submit(new("one"), 10)
        [lease] = taken(broker)
        broker.settle([Answered(lease, b"x", "1-a")], KEEP)
        broker.sweep(KEEP)
        assert broker.read("one") is not None


def taken(broker: TaskBroker, *, labels: list[str] | None = None, seconds: float = LONG) -> list[Lease]:
    """One task, once there is one."""
    return until(lambda: broker.lease(labels or ["1-a"], "w", 1, seconds))


def until(ask: Callable[[], T]) -> T:
    """What `ask` says once it says something."""
    end = time.monotonic() + _PATIENCE
    while not (found := ask()):
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.01)
    return found
