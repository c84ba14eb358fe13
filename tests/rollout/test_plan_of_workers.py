"""Workers of tasks are part of what a version needs: they are told, and have to fit beside its replicas."""

from __future__ import annotations

from test_plan import HELD, desired, serving

from heliostat.rollout.capacity import Ask, Held, Node, awaited, holds
from heliostat.rollout.model import Colour, State
from heliostat.rollout.plan import plan
from heliostat.spec.rollouts import Desired
from heliostat.spec.strategies import BlueGreen, Recreate, Rolling, Strategy
from heliostat.spec.task_queue import TaskQueue, TaskScaling, TaskWorkers


def with_tasks(number: int, strategy: Strategy | None = None, **workers: object) -> Desired:
    """A version of two replicas with one CPU each, and workers."""
    found = desired(number, strategy or BlueGreen(), 2)
    queue = TaskQueue(workers=TaskWorkers.model_validate({"cpusPerReplica": 2, **workers}))
    return found.model_copy(update={"version": found.version.model_copy(update={"queue": queue})})


def short(wanted: Desired, *cpus: float, state: State | None = None, held: tuple[Held, ...] = HELD) -> str | None:
    nodes = tuple(Node(name, each) for name, each in zip(("head", "other"), cpus, strict=False))
    return plan(state or serving(), wanted, None, None, nodes, held).shortage


def test_workers_are_told_and_counted_on_top() -> None:
    found = plan(serving(), with_tasks(2, concurrency=4), None, None)
    assert (found.extra_replicas, found.extra_workers, found.extra_cpus) == (2, 1, 4.0)
    assert found.lines[-1] == "needs 1 replica of workers of tasks on top (2 CPUs), for 4 tasks at a time"
    scaled = with_tasks(2, scaling=TaskScaling(max_replicas=3))
    assert (
        plan(serving(), scaled, None, None)
        .lines[-1]
        .endswith("for 1 task at a time; up to 3 replicas (6 CPUs) while the queue is long and there is room")
    )


def test_an_application_without_tasks_needs_none() -> None:
    found = plan(serving(), desired(2, BlueGreen()), None, None)
    assert found.extra_workers == 0
    assert not [line for line in found.lines if "workers" in line]


def test_workers_have_to_fit_beside_the_replicas() -> None:
    assert short(with_tasks(2), 4) is None
    assert short(with_tasks(2), 2, 2) is None, "whichever of them chooses first"
    told = short(with_tasks(2), 3)
    assert told is not None
    assert told.startswith(
        "1 replica of workers of tasks of 2-fine with 2 CPUs each must fit beside what runs and 2 new replicas, and the "
        "cluster has room for 0 (free: head: 1 CPU): give the cluster another node, "
    )
    assert told.endswith("or ask for fewer or smaller ones below serving.queue.workers")
    assert "2 replicas of 2-fine with 1 CPU each" in (short(with_tasks(2), 1) or ""), "replicas are told first"


def test_workers_come_all_at_once_also_where_replicas_do_not() -> None:
    assert short(with_tasks(2, Rolling(max_surge=0)), 2) is None
    assert "workers of tasks" in (short(with_tasks(2, Rolling(max_surge=0)), 1) or "")


def test_what_recreate_takes_away_makes_room_for_workers_too() -> None:
    world = serving()
    assert short(with_tasks(2, Recreate()), 2) is None
    assert "workers of tasks" in (short(with_tasks(2, Recreate()), 1) or "")
    live = world.live
    assert live is not None
    state = world.with_slot(live, desired=with_tasks(1))
    held = (Held(Colour.BLUE, "head", 2, workers=1),)
    assert short(with_tasks(2, Recreate()), 0, state=state, held=held) is None


def test_more_replicas_of_the_same_version_need_no_more_workers() -> None:
    live = serving().live
    assert live is not None
    state = serving().with_slot(live, desired=with_tasks(1))
    more = with_tasks(1).model_copy(update={"replicas": 3})
    found = plan(state, more, None, None, (Node("head", 1),), HELD)
    assert (found.extra_replicas, found.extra_workers, found.shortage) == (1, 0, None)


def test_nodes_that_are_to_come_are_waited_for_by_what_needs_them() -> None:
    there, coming = Node("a", 2, group="small"), Node("a node of big", 4, group="big", to_come=2)
    replicas, workers = (Ask(1.0), 2), (Ask(4.0), 1)
    assert awaited((there, coming), (replicas,)) == ()
    assert awaited((there, coming), (replicas, workers)) == ("big",)
    assert holds((coming,), ((Ask(3.0), 2), (Ask(1.0), 2)))
    assert not holds((coming,), ((Ask(3.0), 2), (Ask(2.0), 1))), "each of them is a node of its own"
