"""What a broker keeps of tasks with personal fields: it is sealed, and who may see it all opens it."""

from __future__ import annotations

from dataclasses import replace

from heliostat.serving.personal import PersonalData
from heliostat.systems.brokers.base import NewTask, Task, TaskBroker, TaskConflictError, TaskState
from heliostat.systems.personal_keys import UnsealedError


class TaskSealing:
    """Of one version's tasks. Safe to use from several threads."""

    def __init__(self, personal: PersonalData) -> None:
        self._personal = personal

    def payload(self, body: bytes, consents: bool) -> bytes:
        """What a broker keeps of a body: one with personal fields is sealed, and one that is not to be logged says so."""
        sealed = self._personal.is_personal or not consents
        return self._personal.keys.seal(body, consents) if sealed else body

    def submitted(self, broker: TaskBroker, task: NewTask, most_open: int, body: bytes) -> TaskState:
        """Have a broker keep a task, whose payload was made of `body`; the same body, sealed with the key before, is the same.

        Raises:
            TaskConflictError: its id is another body's.
            RetryableError: the broker does not take it now.
        """
        try:
            return broker.submit(task, most_open)
        except TaskConflictError:
            known = broker.read(task.id)
            if known is not None and known.payload != body and self._body(known) == body:
                return known.state
            raise

    def answer(self, task: Task) -> bytes:
        """A task's answer, as it was given."""
        return self._personal.keys.unseal(task.answer)[0]

    def shown(self, task: Task) -> Task:
        """A task as operators see it: with its payload and its answer, and what is personal in them treated."""
        answer = self.answer(task) if task.answer else b""
        personal = self._personal
        return replace(task, payload=bytes(personal.request(self._body(task))), answer=bytes(personal.answer(answer)))

    def _body(self, task: Task) -> bytes:
        try:
            return self._personal.keys.unseal(task.payload)[0]
        except UnsealedError:
            return b""
