"""Tasks in Redis: leases with an end, by the server's clock, and every step one script.

What a 202 promises is kept as Redis keeps what it has: with an append-only file through the end of its process, with
`appendfsync always` through that of its machine, and with `maxmemory-policy noeviction` nothing is thrown away for lack of
room.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Collection, Sequence
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar, cast
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
    TimeoutError,
)
from redis.retry import Retry

from heliostat.spec.addresses import BasicVariables
from heliostat.spec.task_queue import RedisBroker as RedisAddress
from heliostat.systems.brokers import redis_scripts as scripts
from heliostat.systems.brokers.base import (
    LATE,
    LOST,
    Answered,
    BrokerAwayError,
    Depth,
    Failed,
    Lease,
    NewTask,
    Outcome,
    QueueFullError,
    Retention,
    Task,
    TaskConflictError,
    TaskState,
    Webhook,
)
from heliostat.systems.credentials import read_pair, read_text
from heliostat.systems.errors import NoAccessError, PermanentError, RetryableError

P = ParamSpec("P")
T = TypeVar("T")

_CONNECT_SECONDS: Final = 1.0
_ANSWER_SECONDS: Final = 5.0
_PASSING: Final = ("LOADING", "BUSY", "MASTERDOWN", "READONLY", "CLUSTERDOWN", "MISCONF", "NOAUTH", "WRONGPASS")
"""What Redis' errors begin with that go away without a change of ours."""
_FIELDS: Final = ("v", "s", "p", "sub", "dl", "att", "err", "ans", "by", "end", "hook", "note", "tries")


def _told(call: Callable[P, T]) -> Callable[P, T]:
    """Tell what Redis says in this package's words; never its URL, which may be told by whoever connects."""

    @wraps(call)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        where = cast("Redis", args[0]).where
        try:
            return call(*args, **kwargs)
        except OutOfMemoryError:
            raise QueueFullError(f"Redis at {where} has no memory left: let workers catch up, or give it more") from None
        except (AuthenticationError, ConnectionError, TimeoutError) as error:
            raise BrokerAwayError(f"Redis at {where} does not answer: {type(error).__name__}: {error}") from None
        except ResponseError as error:
            if str(error).startswith(_PASSING):
                raise BrokerAwayError(f"Redis at {where} takes nothing now: {error}") from None
            raise PermanentError(f"Redis at {where} refused a step of the queue: {error}") from None
        except (NoAccessError, RetryableError) as error:
            raise error if isinstance(error, RetryableError) else BrokerAwayError(str(error)) from None
        except RedisError as error:
            raise BrokerAwayError(f"Redis at {where}: {type(error).__name__}: {error}") from None

    return guarded


