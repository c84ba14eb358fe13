"""A small contract and predictor, and a client that speaks ASGI to the application."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from heliostat.ml import prediction_files
from heliostat.ml.contracts import Contract, Golden
from heliostat.ml.sealing import Sealed
from heliostat.ml.spools import Head


class Ask(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["a", "b"]
    size: float = Field(gt=0, allow_inf_nan=False)
    when: dt.datetime


class Told(BaseModel):
    score: float


class Halves:
    """Answers half the size; a size of 13 is a bug."""

    @classmethod
    def load(cls, directory: Path) -> Self:
        return cls()

    def predict(self, columns: Any) -> Any:
        sizes = np.asarray(columns["size"])
        if (sizes == 13).any():
            raise ZeroDivisionError("thirteen")
        return sizes / 2


ROW = {"kind": "a", "size": 4.0, "when": "2013-07-09T19:30:00"}


def contract(**changes: Any) -> Contract[Any, Any]:
    given: dict[str, Any] = {
        "title": "Halves", "description": "Half of it.", "row": Ask, "answer": Told, "predictor": Halves,
        "respond": lambda score: Told(score=score), "examples": (Ask(kind="a", size=4, when=dt.datetime(2013, 7, 9)),),
        "golden": (
            Golden("half", ROW, 200, lambda answer: answer["score"] == 2.0, "2.0"),
            Golden("not json", "{", 422),
        ),
        **changes,
    }  # fmt: skip
    return Contract(**given)


def seal_here(spool: Path, descriptor: int, head: Head) -> Sealed:
    """Seals in this process, which takes less time than another."""
    return prediction_files.store(spool, head)


class Log:
    """Remembers what is logged."""

    def __init__(self) -> None:
        self.entries: list[Any] = []

    def add(self, *entry: Any) -> bool:
        self.entries.append(entry)
        return True

    def close(self) -> None:
        self.entries.append("closed")


class Answer:
    def __init__(self, messages: list[Any]) -> None:
        self.status = messages[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        self.body = b"".join(message["body"] for message in messages[1:])

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def call(
    app: Any, method: str, path: str, body: bytes | list[bytes] = b"", root: str = "", query: bytes = b"", **headers: str
) -> Answer:
    """One request; a body in parts arrives in parts."""
    parts = body if isinstance(body, list) else [body]
    waiting = [{"type": "http.request", "body": part, "more_body": n < len(parts) - 1} for n, part in enumerate(parts)]
    sent: list[Any] = []

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": root + path, "root_path": root, "query_string": query, "headers": given}
    await app(scope, receive, send)
    return Answer(sent)
