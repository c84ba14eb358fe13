"""A request and its answer, as the application and those that carry them over HTTP both know them."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, Protocol

Fields = tuple[tuple[bytes, bytes], ...]
"""Header fields, names in lower case."""

_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
JSON: Final = b"application/json"


@dataclass(slots=True)
class Request:
    """A request that has arrived as a whole."""

    method: str
    path: str
    """Decoded, below the application's own prefix."""
    query: bytes
    headers: dict[bytes, bytes]
    """By name in lower case; several with one name are one value, with commas between (RFC 9110, 5.3)."""
    body: bytes = b""


def add_header(headers: dict[bytes, bytes], name: bytes, value: bytes) -> None:
    """Put a header beside others: what is said twice, as a consent, is not what was said last."""
    before = headers.get(name)
    headers[name] = value if before is None else before + b", " + value


@dataclass(slots=True)
class Response:
    """An answer, whole: its body is in memory."""

    status: int
    kind: bytes
    """The content type; empty for status 204, which has no body and no length."""
    body: bytes = b""
    fields: Fields = field(default=())
    """More header fields. What is in them is sent as it is: whoever fills them answers for it."""
    trailers: Fields = field(default=())
    """What follows the body, which is sent in one chunk then: of an answer to a call of gRPC."""

    @property
    def head(self) -> Fields:
        """All header fields of the answer itself, but for those of the connection."""
        if self.trailers:
            return ((b"content-type", self.kind), (b"transfer-encoding", b"chunked"), *self.fields)
        length = b"%d" % len(self.body)
        return ((b"content-type", self.kind), (b"content-length", length), *self.fields) if self.kind else self.fields

    def encoded(self, with_body: bool, closes: bool) -> bytes:
        """All that is written for it, in HTTP/1.1. Without the body, as HEAD wants it, its length is told all the same."""
        parts = [_STATUS_LINES[self.status], b"date: ", _date(), b"\r\n"]
        for name, value in self.head:
            parts += (name, b": ", value, b"\r\n")
        parts.append(b"connection: close\r\n\r\n" if closes else b"\r\n")
        if with_body and self.trailers:
            parts += (b"%x\r\n" % len(self.body), self.body, b"\r\n0\r\n")
            for name, value in self.trailers:
                parts += (name, b": ", value, b"\r\n")
            parts.append(b"\r\n")
        elif with_body:
            parts.append(self.body)
        return b"".join(parts)


Work = Callable[[], Response]
"""An answer that takes long: to be called in another thread."""


Reply = Response | Work | Awaitable[Response]
"""An answer, or how to get it: what is awaited holds up no thread, and takes no slot of the replica."""


class Application(Protocol):
    """What answers requests."""

    @property
    def max_body_bytes(self) -> int:
        """The largest body that is taken."""

    def reply(self, request: Request) -> Reply:
        """The answer, or how to get it. Called in the event loop; never raises."""

    def too_large(self, request: Request, size: int) -> Response:
        """The answer to a request whose body has `size` bytes or more, which is over the limit."""

    def close(self) -> None:
        """End, with what is still to be written."""


async def awaited(reply: Awaitable[Response]) -> Response:
    """What is awaited, as a coroutine, which a task can be made of."""
    return await reply


def error_response(status: int, text: str, fields: Fields = ()) -> Response:
    """An error."""
    return Response(status, JSON, json.dumps({"detail": text}).encode(), fields)


_dated: tuple[int, bytes] = (0, b"")


def _date() -> bytes:
    """The value of `date`, made once a second."""
    global _dated
    now = int(time.time())
    if _dated[0] != now:
        _dated = now, formatdate(now, usegmt=True).encode()
    return _dated[1]
