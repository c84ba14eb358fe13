"""What tests of tasks share."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from serving_fakes import version

from heliostat.spec.addresses import StoreAddress
from heliostat.spec.rollouts import ServingArguments
from heliostat.spec.task_queue import TaskQueue
from heliostat.systems.brokers.base import NewTask, Task, TaskBroker


def arguments(folder: Path, queue: TaskQueue, label: str = "3-abc", **changes: Any) -> ServingArguments:
    declared = version(label, store=StoreAddress(uri=f"file://{folder}"), queue=queue, **changes)
    return ServingArguments(
        application="orders", route_prefix="/_/orders/blue", public_path="/orders", replicas=1, cpus_per_replica=1,
        max_ongoing_requests=8, version=declared, spool=str(folder),
    )  # fmt: skip


def submit(broker: TaskBroker, task_id: str, payload: bytes, label: str = "3-abc", attempts: int = 3, **more: Any) -> None:
    broker.submit(NewTask(task_id, label, payload, time.time() + 600, attempts, **more), 100_000)


def ended(broker: TaskBroker, task_id: str, seconds: float = 40.0) -> Task:
    """The task, once it has ended."""
    eventually(lambda: task_id in broker.ended([task_id]), f"{task_id} goes on", seconds)
    task = broker.read(task_id)
    assert task is not None
    return task


def eventually(ask: Callable[[], Any], what: str, seconds: float = 40.0) -> Any:
    """What `ask` says once it says something."""
    end = time.monotonic() + seconds
    while not (found := ask()):
        assert time.monotonic() < end, what
        time.sleep(0.02)
    return found
