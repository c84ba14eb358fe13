"""Workers of tasks come where they are needed for a while, and go once they were not needed for longer."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from heliostat.rollout.worker_scaling import Demand, Looks, Present, Scale, scale, within
from heliostat.spec.task_queue import TaskScaling, TaskWorkers

SCALING = TaskScaling(max_replicas=6, tasks_per_worker=10, max_wait_seconds=60, scale_up_seconds=15, scale_down_seconds=300)
WORKERS = TaskWorkers(replicas=1, concurrency=2, scaling=SCALING)


@dataclass
class Queue:
    """A queue that is looked at every five seconds; what is asked for is there at the next look."""

    workers: TaskWorkers = WORKERS
    asked: int = 1
    starts: bool = True
    now: float = 1000.0
    looks: Looks = field(default_factory=Looks)
    said: list[Scale] = field(default_factory=list)

    def look(self, waiting: int, running: int = 0, oldest: float | None = None, seconds: float = 5.0) -> int:
        """Look once, after so many seconds; how many there are to be."""
        self.now += seconds
        present = Present(self.asked, self.asked if self.starts else 1)
        assert self.workers.scaling is not None
        found = scale(self.workers, self.workers.scaling, self.looks, Demand(waiting, running, oldest), present, self.now)
        self.asked, self.looks = found.replicas, found.looks
        self.said.append(found)
        return found.replicas

    def looked(self, seconds: float, waiting: int, running: int = 0, oldest: float | None = None) -> list[int]:
        """Look for so many seconds; what was asked for at each look."""
        return [self.look(waiting, running, oldest) for _ in range(int(seconds / 5))]


def test_more_come_once_they_were_needed_throughout_and_not_before() -> None:
    queue = Queue()
    assert queue.looked(15, waiting=70, running=2) == [1, 1, 1]
    assert queue.look(70, 2) == 4, "72 tasks are for 8 processes at 10 each, in replicas of 2"
    assert queue.said[-1].reason == "70 wait and 2 processes work: 1 -> 4"


def test_a_peak_shorter_than_that_brings_none() -> None:
    queue = Queue()
    queue.looked(10, waiting=500)
    assert queue.look(0) == 1
    assert set(queue.looked(20, waiting=0)) == {1}


def test_of_what_was_needed_meanwhile_the_fewest_come() -> None:
    queue = Queue()
    for waiting in (500, 40, 500):
        queue.look(waiting)
    assert queue.look(500) == 2


def test_there_are_never_more_than_the_most_nor_fewer_than_the_fewest() -> None:
    queue = Queue()
    assert queue.looked(20, waiting=100_000)[-1] == 6
    assert queue.looked(310, waiting=0)[-1] == 1


def test_some_go_once_fewer_were_enough_for_long_and_not_before() -> None:
    queue = Queue(asked=5)
    assert set(queue.looked(300, waiting=0, running=0)) == {5}
    assert queue.look(0) == 1


def test_one_look_at_a_longer_queue_keeps_what_is_there() -> None:
    queue = Queue(asked=5)
    queue.looked(200, waiting=0)
    queue.look(95)
    assert set(queue.looked(295, waiting=0)) == {5}
    assert queue.look(0) == 5, "95 tasks were for five"
    assert queue.look(0) == 1


def test_processes_that_work_stay_though_nothing_waits_behind_them() -> None:
    queue = Queue(asked=3)
    assert set(queue.looked(600, waiting=0, running=6)) == {3}
    assert queue.looked(310, waiting=0, running=2)[-1] == 1


def test_tasks_that_a_worker_holds_and_does_not_work_on_count_as_one_process() -> None:
    assert set(Queue().looked(60, waiting=0, running=128)) == {1}


def test_an_old_task_brings_one_more_at_a_time_and_no_further_one_before_that_is_there() -> None:
    queue = Queue(starts=False)
    assert queue.looked(20, waiting=3, running=2, oldest=61.0)[-1] == 2
    assert "the oldest task waits for 1 min: 1 -> 2" in queue.said[-1].reason
    assert set(queue.looked(60, waiting=3, running=2, oldest=120.0)) == {2}, "the second is not there yet"
    queue.starts = True
    assert queue.looked(20, waiting=3, running=4, oldest=130.0)[-1] == 3
    assert Queue().looked(20, waiting=3, oldest=59.0)[-1] == 1
    assert Queue().looked(20, waiting=0, oldest=600.0)[-1] == 1, "what is only told late is no reason"


def test_a_time_in_which_nobody_looked_counts_for_nothing() -> None:
    queue = Queue(asked=5)
    queue.looked(200, waiting=0)
    assert queue.look(0, seconds=120) == 5
    assert set(queue.looked(295, waiting=0)) == {5}


def test_a_controller_that_starts_again_takes_none_away_at_once() -> None:
    queue = Queue(asked=5)
    queue.looked(290, waiting=0)
    queue.looks = Looks()
    assert set(queue.looked(300, waiting=0)) == {5}


def test_nothing_changes_where_the_queue_is_as_it_should_be() -> None:
    queue = Queue(asked=2)
    assert set(queue.looked(900, waiting=16, running=4)) == {2}
    assert queue.said[-1].reason == "16 wait and 4 processes work"


def test_what_is_outside_of_the_bounds_comes_back_into_them_at_once() -> None:
    assert Queue(asked=9).look(0) == 6
    assert Queue(asked=0).look(0) == 1


def test_no_more_come_than_the_cluster_has_room_for() -> None:
    wanted = Scale(5, "9 wait: 1 -> 5")
    assert within(wanted, Present(1, 1), 9) is wanted
    short = within(wanted, Present(1, 1), 2)
    assert (short.replicas, short.reason) == (3, "9 wait: 1 -> 5; the cluster has room for 2 more")
    assert within(Scale(1, ""), Present(3, 3), 0).replicas == 1, "what goes needs no room"


@pytest.mark.parametrize("workers", [{"replicas": 3, "scaling": {"maxReplicas": 2}}])
def test_a_most_below_the_fewest_is_refused(workers: dict[str, object]) -> None:
    with pytest.raises(
        ValueError, match=r"scaling\.maxReplicas is 2, and replicas, the fewest, is 3: give maxReplicas 3 or more"
    ):
        TaskWorkers.model_validate(workers)
