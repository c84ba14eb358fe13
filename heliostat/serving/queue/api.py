"""An application's tasks over HTTP, beside all that it answers without.

    POST   /tasks               a body as `/predict` takes it -> 202 `{"id", "status", ...}` and `location`
                                header `idempotency-key`: the same key is the same task
                                query `deadlineSeconds`, `webhook`
    GET    /tasks/ID            how it stands; `?wait=5` returns once it has ended, at most so many seconds later
    GET    /tasks/ID/result     200 with the very answer of `/predict`, 202 while there is none; `?wait=` too
    DELETE /tasks/ID            cancel it: what is worked on is finished, and answers nothing

What does not fit the contract is refused as `/predict` refuses it, before anything is kept. 503 with `retry-after` says that
the broker is away, slow or full: nothing was promised. A task that failed has no result (409), nor has one that was cancelled
(410).

Inside (`/-/`, which clients cannot reach): GET /-/tasks the depth of the queue, GET /-/tasks/dead its dead letters, GET
/-/tasks/ID one with its payload, POST /-/tasks/ID/retry, POST /-/tasks/ID/cancel.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import re
import secrets
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs

from pydantic_core import to_json

from heliostat.serving.dataplane import DataPlane
from heliostat.serving.errors import HttpError
from heliostat.serving.queue import webhooks
from heliostat.serving.queue.openapi import with_tasks
from heliostat.serving.queue.sealing import TaskSealing
from heliostat.serving.queue.waiting import Waiting
from heliostat.serving.rest.application import json_body
from heliostat.serving.rest.cors import Cors
from heliostat.serving.rest.exchange import JSON, Application, Fields, Reply, Request, Response
from heliostat.spec.rollouts import ServingArguments
from heliostat.spec.task_queue import TASKS, QueueDepth, TaskView, WebhookView
from heliostat.systems.brokers import open_broker
from heliostat.systems.brokers.base import ENDED, NewTask, Task, TaskBroker, TaskConflictError, TaskState
from heliostat.systems.errors import PermanentError, RetryableError

_log = logging.getLogger("ray.serve")
T = TypeVar("T")

_KEY: Final = re.compile(rb"[!-~]{1,255}\Z")
_ID: Final = re.compile(r"[0-9a-f]{32}\Z")
_THREADS: Final = 8
_MOST_CALLS: Final = 256
"""Calls of the broker that are under way or wait for a thread: more are told to come again."""
_LONGEST_WAIT: Final = 5.0
"""A replica that is taken away answers for 6 s more: nobody waits for longer than that."""
_RETRY_AFTER: Final = ((b"retry-after", b"2"),)
_SOON: Final = ((b"retry-after", b"1"),)
_MOST_LISTED: Final = 1_000


def open_tasks(application: Application, plane: DataPlane, arguments: ServingArguments) -> TaskApplication:
    """The application of `arguments`, which takes tasks.

    Raises:
        PermanentError: its broker's client is not installed.
    """
    queue = arguments.version.queue
    if queue is None:
        raise PermanentError(f"{arguments.application} has no queue")
    return TaskApplication(application, plane, open_broker(queue, arguments.application, arguments.version.store), arguments)


class TaskApplication:
    """An `exchange.Application` that takes tasks too."""

    def __init__(self, inner: Application, plane: DataPlane, broker: TaskBroker, arguments: ServingArguments) -> None:
        """`inner`: answers all that is no task's."""
        version = arguments.version
        assert version.queue is not None  # noqa: S101 - for mypy
        self.max_body_bytes = inner.max_body_bytes
        self._inner = inner
        self._plane = plane
        self._broker = broker
        self._sealing = TaskSealing(plane.personal)
        self._queue = version.queue
        self._application = arguments.application
        self._label = version.label
        self._public = f"{arguments.public_path}/tasks"
        self._cors = Cors(version.cors_origins, tasks=True, consent=plane.personal.consent_header)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="tasks")
        self._calls = 0
        self._waiting = Waiting(self._ended)
        self._openapi = with_tasks(inner.reply(Request("GET", "/openapi.json", b"", {})), arguments.public_path, self._queue)

    def reply(self, request: Request) -> Reply:
        """The answer, or how to get it. Never raises."""
        path = request.path
        if path == "/tasks" or path.startswith(("/tasks/", TASKS)):
            return self._cors.preflight(request) or self._replied(request)
        if path == "/openapi.json" and request.method in ("GET", "HEAD"):
            return Response(200, JSON, self._openapi, self._fields(request))
        return self._inner.reply(request)

    def too_large(self, request: Request, size: int) -> Response:
        """The answer to a request whose body has `size` bytes or more, which is over the limit."""
        return self._inner.too_large(request, size)

    def close(self) -> None:
        """Write and store what is still to be logged."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._broker.close()
        self._inner.close()

    async def _replied(self, request: Request) -> Response:
        try:
            status, value, extra = await self._routed(request)
        except HttpError as refusal:
            status, value, extra = refusal.status, refusal.body, refusal.headers
        except RetryableError as error:
            _log.warning("%s %s: %s", request.method, request.path, error)
            detail = f"the queue does not answer, and nothing was promised: {error}; try again"
            status, value, extra = 503, {"detail": detail}, _RETRY_AFTER
        except Exception as error:
            _log.exception("%s %s failed", request.method, request.path)
            status, value, extra = 500, {"detail": f"the application failed on this request ({type(error).__name__})"}, ()
        body = value if isinstance(value, bytes) else to_json(value, inf_nan_mode="strings")
        fields = extra if any(name == b"x-heliostat-version" for name, _ in extra) else (*self._fields(request), *extra)
        return Response(status, JSON, body, fields)

    def _fields(self, request: Request) -> Fields:
        return ((b"x-heliostat-version", self._label.encode()), *self._cors.fields(request))

    async def _routed(self, request: Request) -> tuple[int, Any, Fields]:
        parts = request.path.removeprefix("/-").split("/")[2:]
        method = "GET" if request.method == "HEAD" else request.method
        if request.path.startswith("/-/"):
            return await self._inside(method, parts, request)
        match method, parts:
            case "POST", []:
                return await self._submit(request)
            case "GET", [task_id]:
                return 200, _shown(await self._task(task_id, request)), ()
            case "GET", [task_id, "result"]:
                return self._result(await self._task(task_id, request), request)
            case "DELETE", [task_id]:
                return _cancelled(await self._cancel(task_id))
        allowed = {0: b"POST", 1: b"GET, DELETE"}.get(len(parts), b"GET")
        if len(parts) < 2 or parts[1:] == ["result"]:
            raise HttpError(405, f"{request.path} takes {allowed.decode()}, not {request.method}", ((b"allow", allowed),))
        raise HttpError(404, f"there is nothing at {request.path}: there are /tasks, /tasks/ID and /tasks/ID/result")

    async def _inside(self, method: str, parts: list[str], request: Request) -> tuple[int, Any, Fields]:
        match method, parts:
            case "GET", []:
                depth = await self._call(self._broker.depth)
                return 200, _dumped(QueueDepth(**asdict(depth))), ()
            case "GET", ["dead"]:
                most = min(_MOST_LISTED, int(_number(request, "most", 100)))
                found = await self._call(lambda: self._broker.dead_letters(most))
                return 200, [_shown(task) for task in found], ()
            case "GET", [task_id]:
                return 200, _shown(self._sealing.shown(await self._task(task_id, request)), whole=True), ()
            case "POST", [task_id, "retry"]:
                deadline = time.time() + self._queue.deadline_seconds
                if not await self._call(lambda: self._broker.revive(task_id, deadline)):
                    raise HttpError(409, f"the task {task_id} is no dead letter")
                return 200, _shown(await self._task(task_id, request)), ()
            case "POST", [task_id, "cancel"]:
                return _cancelled(await self._cancel(task_id))
        raise HttpError(404, f"there is nothing at {request.method} {request.path}")

    async def _submit(self, request: Request) -> tuple[int, Any, Fields]:
        body = json_body(request, self.max_body_bytes)
        seconds = _number(request, "deadlineSeconds", self._queue.deadline_seconds)
        if not 0 < seconds <= self._queue.deadline_seconds:
            raise HttpError(
                422, f"deadlineSeconds is {seconds:g}: it must be above 0 and at most {self._queue.deadline_seconds:g}"
            )
        webhook = _query(request).get("webhook", "")
        if webhook and (problem := webhooks.problem_of(webhook, self._queue.webhooks)):
            raise HttpError(422, problem)
        payload = self._sealing.payload(body, self._plane.personal.header_consents(request.headers))
        task = NewTask(self._id(request), self._label, payload, time.time() + seconds, self._queue.max_attempts, webhook)

        def submit() -> TaskState:
            self._plane.check(body)
            return self._sealing.submitted(self._broker, task, self._queue.max_open, body)

        try:
            state = await self._call(submit)
        except TaskConflictError:
            raise HttpError(409, "this idempotency-key is another task's, with another body: take a new key") from None
        location = f"{self._public}/{task.id}"
        told = {"id": task.id, "status": state.value, "url": location, "resultUrl": f"{location}/result"}
        return 202, told, ((b"location", location.encode()),)

    def _id(self, request: Request) -> str:
        key = request.headers.get(b"idempotency-key")
        if key is None:
            return secrets.token_hex(16)
        if not _KEY.match(key):
            raise HttpError(422, "the idempotency-key must be 1 to 255 visible ASCII characters")
        return hashlib.sha256(self._application.encode() + b"\0" + key).hexdigest()[:32]

    async def _task(self, task_id: str, request: Request) -> Task:
        if not _ID.match(task_id):
            raise HttpError(404, f"there is no task {task_id[:64]!r}")
        seconds = min(_LONGEST_WAIT, _number(request, "wait", 0.0))
        task = await self._call(lambda: self._broker.read(task_id))
        if task is not None and task.state not in ENDED and seconds > 0:
            await self._waiting.wait(task_id, seconds)
            task = await self._call(lambda: self._broker.read(task_id))
        if task is None:
            raise HttpError(
                404, f"there is no task {task_id}, or not any more: answers are kept for {self._queue.result_seconds} s"
            )
        return task

    async def _cancel(self, task_id: str) -> Task:
        task = await self._call(lambda: self._broker.cancel(task_id)) if _ID.match(task_id) else None
        if task is None:
            raise HttpError(404, f"there is no task {task_id[:64]!r}")
        return task

    def _result(self, task: Task, request: Request) -> tuple[int, Any, Fields]:
        match task.state:
            case TaskState.SUCCEEDED:
                return (
                    200,
                    self._plane.personal.keys.unseal(task.answer)[0],
                    ((b"x-heliostat-version", task.answered_by.encode()), *self._cors.fields(request)),
                )
            case TaskState.FAILED:
                raise HttpError(409, f"the task failed, and has no result: {task.error}")
            case TaskState.CANCELLED:
                raise HttpError(410, "the task was cancelled, and has no result")
        return 202, _shown(task), _SOON

    async def _ended(self, task_ids: Collection[str]) -> set[str]:
        return await self._call(lambda: self._broker.ended(task_ids))

    async def _call(self, call: Callable[[], T]) -> T:
        """Ask the broker in a thread of its own, which holds up no prediction."""
        if self._calls >= _MOST_CALLS:
            raise RetryableError(f"{_MOST_CALLS} calls wait for the broker, which is slow")
        self._calls += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, call)
        finally:
            self._calls -= 1


def _shown(task: Task, whole: bool = False) -> dict[str, Any]:
    """A task as it is told; `whole`: with its payload and its answer."""
    return _dumped(
        TaskView(
            id=task.id,
            status=task.state.value,
            attempts=task.attempts,
            version=task.answered_by or task.version,
            submitted_at=task.submitted_at,
            deadline=task.deadline,
            ended_at=task.ended_at,
            error=task.error or None,
            webhook=WebhookView(url=task.webhook, note=task.webhook_note) if task.webhook else None,
            payload=base64.b64encode(task.payload).decode() if whole else None,
            result=base64.b64encode(task.answer).decode() if whole and task.state is TaskState.SUCCEEDED else None,
        )
    )


def _dumped(value: QueueDepth | TaskView) -> dict[str, Any]:
    return value.model_dump(mode="json", exclude_none=True)


def _cancelled(task: Task) -> tuple[int, Any, Fields]:
    if task.state is not TaskState.CANCELLED:
        raise HttpError(409, f"the task has ended: it {task.state.value}")
    return 200, _shown(task), ()


def _query(request: Request) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(request.query.decode("latin-1")).items()}


def _number(request: Request, name: str, default: float) -> float:
    text = _query(request).get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < float("inf"):
        raise HttpError(422, f"{name} is {text[:64]!r}: it must be a number of 0 or more")
    return value
