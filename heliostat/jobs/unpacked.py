"""Files of text as streams, unpacked where they are compressed: a block at a time, and no more than memory should hold."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final

import pyarrow as pa

from heliostat.spec.ingestion import COMPRESSIONS
from heliostat.systems.errors import PermanentError

_MOST_BYTES: Final = 4 << 30
"""Of the text in a compressed file, whose own size does not tell what it takes."""
_BLOCK: Final = 1 << 20


@contextmanager
def opened(uri: str, content: bytes) -> Iterator[BinaryIO]:
    """The text in a file, whose ending says how it is compressed.

    What is read of it raises PermanentError where it is compressed in another way, damaged, cut off or too long.
    """
    compression = next((name for ending, name in COMPRESSIONS.items() if uri.endswith(ending)), None)
    with io.BytesIO(content) if compression is None else _Unpacked(uri, content, compression) as stream:
        yield stream  # type: ignore[misc]  # a RawIOBase is all that Arrow asks for


def is_blank(uri: str, content: bytes) -> bool:
    """Whether there is nothing in a file of text but spaces and ends of lines.

    Raises:
        PermanentError: it cannot be unpacked.
    """
    with opened(uri, content) as stream:
        return not any(block.strip() for block in iter(lambda: stream.read(_BLOCK), b""))


class _Unpacked(io.RawIOBase):
    """The text in a compressed file."""

    def __init__(self, uri: str, content: bytes, compression: str) -> None:
        self._uri, self._compression, self._read = uri, compression, 0
        self._stream = pa.CompressedInputStream(pa.BufferReader(content), compression)

    def readable(self) -> bool:
        """True: it is read, and not written."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Unpack the next bytes.

        Raises:
            PermanentError: there are none, but it is not whole; or there are too many.
        """
        try:
            block = self._stream.read(len(buffer))
        except OSError as error:
            raise PermanentError(
                f"{self._uri} is no whole {self._compression} file: {error}; compress it anew, or name it by what it is"
            ) from None
        self._read += len(block)
        if self._read > _MOST_BYTES:
            raise PermanentError(f"{self._uri} has more than {_MOST_BYTES:,} bytes once it is unpacked: write several files")
        buffer[: len(block)] = block
        return len(block)
