"""Processes of an operation, as its loop sees them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import IO

from heliostat.engine.protocol.launching import Started

MAX_MESSAGE_BYTES = 400 * 1024 * 1024


class Child:
    """A started process as the loop sees it."""

    def __init__(self, process: Started, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader) -> None:
        self.pid, self.stdout, self.stderr = process.pid, stdout, stderr
        self.returncode: int | None = None
        self._ended = asyncio.Event()
        watch = threading.Thread(target=self._watch, args=(process, asyncio.get_running_loop()), daemon=True)
        watch.start()

    @classmethod
    async def of(cls, process: Started) -> Child:
        """Begins to read what it prints and to wait for its end."""
        return cls(process, await _reader(process.stdout), await _reader(process.stderr))

    async def wait(self) -> int:
        """Its exit code, or the signal that ended it, negative."""
        await self._ended.wait()
        assert self.returncode is not None  # noqa: S101 -- set before the event
        return self.returncode

    def _watch(self, process: Started, loop: asyncio.AbstractEventLoop) -> None:
        code = process.wait()
        with contextlib.suppress(RuntimeError):  # the loop is gone
            loop.call_soon_threadsafe(self._end, code)

    def _end(self, code: int) -> None:
        self.returncode = code
        self._ended.set()


async def _reader(pipe: IO[bytes] | None) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=MAX_MESSAGE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader
