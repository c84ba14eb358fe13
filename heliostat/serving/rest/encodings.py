"""Bodies that were sent compressed."""

from __future__ import annotations

import zlib
from typing import Final

from heliostat.serving.errors import HttpError

_WINDOWS: Final = {b"gzip": 16 + zlib.MAX_WBITS, b"x-gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
_TAKEN: Final = "gzip, deflate"


def decoded(body: bytes, encoding: bytes, limit: int) -> bytes:
    """The body that was sent in `encoding`, a value of `content-encoding`; no more than `limit` bytes are ever made of it.

    Raises:
        HttpError: 415 for an encoding that is not known, 413 for more than `limit` bytes, 400 for what is not in it.
    """
    names = [name for each in encoding.split(b",") if (name := each.strip().lower()) not in (b"", b"identity")]
    if unknown := [name for name in names if name not in _WINDOWS]:
        given = b", ".join(unknown).decode("latin-1")
        text = f"the content encoding is {given}: bodies are taken as they are, or in {_TAKEN}"
        raise HttpError(415, text, ((b"accept-encoding", _TAKEN.encode()),))
    for name in reversed(names):
        try:
            body = _inflated(body, name, limit)
        except zlib.error as error:
            raise HttpError(400, f"the body is not {name.decode()}, as its content-encoding says: {error}") from None
    return body


def _inflated(body: bytes, name: bytes, limit: int) -> bytes:
    parts, size = [], 0
    while body:
        stream = zlib.decompressobj(_WINDOWS[name])
        part = stream.decompress(body, limit + 1 - size)
        parts.append(part)
        size += len(part)
        if size > limit:
            raise HttpError(413, f"the body has more than {limit} bytes once decoded: send the rows in several requests")
        if not stream.eof:
            raise zlib.error("it breaks off")
        body = stream.unused_data  # gzip may go on with another member
    return b"".join(parts)
