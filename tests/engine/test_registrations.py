"""The pipe on which a program's registrations come in, end to end, and each end against what it may meet."""

from __future__ import annotations

import asyncio
import socket
from typing import Any
from unittest.mock import AsyncMock

import grpc
import pytest

from heliostat.engine.protocol import registrations
from heliostat.engine.protocol.language_host import registrations as program_side
from heliostat.pulumi_proto import resource_pb2

Request, Response = resource_pb2.RegisterResourceRequest, resource_pb2.RegisterResourceResponse


async def _both_ends(register: registrations.Register, limit: int = 32) -> tuple[Any, program_side.Registrations]:
    ours, theirs = socket.socketpair()
    pipe = await registrations.RegistrationPipe.open(ours, register)
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(
        lambda: program_side.Registrations(Response, limit, lambda asked: asked[::-1]), sock=theirs
    )
    return pipe, client


def test_both_ends_agree_on_what_stands_before_a_message() -> None:
    assert (registrations.FRAME.format, registrations.QUESTION) == (program_side.FRAME.format, program_side.QUESTION)


async def test_registrations_are_answered_each_with_its_own_answer_whatever_their_order() -> None:
    turns = {name: asyncio.Event() for name in ("first", "second")}

    async def register(request: Any, context: Any) -> Any:
        await turns[request.name].wait()
        return Response(urn=f"urn of {request.name}")

    pipe, client = await _both_ends(register)
    first, second = (asyncio.ensure_future(client.register(Request(name=name))) for name in turns)
    turns["second"].set()
    assert (await second).urn == "urn of second"
    assert not first.done()
    turns["first"].set()
    assert (await first).urn == "urn of first"
    pipe.close()


async def test_a_message_of_many_megabytes_arrives_whole() -> None:
    async def register(request: Any, context: Any) -> Any:
        answer = Response()
        answer.object.CopyFrom(request.object)
        return answer

    pipe, client = await _both_ends(register)
    request = Request(name="large")
    request.object["text"] = "x" * 5_000_000
    answers = await asyncio.gather(*(client.register(request) for _ in range(3)))
    assert [len(answer.object["text"]) for answer in answers] == [5_000_000] * 3
    pipe.close()


async def test_a_registration_that_is_refused_raises_the_error_that_the_sdk_expects_of_grpc() -> None:
    async def register(request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such thing")

    pipe, client = await _both_ends(register)
    with pytest.raises(grpc.RpcError) as refused:
        await client.register(Request(name="wrong"))
    error: Any = refused.value
    assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "no such thing")
    pipe.close()


async def test_no_more_registrations_are_under_way_than_there_may_be() -> None:
    under_way = most = 0

    async def register(request: Any, context: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return Response()

    pipe, client = await _both_ends(register, limit=4)
    await asyncio.gather(*(client.register(Request(name=str(number))) for number in range(40)))
    assert most <= 4
    pipe.close()


async def test_an_engine_that_ends_leaves_no_registration_waiting() -> None:
    begun = asyncio.Event()

    async def register(request: Any, context: Any) -> Any:
        begun.set()
        await asyncio.Event().wait()

    pipe, client = await _both_ends(register)
    waiting = asyncio.ensure_future(client.register(Request(name="one")))
    await begun.wait()
    pipe.close()
    with pytest.raises(grpc.RpcError) as gone:
        await waiting
    error: Any = gone.value
    assert error.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_program_that_ends_in_the_middle_of_a_message_starts_nothing() -> None:
    asked: list[str] = []

    async def register(request: Any, context: Any) -> Any:
        asked.append(request.name)
        return Response()

    ours, theirs = socket.socketpair()
    pipe = await registrations.RegistrationPipe.open(ours, register)
    whole = Request(name="one").SerializeToString()
    theirs.setblocking(True)
    theirs.sendall(registrations.FRAME.pack(1, 0, len(whole)) + whole)
    theirs.sendall(registrations.FRAME.pack(2, 0, len(whole)) + whole[:-1])
    answer = await asyncio.to_thread(theirs.recv, registrations.FRAME.size, socket.MSG_WAITALL)
    theirs.close()
    assert registrations.FRAME.unpack(answer)[:2] == (1, 0)
    assert asked == ["one"]
    pipe.close()


async def test_what_the_engine_asks_is_answered_between_registrations() -> None:
    async def register(request: Any, context: Any) -> Any:
        return Response(urn=(await pipe.ask(request.name.encode())).decode())

    pipe, client = await _both_ends(register)
    answers = await asyncio.gather(*(client.register(Request(name=name)) for name in ("one", "two")))
    assert [answer.urn for answer in answers] == ["eno", "owt"]
    pipe.close()


async def test_a_question_that_the_program_s_host_cannot_answer_is_told_as_that() -> None:
    def answer(asked: bytes) -> bytes:
        raise LookupError(asked.decode())

    ours, theirs = socket.socketpair()
    pipe = await registrations.RegistrationPipe.open(ours, AsyncMock())
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: program_side.Registrations(Response, 1, answer), sock=theirs)
    with pytest.raises(registrations.Unanswered, match="LookupError: what"):
        await pipe.ask(b"what")
    pipe.close()


async def test_a_question_to_a_program_that_ends_or_has_ended_is_told_as_that() -> None:
    ours, theirs = socket.socketpair()
    pipe = await registrations.RegistrationPipe.open(ours, AsyncMock())
    asked = asyncio.ensure_future(pipe.ask(b"one"))
    await asyncio.to_thread(theirs.recv, registrations.FRAME.size)
    theirs.close()
    with pytest.raises(registrations.Unanswered, match="has ended"):
        await asked
    with pytest.raises(registrations.Unanswered, match="has ended"):
        await pipe.ask(b"two")