class Redis:
    """A `TaskBroker` on Redis 6.2 or newer."""

    def __init__(self, address: RedisAddress, application: str, retention: Retention) -> None:
        parts = urlsplit(address.url)
        self.where = f"{parts.hostname}:{parts.port or 6379}"
        # All keys in one slot of a cluster.
        self._prefix = f"{{heliostat:tasks:{application}}}"
        self._retention = retention
        self._address = address
        self._tokens = itertools.count()
        self._client: Any = redis.Redis.from_url(
            address.url,
            credential_provider=_Credential(address) if address.credential is not None else None,
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=_ANSWER_SECONDS,
            # A lease that is taken twice would be held by nobody the first time.
            retry=Retry(NoBackoff(), 0),
            health_check_interval=10,
        )
        self._scripts: dict[str, Any] = {}

    @_told
    def submit(self, task: NewTask, max_open: int) -> TaskState:  # noqa: D102 - see TaskBroker
        given = (task.id, task.version, task.payload, task.deadline, task.max_attempts, task.webhook, max_open)
        found = self._run(scripts.SUBMIT, *given).decode()
        if found == "full":
            raise QueueFullError(f"{max_open} tasks are open, as many as may be: try again once some are answered")
        if found == "conflict":
            raise TaskConflictError(f"the task {task.id} is there with another payload")
        return TaskState(found)

    @_told
    def read(self, task_id: str) -> Task | None:  # noqa: D102
        found = self._client.hmget(self._key(task_id), list(_FIELDS))
        return _task(task_id, found)

    @_told
    def ended(self, task_ids: Collection[str]) -> set[str]:  # noqa: D102
        ids = list(task_ids)
        pipe = self._client.pipeline(transaction=False)
        for task_id in ids:
            pipe.hget(self._key(task_id), "s")
        return {task_id for task_id, state in zip(ids, pipe.execute(), strict=True) if state not in (b"waiting", b"running")}

    @_told
    def cancel(self, task_id: str) -> Task | None:  # noqa: D102
        self._run(scripts.CANCEL, task_id, self._retention.results)
        return self.read(task_id)

    @_told
    def lease(self, labels: Sequence[str], consumer: str, most: int, seconds: float) -> list[Lease]:  # noqa: D102
        token = f"{consumer}:{os.getpid()}:{next(self._tokens)}"
        given = (consumer, token, most, seconds, LOST, LATE, self._retention.dead_letters, *labels)
        return [
            Lease(task_id.decode(), token, payload, int(attempts), float(deadline), version.decode())
            for task_id, payload, attempts, deadline, version in self._run(scripts.LEASE, *given)
        ]

    @_told
    def wait(self, labels: Sequence[str], seconds: float) -> None:  # noqa: D102
        self._client.blpop([f"{self._prefix}:bell:{label}" for label in labels], timeout=min(seconds, _ANSWER_SECONDS / 2))

    @_told
    def renew(self, leases: Sequence[Lease], seconds: float) -> set[str]:  # noqa: D102
        given = [part for lease in leases for part in (lease.id, lease.token)]
        return {task_id.decode() for task_id in self._run(scripts.RENEW, seconds, *given)}

    @_told
    def settle(self, outcomes: Sequence[Outcome], keep: Retention) -> list[bool]:  # noqa: D102
        given: list[Any] = [keep.results, keep.dead_letters]
        for outcome in outcomes:
            given += _settled(outcome)
        return [bool(stands) for stands in self._run(scripts.SETTLE, *given)]

    @_told
    def abandon(self, consumer: str, blame: bool) -> int:  # noqa: D102
        return int(self._run(scripts.ABANDON, consumer, int(blame), LOST, self._retention.dead_letters))

    @_told
    def beat(self, label: str, seconds: float) -> None:  # noqa: D102
        self._run(scripts.BEAT, label, seconds)

    @_told
    def orphans(self, grace: float) -> list[str]:  # noqa: D102
        return [label.decode() for label in self._run(scripts.LABELS, grace)]

    @_told
    def alive(self) -> list[str]:  # noqa: D102
        return [label.decode() for label in self._run(scripts.LABELS, "")]

    @_told
    def depth(self) -> Depth:  # noqa: D102
        opened, running, dead, oldest, labels, ended, ready = self._run(scripts.DEPTH)
        waiting = {label.decode(): count for label, count in zip(labels, ready, strict=True)}
        counts = {state.decode(): int(count) for state, count in zip(ended[::2], ended[1::2], strict=True)}
        by_version = {label: count for label, count in waiting.items() if count}
        age = float(oldest) if oldest else None
        return Depth(max(0, opened - running), running, dead, age, tuple(sorted(waiting)), counts, by_version)

    @_told
    def dead_letters(self, most: int) -> list[Task]:  # noqa: D102
        ids = [task_id.decode() for task_id in self._client.zrevrange(f"{self._prefix}:dead", 0, most - 1)]
        return [task for task_id in ids if (task := self.read(task_id)) is not None]

    @_told
    def revive(self, task_id: str, deadline: float) -> bool:  # noqa: D102
        return bool(self._run(scripts.REVIVE, task_id, deadline))

    @_told
    def due_webhooks(self, most: int, seconds: float) -> list[Webhook]:  # noqa: D102
        due = []
        for raw in self._run(scripts.HOOKS, most, seconds):
            found = self._client.hmget(self._key(raw.decode()), list(_FIELDS))
            if (task := _task(raw.decode(), found)) is not None:
                due.append(Webhook(task, int(found[-1] or 0)))
        return due

    @_told
    def note_webhook(self, task_id: str, note: str, again_after: float | None) -> None:  # noqa: D102
        self._run(scripts.NOTE_HOOK, task_id, note, "" if again_after is None else again_after)

    @_told
    def sweep(self, keep: Retention) -> None:  # noqa: D102
        self._run(scripts.SWEEP, LATE, keep.dead_letters)

    def close(self) -> None:  # noqa: D102
        self._client.close()

    @_told
    def volatile(self) -> str:  # noqa: D102
        found = self._client.info()
        if not found.get("aof_enabled", 1):
            return f"Redis at {self.where} has no append-only file: tasks that it took are lost with it; set appendonly yes"
        if (policy := found.get("maxmemory_policy", "noeviction")) != "noeviction":
            return f"Redis at {self.where} throws tasks away where memory ends ({policy}): set maxmemory-policy noeviction"
        return ""

    def _run(self, script: str, *given: Any) -> Any:
        made = self._scripts.get(script)
        if made is None:
            made = self._scripts[script] = self._client.register_script(script)
        return made(keys=[self._prefix], args=list(given))

    def _key(self, task_id: str) -> str:
        return f"{self._prefix}:t:{task_id}"


class _Credential(redis.CredentialProvider):
    """Read anew for each connection."""

    def __init__(self, address: RedisAddress) -> None:
        self._address = address

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        credential, url = self._address.credential, self._address.url
        if isinstance(credential, BasicVariables):
            return read_pair(credential, url)
        return (read_text(credential, url),) if credential is not None else ("",)


def _settled(outcome: Outcome) -> list[Any]:
    lease = outcome.lease
    match outcome:
        case Answered():
            return ["answered", lease.id, lease.token, outcome.answer, outcome.by]
        case Failed():
            return ["failed", lease.id, lease.token, outcome.error, "" if outcome.again_after is None else outcome.again_after]
        case _:
            return ["returned", lease.id, lease.token, "", ""]


def _task(task_id: str, found: Sequence[bytes | None]) -> Task | None:
    values = dict(zip(_FIELDS, found, strict=True))
    if values["s"] is None:
        return None

    def text(name: str) -> str:
        return (values[name] or b"").decode()

    return Task(
        id=task_id,
        version=text("v"),
        state=TaskState(text("s")),
        payload=values["p"] or b"",
        submitted_at=float(text("sub")),
        deadline=float(text("dl")),
        attempts=int(text("att")),
        error=text("err"),
        answer=values["ans"] or b"",
        answered_by=text("by"),
        ended_at=float(text("end")) if values["end"] else None,
        webhook=text("hook"),
        webhook_note=text("note"),
    )
