"""Calls as they travel: a message behind five bytes, and a status behind the answer."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final
from urllib.parse import quote

from heliostat.serving.errors import HttpError
from heliostat.serving.rest.encodings import decoded
from heliostat.serving.rest.exchange import Fields, Response

KIND: Final = b"application/grpc"
SAID: Final = b"x-heliostat-status"
"""What the status of a call that failed would be over HTTP: the traffic plane counts by it."""
_HEAD: Final = struct.Struct(">BI")
_ACCEPTED: Final = ((b"grpc-accept-encoding", b"identity,deflate,gzip"),)
_MOST_MESSAGE_CHARACTERS: Final = 4_000
_READABLE: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


class Status(IntEnum):
    """The codes of gRPC that are used."""

    OK = 0
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


class CallError(HttpError):
    """A call that fails with a code of its own."""

    def __init__(self, code: Status, status: int, text: str) -> None:
        """`status`: what it would be over HTTP."""
        super().__init__(status, text)
        self.code = code


_CODES: Final = {
    400: Status.INVALID_ARGUMENT, 404: Status.NOT_FOUND, 413: Status.RESOURCE_EXHAUSTED, 415: Status.INVALID_ARGUMENT,
    422: Status.INVALID_ARGUMENT, 501: Status.UNIMPLEMENTED, 503: Status.UNAVAILABLE,
}  # fmt: skip


def code_of(error: HttpError) -> Status:
    """The code of an error."""
    return error.code if isinstance(error, CallError) else _CODES.get(error.status, Status.INTERNAL)


def message_in(body: bytes, encoding: bytes, limit: int) -> bytes:
    """The one message in a body; `encoding`: the value of `grpc-encoding`, in which it may be compressed.

    Raises:
        HttpError: there is none, or more than one, or it is too large.
    """
    if len(body) < _HEAD.size:
        raise HttpError(400, f"the call has {len(body)} bytes, and no message")
    compressed, length = _HEAD.unpack_from(body)
    if compressed > 1 or len(body) != _HEAD.size + length:
        raise HttpError(
            400, f"the call has {len(body) - _HEAD.size} bytes behind a head that tells of one message of {length}"
        )
    message = body[_HEAD.size :]
    return decoded(message, encoding, limit) if compressed else message


def answered(message: bytes, fields: Fields) -> Response:
    """The answer of a call that went well."""
    body = _HEAD.pack(0, len(message)) + message
    return Response(200, KIND, body, (*fields, *_ACCEPTED), ((b"grpc-status", b"0"),))


def failed(code: Status, status: int, text: str, fields: Fields) -> Response:
    """The answer of a call that failed: all of it is in the head."""
    told = quote(text[:_MOST_MESSAGE_CHARACTERS], safe=_READABLE).encode()
    own = ((b"grpc-status", b"%d" % code), (b"grpc-message", told), (SAID, b"%d" % status))
    return Response(200, KIND, b"", (*fields, *_ACCEPTED, *own))
