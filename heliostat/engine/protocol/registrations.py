"""The engine's end of the pipe on which a program's registrations come in, apart from gRPC.

A registration is a message of Pulumi's protocol either way. On the pipe it costs a tenth of what gRPC takes for it in two
processes; whatever else a program asks, and any program that another host runs, comes by gRPC as ever.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc

from heliostat.pulumi_proto import resource_pb2

FRAME = struct.Struct("!III")
"""What stands before a message: its number, a gRPC status (0: well), its length in bytes. `language_host` says the same."""
QUESTION = 1 << 31
"""In a number, the mark of what the engine asks; the answer has the same number."""

Register = Callable[[Any, Any], Awaitable[resource_pb2.RegisterResourceResponse]]


class Unanswered(Exception):
    """A question to the program's host that has no answer; the message says why."""


class HasEnded(Unanswered):
    """The program, and its host with it, has ended."""

    def __init__(self) -> None:
        super().__init__("the program has ended")


class _Aborted(Exception):
    """What gRPC's context would raise: the call is answered with a status."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.status = int(code.value[0])


class _Call:
    """As much of gRPC's context as a registration needs."""

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """Answers with `code` and ends the call."""
        raise _Aborted(code, details)


class RegistrationPipe(asyncio.Protocol):
    """Has `register` answer each message, side by side."""

    def __init__(self, register: Register) -> None:
        self._register = register
        self._received = bytearray()
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._questions = 0
        self._transport: Any = None

    @classmethod
    async def open(cls, end: socket.socket, register: Register) -> RegistrationPipe:
        """On the engine's end of a socket pair."""
        _, pipe = await asyncio.get_running_loop().create_connection(lambda: cls(register), sock=end)
        return pipe

    def send(self, payload: bytes) -> None:
        """What the program is told before it begins."""
        self._transport.write(FRAME.pack(0, 0, len(payload)) + payload)

    async def ask(self, payload: bytes) -> bytes:
        """What the program's host answers. Raises Unanswered where it cannot, HasEnded where it is gone."""
        if self._transport.is_closing():
            raise HasEnded()
        number = QUESTION | self._questions
        self._questions = (self._questions + 1) % QUESTION
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._transport.write(FRAME.pack(number, 0, len(payload)) + payload)
        try:
            return await answer
        finally:
            self._asked.pop(number, None)

    def close(self) -> None:
        """Answers nothing any more."""
        for task in self._tasks:
            task.cancel()
        self._transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """The program has ended: whoever asked it something is told."""
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(HasEnded())

    def connection_made(self, transport: Any) -> None:
        """The pipe is open."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Begins with each registration that is there whole."""
        self._received += data
        start = 0
        while len(self._received) - start >= FRAME.size:
            number, status, length = FRAME.unpack_from(self._received, start)
            end = start + FRAME.size + length
            if len(self._received) < end:
                break
            payload = bytes(self._received[start + FRAME.size : end])
            if number & QUESTION:
                self._take(number, status, payload)
            else:
                self._begin(number, payload)
            start = end
        del self._received[:start]

    def _begin(self, number: int, payload: bytes) -> None:
        request = resource_pb2.RegisterResourceRequest.FromString(payload)
        task = asyncio.ensure_future(self._answer(number, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _take(self, number: int, status: int, payload: bytes) -> None:
        answer = self._asked.get(number)
        if answer is None or answer.done():
            return
        if status:
            answer.set_exception(Unanswered(payload.decode(errors="replace")))
        else:
            answer.set_result(payload)

    async def _answer(self, number: int, request: Any) -> None:
        try:
            status, payload = 0, (await self._register(request, _Call())).SerializeToString()
        except _Aborted as aborted:
            status, payload = aborted.status, str(aborted).encode()
        self._transport.write(FRAME.pack(number, status, len(payload)) + payload)
