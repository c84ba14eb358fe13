"""What is known of tasks, as objects of a store, for a broker that keeps messages alone."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from heliostat.systems.brokers.base import NewTask, Retention, Task, TaskState, Webhook
from heliostat.systems.storage.base import ObjectMissingError, ObjectStore


@dataclass(frozen=True)
class Ending:
    """How a task ended."""

    state: TaskState
    at: float
    answer: bytes = b""
    by: str = ""
    attempts: int = 0
    error: str = ""


@dataclass(frozen=True)
class Tried:
    """What is known of attempts that did not end it."""

    attempts: int = 0
    given: int = 0
    """How often its message was given for what is accounted for."""
    error: str = ""


class TaskObjects:
    """The tasks of one application below `tasks/<application>/`."""

    def __init__(self, store: ObjectStore, application: str) -> None:
        self._store = store
        self._top = f"tasks/{application}"

    def create(self, task: NewTask, now: float) -> None:
        """Write a new task; nothing where it is there."""
        value = {
            "version": task.version, "payload": _text(task.payload), "submitted": now, "deadline": task.deadline,
            "maxAttempts": task.max_attempts, "webhook": task.webhook,
        }  # fmt: skip
        self._store.put(self._key(task.id, "task"), _dumped(value), only_if_absent=True)

    def read(self, task_id: str) -> Task | None:
        """The task, running or not: SQS does not say which."""
        value = self._get(self._key(task_id, "task"))
        if value is None:
            return None
        end = self._get(self._key(task_id, "end"))
        tried = self.tried(task_id) if end is None else Tried(end["attempts"], 0, end["error"])
        hook = self._get(f"{self._top}/hooks/{task_id}") if value["webhook"] else None
        return Task(
            id=task_id,
            version=value["version"],
            state=TaskState(end["state"]) if end else TaskState.WAITING,
            payload=_bytes(value["payload"]),
            submitted_at=value["submitted"],
            deadline=value["deadline"],
            attempts=tried.attempts,
            error=tried.error,
            answer=_bytes(end["answer"]) if end else b"",
            answered_by=end["by"] if end else "",
            ended_at=end["at"] if end else None,
            webhook=value["webhook"],
            webhook_note=hook["note"] if hook else "",
        )

    def max_attempts(self, task_id: str) -> int:
        """How often it is tried; 0 where it is gone."""
        return int((self._get(self._key(task_id, "task")) or {"maxAttempts": 0})["maxAttempts"])

    def has_ended(self, task_id: str) -> bool:
        """Whether it has an end, or is not known."""
        return self._store.exists(self._key(task_id, "end")) or not self._store.exists(self._key(task_id, "task"))

    def end(self, task_id: str, ending: Ending) -> bool:
        """Write its end; False where it has one."""
        value = {
            "state": ending.state.value, "at": ending.at, "answer": _text(ending.answer), "by": ending.by,
            "attempts": ending.attempts, "error": ending.error,
        }  # fmt: skip
        return self._store.put(self._key(task_id, "end"), _dumped(value), only_if_absent=True)

    def tried(self, task_id: str) -> Tried:
        """What is known of its attempts."""
        return Tried(**(self._get(self._key(task_id, "tried")) or {}))

    def note_tried(self, task_id: str, tried: Tried) -> None:
        """Write that down; whoever has its message does."""
        value = {"attempts": tried.attempts, "given": tried.given, "error": tried.error}
        self._store.put(self._key(task_id, "tried"), _dumped(value))

    def beat(self, label: str, until: float) -> None:
        """Write down that a version has workers until then."""
        self._store.put(f"{self._top}/alive/{label}", _dumped({"until": until}))

    def beats(self) -> dict[str, float]:
        """Until when versions have workers, by label."""
        prefix = f"{self._top}/alive/"
        found = {info.key.removeprefix(prefix): self._get(info.key) for info in self._store.list(prefix)}
        return {label: float(value["until"]) for label, value in found.items() if value}

    def bury(self, task_id: str) -> None:
        """List it among the dead letters."""
        self._store.put(f"{self._top}/dead/{task_id}", b"{}")

    def dead(self, most: int) -> list[Task]:
        """The dead letters, the newest first."""
        prefix = f"{self._top}/dead/"
        newest = sorted(self._store.list(prefix), key=lambda info: info.modified, reverse=True)[:most]
        found = [self.read(info.key.removeprefix(prefix)) for info in newest]
        return [task for task in found if task is not None]

    def count_dead(self) -> int:
        """How many there are."""
        return sum(1 for _ in self._store.list(f"{self._top}/dead/"))

    def revive(self, task: Task, deadline: float) -> None:
        """Have a dead letter be as new."""
        value = {
            "version": task.version, "payload": _text(task.payload), "submitted": task.submitted_at, "deadline": deadline,
            "maxAttempts": self.max_attempts(task.id), "webhook": task.webhook,
        }  # fmt: skip
        self._store.put(self._key(task.id, "task"), _dumped(value))
        for key in (self._key(task.id, "tried"), f"{self._top}/hooks/{task.id}", f"{self._top}/dead/{task.id}"):
            self._store.delete(key)
        self._store.delete(self._key(task.id, "end"))

    def has_hook(self, task_id: str) -> bool:
        """Whether its webhook was noted."""
        return self._store.exists(f"{self._top}/hooks/{task_id}")

    def note_hook(self, task_id: str, note: str, due: float | None) -> None:
        """Write down how its call went, and when it is due again."""
        before = self._get(f"{self._top}/hooks/{task_id}")
        value = {"note": note, "due": due, "tries": before["tries"] + 1 if before else 0}
        self._store.put(f"{self._top}/hooks/{task_id}", _dumped(value))

    def due_hooks(self, most: int, now: float, seconds: float) -> list[Webhook]:
        """Calls to make, put off for `seconds`."""
        prefix, due = f"{self._top}/hooks/", list[Webhook]()
        for info in self._store.list(prefix):
            value = self._get(info.key)
            if value is None or value["due"] is None or value["due"] > now:
                continue
            task = self.read(info.key.removeprefix(prefix))
            if task is not None:
                self._store.put(info.key, _dumped({**value, "due": now + seconds}))
                due.append(Webhook(task, value["tries"]))
            if len(due) == most:
                break
        return due

    def forget(self, now: float, keep: Retention) -> None:
        """Remove what was kept for long enough."""
        for info in self._store.list(f"{self._top}/"):
            if not info.key.endswith("/end") or now - _seconds(info.modified) < min(keep.results, keep.dead_letters):
                continue
            task_id = info.key.split("/")[-2]
            task = self.read(task_id)
            limit = keep.dead_letters if task and task.state is TaskState.FAILED else keep.results
            if now - _seconds(info.modified) >= limit:
                for key in (f"{self._top}/dead/{task_id}", f"{self._top}/hooks/{task_id}"):
                    self._store.delete(key)
                for name in ("tried", "task", "end"):
                    self._store.delete(self._key(task_id, name))

    def _get(self, key: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(self._store.get(key))
        except ObjectMissingError:
            return None
        return found

    def _key(self, task_id: str, name: str) -> str:
        return f"{self._top}/of/{task_id}/{name}"


def _dumped(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)


def _seconds(at: datetime) -> float:
    return at.astimezone(UTC).timestamp()
