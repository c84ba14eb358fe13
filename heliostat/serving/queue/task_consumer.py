"""The deployment of workers beside an application's replicas: one of Ray Serve's task consumers, with an adapter of ours.

Serve places it, starts it again, and has it end in order; Celery, which Serve's own adapter stands on, is not there
(docs/adr/0019). What a consumer holds of its node its processes hold: the replica itself only looks after them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from ray import serve
from ray.serve.schema import TaskProcessorAdapter, TaskProcessorConfig, TaskResult
from ray.serve.task_consumer import task_consumer

from heliostat.serving.queue.webhooks import WebhookCaller
from heliostat.serving.queue.workers import Workers
from heliostat.spec.rollouts import ServingArguments
from heliostat.spec.task_queue import WORKERS, TaskQueue
from heliostat.systems.brokers import open_broker, retention
from heliostat.systems.brokers.base import NewTask
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.personal_keys import Keyring

_log = logging.getLogger("ray.serve")
_SWEEP_SECONDS: Final = 30.0
_END_SECONDS: Final = 10.0
"""What Serve gives a replica to end, beside what its workers may take."""


def deployment(arguments: ServingArguments, placed: dict[str, Any]) -> Any:
    """Serve's deployment of a version's workers, bound; `placed` are Ray's options that say where."""
    queue = _queue_of(arguments)
    given = arguments.model_dump(mode="json", by_alias=True)
    config = TaskProcessorConfig(
        queue_name=f"{arguments.application}/{arguments.version.label}",
        adapter=f"{BrokerAdapter.__module__}.{BrokerAdapter.__qualname__}",
        adapter_config=given,
        max_retries=queue.max_attempts - 1,
    )
    made: Any = serve.deployment(task_consumer(task_processor_config=config)(TaskWorkers))
    workers = queue.workers
    return made.options(
        name=WORKERS,
        num_replicas=workers.replicas,
        # Serve hands this to the adapter as its concurrency.
        max_ongoing_requests=workers.concurrency,
        ray_actor_options={"num_cpus": workers.cpus_per_replica, "num_gpus": workers.gpus_per_replica, **placed},
        health_check_period_s=2,
        health_check_timeout_s=10,
        max_constructor_retry_count=2,
        graceful_shutdown_wait_loop_s=0.2,
        graceful_shutdown_timeout_s=queue.drain_seconds + _END_SECONDS,
        logging_config={"enable_access_log": False},
    ).bind()


class TaskWorkers:
    """What Serve makes a replica of; its adapter has the workers."""


class BrokerAdapter(TaskProcessorAdapter):
    """Between Serve and a broker of ours."""

    def __init__(self, config: TaskProcessorConfig) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._arguments = ServingArguments.model_validate(config.adapter_config)
        self._queue = _queue_of(self._arguments)
        self._keys = Keyring.of(privacy.keys if (privacy := self._arguments.version.privacy) is not None else ())
        self._broker = open_broker(self._queue, self._arguments.application, self._arguments.version.store)
        self._workers: Workers | None = None
        self._webhooks: WebhookCaller | None = None
        self._stop = threading.Event()
        self._concurrency = 1

    def initialize(self, consumer_concurrency: int = 1) -> None:
        """Note how many workers there are to be."""
        self._concurrency = consumer_concurrency

    def register_task_handle(self, func: Callable[..., Any], name: str | None = None) -> None:
        """Refuse: a task is answered by the version's own model.

        Raises:
            PermanentError: always.
        """
        raise PermanentError(f"{name or func} cannot be a handler: tasks are answered by {self._arguments.version.model_uri}")

    def enqueue_task_sync(self, task_name: str, args: Any = None, kwargs: Any = None, **options: Any) -> TaskResult:
        """Submit `args[0]`, a body as `/predict` takes it; `task_name` is its id."""
        deadline = time.time() + self._queue.deadline_seconds
        task = NewTask(task_name, self._arguments.version.label, bytes(args[0]), deadline, self._queue.max_attempts)
        state = self._broker.submit(task, self._queue.max_open)
        return TaskResult(id=task_name, status=state.value, created_at=time.time(), result=None)

    def get_task_status_sync(self, task_id: str) -> TaskResult:
        """How a task stands."""
        task = self._broker.read(task_id)
        if task is None:
            return TaskResult(id=task_id, status="unknown", result=None)
        return TaskResult(
            id=task_id, status=task.state.value, created_at=task.submitted_at, result=self._keys.unseal(task.answer)[0] or None
        )

    def start_consumer(self, **kwargs: Any) -> None:
        """Start the workers, and return once they take tasks.

        Raises:
            PermanentError: they cannot answer with this version.
        """
        self._warn()
        self._workers = Workers(self._arguments, self._broker, self._concurrency)
        self._workers.start()
        if self._queue.webhooks is not None:
            self._webhooks = WebhookCaller(self._broker, self._arguments.application, self._queue.webhooks, self._keys)
            self._webhooks.start()
        threading.Thread(target=self._sweep, name="sweep", daemon=True).start()

    def stop_consumer(self, timeout: float | None = None) -> None:
        """Have the workers finish what they have, for as long as the queue gives them: Serve's own 10 s cut long tasks."""
        if self._stop.is_set():
            return
        self._stop.set()
        if self._workers is not None:
            self._workers.stop(self._queue.drain_seconds)
        if self._webhooks is not None:
            self._webhooks.stop()
        self._broker.close()

    def cancel_task_sync(self, task_id: str) -> None:
        """Cancel a task."""
        self._broker.cancel(task_id)

    def get_metrics_sync(self) -> dict[str, Any]:
        """The queue's depth."""
        depth = self._broker.depth()
        return {"waiting": depth.waiting, "running": depth.running, "dead": depth.dead, "oldest_seconds": depth.oldest_seconds}

    def health_check_sync(self) -> list[dict[str, Any]]:
        """The workers' processes."""
        return [{str(pid): {"ok": "running"}} for pid in (self._workers.pids if self._workers else ())]

    def _warn(self) -> None:
        try:
            problem = self._broker.volatile()
        except (RetryableError, PermanentError):
            return  # the workers say so
        if problem:
            _log.warning("%s", problem)

    def _sweep(self) -> None:
        keep = retention(self._queue)
        while not self._stop.wait(_SWEEP_SECONDS):
            try:
                self._broker.sweep(keep)
            except (RetryableError, PermanentError):
                continue  # the workers say so


def _queue_of(arguments: ServingArguments) -> TaskQueue:
    if arguments.version.queue is None:
        raise PermanentError(f"{arguments.version.label} takes no tasks: declare serving.queue")
    return arguments.version.queue
