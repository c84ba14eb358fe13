"""The program's end of the pipe on which its registrations go to the engine, apart from gRPC."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from typing import Any

import grpc

UNAVAILABLE = 14
UNKNOWN = 2
FRAME = struct.Struct("!III")
"""What stands before a message on the registrations' pipe: its number, a gRPC status (0: well), its length in bytes."""
QUESTION = 1 << 31
"""In a number, the mark of what the engine asks; the answer has the same number."""


class Refusal(grpc.RpcError):
    """The engine's answer to a registration that it does not take, as the SDK expects errors of gRPC."""

    def __init__(self, status: int, details: str) -> None:
        super().__init__(details)
        self._code = next((one for one in grpc.StatusCode if one.value[0] == status), grpc.StatusCode.UNKNOWN)

    def code(self) -> grpc.StatusCode:
        """The status."""
        return self._code

    def details(self) -> str:
        """What is told of it."""
        return str(self)


class Registrations(asyncio.Protocol):
    """Registrations go to the engine on a pipe, and their answers come back on it.

    The SDK has one thread wait for each call of gRPC, and the engine takes it from gRPC's own: 0.6 ms of both processes'
    time a resource, where a message on a pipe costs a tenth of that.
    """

    def __init__(self, response: Any, limit: int, answer: Callable[[bytes], bytes]) -> None:
        self._response, self._slots, self._asked = response, asyncio.Semaphore(limit), answer
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._number, self._received = 0, bytearray()
        self._transport: Any = None

    async def register(self, request: Any) -> Any:
        """The engine's answer. Raises Refusal."""
        async with self._slots:
            self._number += 1
            self._waiting[self._number] = answer = asyncio.get_running_loop().create_future()
            payload = request.SerializeToString()
            self._transport.write(FRAME.pack(self._number, 0, len(payload)) + payload)
            return await answer

    def connection_made(self, transport: Any) -> None:
        """The pipe is open."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Hands out the answers that are there whole."""
        self._received += data
        while len(self._received) >= FRAME.size:
            number, status, length = FRAME.unpack_from(self._received)
            end = FRAME.size + length
            if len(self._received) < end:
                return
            payload = bytes(self._received[FRAME.size : end])
            del self._received[:end]
            if number & QUESTION:
                self._reply(number, payload)
            else:
                self._answer(self._waiting.pop(number), status, payload)

    def _reply(self, number: int, payload: bytes) -> None:
        try:
            status, reply = 0, self._asked(payload)
        except Exception as error:  # an SDK may be built differently: the engine tells it
            status, reply = UNKNOWN, f"{type(error).__name__}: {error}".encode()
        self._transport.write(FRAME.pack(number, status, len(reply)) + reply)

    def _answer(self, waiting: asyncio.Future[Any], status: int, payload: bytes) -> None:
        if waiting.done():
            return
        if status:
            waiting.set_exception(Refusal(status, payload.decode()))
        else:
            waiting.set_result(self._response.FromString(payload))

    def connection_lost(self, error: Exception | None) -> None:
        """The engine is gone."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Refusal(UNAVAILABLE, "the engine has ended"))
        self._waiting.clear()


class Loop(asyncio.SelectorEventLoop):
    """A loop on which the SDK's registrations are awaited, where it would have a thread wait for each."""

    registrations: Registrations

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        """As asyncio does, but for registrations."""
        register = getattr(func, "registration", None)
        return self.create_task(register()) if register else super().run_in_executor(executor, func, *args)


def without_threads(loop: Loop, monitor: Any) -> Any:
    """The SDK's monitor with registrations that are awaited on `loop`; as it was where the SDK is built differently."""
    from pulumi.runtime import resource, settings

    wrapped = getattr(resource, "wrap_with_context", None)
    refused = getattr(settings, "handle_grpc_error", None)
    if wrapped is None or refused is None:
        return monitor
    direct = False

    class Monitor:
        def __getattr__(self, name: str) -> Any:
            return getattr(monitor, name)

        def RegisterResource(self, request: Any) -> Any:
            return loop.registrations.register(request) if direct else monitor.RegisterResource(request)

    async def answered(call: Callable[[], Any]) -> Any:
        nonlocal direct
        direct = True
        try:
            answer = call()
        finally:
            direct = False
        try:
            return await answer
        except Refusal as error:
            return refused(error)

    def wrap(call: Callable[..., Any]) -> Any:
        run = wrapped(call)
        if call.__qualname__ == "register_resource.<locals>.do_register.<locals>.do_rpc_call":
            run.registration = lambda: answered(call)
        return run

    vars(resource)["wrap_with_context"] = wrap
    return Monitor()


def opened(loop: Loop, descriptor: int, limit: int, answer: Callable[[bytes], bytes]) -> Registrations:
    """The engine's pipe, which what the program starts does not get; `answer` answers what the engine asks on it."""
    from pulumi.runtime.proto import resource_pb2

    os.set_inheritable(descriptor, False)
    made = loop.create_connection(
        lambda: Registrations(resource_pb2.RegisterResourceResponse, limit, answer), sock=socket.socket(fileno=descriptor)
    )
    return loop.run_until_complete(made)[1]
