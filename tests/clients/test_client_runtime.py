"""What every client package does with its requests: retries on what may be asked again, and errors that say which it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from heliostat.clients.runtime.errors import ClientError, FailedError, RejectedError, UnavailableError
from heliostat.clients.runtime.exchange import Retries
from heliostat.clients.runtime.http import AsyncClient, SyncClient

NO_WAIT = Retries(attempts=3, first_seconds=0.0)


class Row(BaseModel):
    size: float
    name: str | None = None


class Half(BaseModel):
    half: float


class Client(SyncClient[Row, Half]):
    answer = Half
    most_rows = 2


class Asynchronous(AsyncClient[Row, Half]):
    answer = Half
    most_rows = 2


def halves(request: httpx.Request) -> httpx.Response:
    asked = json.loads(request.content)
    if "rows" in asked:
        return httpx.Response(200, json={"rows": [{"half": row["size"] / 2} for row in asked["rows"]]})
    return httpx.Response(200, json={"half": asked["size"] / 2})


class Server:
    """Answers with what it is given first, then as the application does."""

    def __init__(self, *first: Any) -> None:
        self.seen: list[httpx.Request] = []
        self._first = list(first)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        if not self._first:
            return halves(request)
        found = self._first.pop(0)
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, httpx.Response) else httpx.Response(found, json={"detail": "so it is"})


def client(server: Callable[[httpx.Request], httpx.Response], retries: Retries = NO_WAIT) -> Client:
    return Client("http://models/flights/", retries=retries, transport=httpx.MockTransport(server))


def test_a_row_is_sent_as_it_was_said_and_answered_with_its_type() -> None:
    server = Server()
    assert client(server).predict(Row(size=3), request_id="mine") == Half(half=1.5)
    [request] = server.seen
    assert (request.url, request.headers["x-request-id"]) == ("http://models/flights/predict", "mine")
    assert json.loads(request.content) == {"size": 3.0}, "what was not said is not sent"


def test_many_rows_go_in_requests_of_what_one_may_have() -> None:
    server = Server()
    assert client(server).predict_many([Row(size=number) for number in range(5)]) == [Half(half=n / 2) for n in range(5)]
    assert [len(json.loads(each.content).get("rows", [0])) for each in server.seen] == [2, 2, 1]
    assert client(server).predict_many([]) == []


AGAIN = [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("cut"), 429, 502, 503, 504]


@pytest.mark.parametrize("first", AGAIN, ids=str)
def test_what_may_be_asked_again_is_under_the_same_id(first: Any) -> None:
    server = Server(first, first)
    assert client(server).predict(Row(size=3)) == Half(half=1.5)
    assert len({request.headers["x-request-id"] for request in server.seen}) == 1
    assert len(server.seen) == 3


@pytest.mark.parametrize("first", AGAIN, ids=str)
def test_what_never_answers_is_told_after_its_attempts(first: Any) -> None:
    server = Server(*[first] * 9)
    with pytest.raises(UnavailableError, match="no answer after 3 attempts"):
        client(server).predict(Row(size=3))
    assert len(server.seen) == 3


@pytest.mark.parametrize("status", [400, 404, 413, 415, 422])
def test_what_does_not_fit_is_asked_once_and_told_with_its_mistakes(status: int) -> None:
    detail = [{"type": "greater_than", "loc": ["body", "size"], "msg": "Input should be greater than 0"}]
    server = Server(httpx.Response(status, json={"detail": detail}))
    with pytest.raises(RejectedError, match=r"body.size: Input should be greater than 0") as rejected:
        client(server).predict(Row(size=-3), request_id="mine")
    assert (rejected.value.status, rejected.value.problems, rejected.value.request_id) == (status, detail, "mine")
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(500, json={"detail": "a bug"}),
        httpx.Response(200, json={"whole": 1}),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(302),
    ],
    ids=["500", "another contract", "no JSON", "elsewhere"],
)
def test_what_the_contract_does_not_have_is_a_failure_and_not_asked_again(reply: httpx.Response) -> None:
    server = Server(reply)
    with pytest.raises(FailedError):
        client(server).predict(Row(size=3))
    assert len(server.seen) == 1


def test_answers_that_are_not_one_a_row_are_a_failure() -> None:
    server = Server(httpx.Response(200, json={"rows": [{"half": 1.0}]}))
    with pytest.raises(FailedError, match="1 answers came for 2 rows"):
        client(server).predict_many([Row(size=1), Row(size=2)])


def test_waits_grow_within_their_limit_and_follow_what_an_answer_asks_for() -> None:
    retries = Retries(first_seconds=0.1, most_seconds=2.0)
    waits = [retries.wait(failures, None) for failures in (1, 2, 3, 20)]
    assert 0.05 <= waits[0] <= 0.1 and 0.1 <= waits[1] <= 0.2 and 0.2 <= waits[2] <= 0.4
    assert waits[3] <= 2.0
    assert retries.wait(1, 1.5) == 1.5
    assert retries.wait(1, 60.0) == 2.0
    with pytest.raises(ValueError, match="an attempt or more"):
        Retries(attempts=0)


async def test_the_client_for_asyncio_does_the_same() -> None:
    server = Server(503)
    async with Asynchronous("http://models/flights", retries=NO_WAIT, transport=httpx.MockTransport(server)) as asking:
        assert await asking.predict(Row(size=3)) == Half(half=1.5)
        assert await asking.predict_many([Row(size=1)] * 3) == [Half(half=0.5)] * 3
        server = Server(422)
    failing = httpx.MockTransport(Server(422))
    async with Asynchronous("http://models/flights", retries=NO_WAIT, transport=failing) as asking:
        with pytest.raises(ClientError):
            await asking.predict(Row(size=3))
