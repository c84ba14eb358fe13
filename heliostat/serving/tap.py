"""The last requests of one replica, for who compares versions: `GET /-/tap` reads them, and clients cannot reach it.

A ring in memory, bounded by count and by bytes: an append on the request's way, nothing on the disk, gone with the
replica. The prediction log is the record; this is what has not reached it yet, with its bodies as they came.
"""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from itertools import islice
from typing import Final
from urllib.parse import parse_qsl

from pydantic import Field, ValidationError

from heliostat.serving.bodies import Body
from heliostat.spec.base import Model

MOST_REQUESTS: Final = 2_048
MOST_BYTES: Final = 8 << 20
_PAGE_BYTES: Final = 1 << 20
"""A page is made on the event loop that answers clients."""
_OWN_BYTES: Final = 200
"""What an entry takes beside its texts, about."""


def _is_false(value: object) -> bool:
    return value is False


class TapQuery(Model):
    """The query of `GET /-/tap`."""

    after: str = ""
    """The cursor of an earlier page; without one, the newest `limit` requests. A cursor of another replica, or of one that
    was restarted, reads from the oldest."""
    limit: int = Field(default=256, ge=0, le=MOST_REQUESTS)
    """At most so many; 0 asks for nothing but the cursor of the end."""
    share: float = Field(default=1.0, gt=0, le=1)
    """Only this share of the requests, by a hash of their ids."""


class RecentRequest(Model):
    """One request that was answered."""

    request_id: str
    body: str
    """As Latin-1, so that any bytes come through."""
    status: int
    answer: str
    """As Latin-1; empty where the status is not 200."""
    milliseconds: float
    """From the request's arrival in the application to its answer."""
    treated: bool = Field(default=False, exclude_if=_is_false)
    """Its personal fields are not as they were sent: the same body may be answered otherwise."""


def _as_it_is(body: Body) -> Body:
    return body


class Page(Model):
    """What `GET /-/tap` answers."""

    requests: tuple[RecentRequest, ...]
    """The oldest first."""
    cursor: str
    """Ask for what comes after this page with it."""
    missed: int
    """Requests after the cursor that are no longer there."""
    more: bool
    """Whether there is more by now."""


class Tap:
    """A ring of the last requests. Safe to use from several threads."""

    def __init__(
        self,
        most_requests: int = MOST_REQUESTS,
        most_bytes: int = MOST_BYTES,
        asked: Callable[[Body], Body] = _as_it_is,
        answered: Callable[[Body], Body] = _as_it_is,
        treated: bool = False,
    ) -> None:
        """`asked`, `answered`: what is told of a body, which costs who reads the tap and no request; `treated`: by them a
        request is not as it was sent."""
        self._asked, self._answered, self._treated = asked, answered, treated
        self._name = uuid.uuid4().hex[:12]
        self._most_requests, self._most_bytes = most_requests, most_bytes
        self._entries: deque[tuple[bytes, Body, int, Body, float]] = deque()
        self._bytes = 0
        self._end = 0
        """Number of the next entry."""
        self._lock = threading.Lock()

    def add(self, request_id: bytes, body: Body, status: int, answer: Body, seconds: float) -> None:
        """Keep a request, and forget the oldest where there is no more room."""
        entries = self._entries
        with self._lock:
            entries.append((request_id, body, status, answer, seconds))
            self._end += 1
            self._bytes += len(body) + len(answer) + _OWN_BYTES
            while self._bytes > self._most_bytes or len(entries) > self._most_requests:
                _, old_body, _, old_answer, _ = entries.popleft()
                self._bytes -= len(old_body) + len(old_answer) + _OWN_BYTES

    def page(self, question: TapQuery) -> Page:
        """The requests that are asked for."""
        with self._lock:
            end, first = self._end, self._end - len(self._entries)
            start = self._start(question, first)
            entries = tuple(islice(self._entries, max(0, start - first), None))
        found: list[RecentRequest] = []
        number, size = start, 0
        for request_id, body, status, answer, seconds in entries:
            if len(found) >= question.limit or (found and size > _PAGE_BYTES):
                break
            number += 1
            if sampled(request_id, question.share):
                size += len(body) + len(answer)
                found.append(
                    RecentRequest(
                        request_id=request_id.decode("latin-1"),
                        body=bytes(self._asked(body)).decode("latin-1"),
                        status=status,
                        answer=bytes(self._answered(answer)).decode("latin-1"),
                        milliseconds=round(seconds * 1000, 4),
                        treated=self._treated,
                    )
                )
        cursor = f"{self._name}-{number}"
        missed = max(0, start - self._position(question.after)) if question.after else 0
        return Page(requests=tuple(found), cursor=cursor, missed=missed, more=number < end)

    def _start(self, question: TapQuery, first: int) -> int:
        if not question.after:
            return max(first, self._end - question.limit)
        return min(self._end, max(first, self._position(question.after)))

    def _position(self, cursor: str) -> int:
        name, _, number = cursor.rpartition("-")
        return int(number) if name == self._name and number.isdigit() else 0


def parse_query(query: bytes) -> TapQuery:
    """The question in a URL's query.

    Raises:
        ValueError: it holds something else; the text says what.
    """
    try:
        return TapQuery.model_validate(dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)))
    except ValidationError as error:
        mistakes = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ValueError(f"the query {query.decode('latin-1')!r} does not fit: {mistakes}") from None


def sampled(request_id: bytes, share: float) -> bool:
    """Whether a request is in this share of all; what is in a share is in every larger one."""
    return share >= 1 or int.from_bytes(blake2b(request_id, digest_size=4).digest()) < share * 2**32
