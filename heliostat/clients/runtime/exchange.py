"""What is sent and what comes back, whatever carries it; without any waiting."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from .errors import FailedError, RejectedError, UnavailableError

Row = TypeVar("Row", bound=BaseModel)
Answer = TypeVar("Answer", bound=BaseModel)

_AGAIN = frozenset({429, 502, 503, 504})
"""With these a request may be sent again: nothing of it was done, or nothing that matters."""
_REJECTED = frozenset({400, 404, 405, 408, 413, 414, 415, 422, 431})


@dataclass(frozen=True)
class Retries:
    """How often a request is sent, and how long is waited in between. A prediction changes nothing: it may be asked again."""

    attempts: int = 4
    """In all; 1 is once."""
    first_seconds: float = 0.1
    """Before the second; each wait after it is twice as long, and any of them between half and all of that, by chance."""
    most_seconds: float = 5.0
    """The longest wait, also where an answer says when to come again."""

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.first_seconds < 0 or self.most_seconds < 0:
            raise ValueError(f"{self} must have an attempt or more, and no time below 0")

    def wait(self, failures: int, asked_seconds: float | None) -> float:
        """How long to wait after so many failures; `asked_seconds`: what the last answer asked for."""
        usual = self.first_seconds * 2 ** min(failures - 1, 30) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
        return float(min(self.most_seconds, max(usual, asked_seconds or 0.0)))


@dataclass(frozen=True)
class Reply:
    """An answer over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Exchange(Generic[Row, Answer]):
    """One request: what to send for it, and what its replies mean."""

    def __init__(self, rows: Sequence[Row], answer: type[Answer], retries: Retries, request_id: str | None) -> None:
        if not rows:
            raise ValueError("there are no rows: give one or more")
        self._single = len(rows) == 1
        self._retries, self._failures = retries, 0
        adapter = TypeAdapter(answer if self._single else dict[str, list[answer]])  # type: ignore[valid-type]
        self._adapter: TypeAdapter[Any] = adapter
        self._count = len(rows)
        written = [row.model_dump(mode="json", by_alias=True, exclude_unset=True) for row in rows]
        self.body = json.dumps(written[0] if self._single else {"rows": written}).encode()
        self.request_id = request_id or uuid.uuid4().hex
        self.headers = {"content-type": "application/json", "x-request-id": self.request_id}

    def broken(self, error: Exception) -> float:
        """How long to wait before it is sent again, after no answer came.

        Raises:
            UnavailableError: it was sent often enough.
        """
        return self._again(f"{type(error).__name__}: {error}", None, error)

    def answers(self, reply: Reply) -> list[Answer] | float:
        """The answers, or how long to wait before it is sent again.

        Raises:
            ClientError: there is no use in that.
        """
        if reply.status in _AGAIN:
            return self._again(f"status {reply.status}", _seconds(reply.headers.get("retry-after")), None)
        if reply.status in _REJECTED:
            raise RejectedError(reply.status, _detail(reply.body), self.request_id)
        if reply.status != 200:
            raise FailedError(f"status {reply.status}: {_detail(reply.body)}", self.request_id)
        try:
            found = self._adapter.validate_json(reply.body)
        except ValidationError as error:
            raise FailedError(f"the answer is none of this client's contract: {error}", self.request_id) from error
        answers: list[Answer] = [found] if self._single else found.get("rows", [])
        if len(answers) != self._count:
            raise FailedError(f"{len(answers)} answers came for {self._count} rows", self.request_id)
        return answers

    def _again(self, what: str, asked_seconds: float | None, cause: Exception | None) -> float:
        self._failures += 1
        if self._failures >= self._retries.attempts:
            raise UnavailableError(f"no answer after {self._failures} attempts; the last: {what}", self.request_id) from cause
        return self._retries.wait(self._failures, asked_seconds)


def _seconds(value: str | None) -> float | None:
    try:
        return max(0.0, float(value)) if value is not None else None
    except ValueError:
        return None


def _detail(body: bytes) -> Any:
    try:
        found = json.loads(body)
    except ValueError:
        return body[:200].decode(errors="replace")
    return found.get("detail", found) if isinstance(found, dict) else found
