"""What a broker that gives several tasks at once has to do beside."""

from __future__ import annotations

import threading

from heliostat.systems.brokers.base import Answered, Returned, TaskBroker
from heliostat.testing.conformance.brokers import KEEP, LONG, TaskBrokerConformance, new


class BatchBrokerConformance(TaskBrokerConformance):
    """For brokers that give several tasks at once; inherit it in the other's place."""

    def test_tasks_are_given_in_the_order_in_which_they_came(self, broker: TaskBroker) -> None:
        for n in range(5):
            broker.submit(new(f"t{n}"), 10)
        assert [lease.id for lease in broker.lease(["1-a"], "w", 3, LONG)] == ["t0", "t1", "t2"]
        assert [lease.id for lease in broker.lease(["1-a"], "w", 3, LONG)] == ["t3", "t4"]

    def test_what_a_dead_worker_had_is_back_at_once_and_then_alone(self, broker: TaskBroker) -> None:
        for n in range(3):
            broker.submit(new(f"t{n}", attempts=1), 10)
        broker.lease(["1-a"], "dead", 3, LONG)
        assert broker.abandon("dead", blame=True) == 3
        for n in range(3):
            [lease] = broker.lease(["1-a"], "w", 3, LONG)
            assert (lease.id, lease.attempts) == (f"t{n}", 0), "it was lost in company, and is not to blame"
            broker.settle([Answered(lease, b"x", "1-a")], KEEP)

    def test_a_suspected_task_is_given_with_no_other_that_came_before_it(self, broker: TaskBroker) -> None:
        for n in range(3):
            broker.submit(new(f"t{n}"), 10)
        first = broker.lease(["1-a"], "w", 1, LONG)
        broker.lease(["1-a"], "dead", 2, LONG)
        broker.abandon("dead", blame=True)
        broker.settle([Returned(lease) for lease in first], KEEP)
        assert [[lease.id for lease in broker.lease(["1-a"], "w", 3, LONG)] for _ in range(3)] == [["t0"], ["t1"], ["t2"]]

    def test_a_poisoned_task_takes_no_other_along(self, broker: TaskBroker) -> None:
        for name in ("a", "poison", "b"):
            broker.submit(new(name, attempts=2), 10)
        answered = []
        for _ in range(20):
            leases = broker.lease(["1-a"], "w", 10, LONG)
            for lease in leases:
                if lease.id == "poison":
                    broker.abandon("w", blame=True)
                    break
                answered += [lease.id] if broker.settle([Answered(lease, b"x", "1-a")], KEEP) == [True] else []
        assert sorted(answered) == ["a", "b"]
        assert [(task.id, task.attempts) for task in broker.dead_letters(10)] == [("poison", 2)]

    def test_what_a_worker_gave_up_without_fault_is_not_suspected(self, broker: TaskBroker) -> None:
        broker.submit(new("t0"), 10)
        broker.submit(new("t1"), 10)
        broker.lease(["1-a"], "w", 2, LONG)
        assert broker.abandon("w", blame=False) == 2
        assert len(broker.lease(["1-a"], "w", 2, LONG)) == 2

    def test_a_worker_that_waits_is_woken_by_a_task(self, broker: TaskBroker) -> None:
        woken = threading.Event()

        def wait() -> None:
            while not broker.lease(["1-a"], "w", 1, LONG):
                broker.wait(["1-a"], 2)
            woken.set()

        thread = threading.Thread(target=wait)
        thread.start()
        broker.submit(new("one"), 10)
        assert woken.wait(10)
        thread.join()
