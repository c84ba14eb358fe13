"""A small contract and predictor, their application, and a client that asks it."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from heliostat.ml.contracts import Contract, Golden
from heliostat.serving.dataplane import DataPlane
from heliostat.serving.prediction_log import files
from heliostat.serving.prediction_log.sealing import Sealed
from heliostat.serving.prediction_log.spools import Head
from heliostat.serving.rest.application import RestApplication
from heliostat.serving.rest.exchange import Request, Response
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.rollouts import Version
from heliostat.spec.workload import Limits, PredictionLog


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
JSON = {"content_type": "application/json"}


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
    return files.store(spool, head)


class Log:
    """Remembers what is logged."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        self.processed: list[Any] = []

    def add(self, *entry: Any, processed: Any = None) -> bool:
        self.entries.append(entry)
        self.processed.append(processed)
        return True

    def close(self) -> None:
        self.entries.append("closed")


class Answer:
    def __init__(self, response: Response) -> None:
        self.status = response.status
        self.headers = {name.decode(): value.decode() for name, value in response.head}
        self.body = response.body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def version(label: str = "3-abc", **changes: Any) -> Version:
    given: dict[str, Any] = {
        "digest": "0" * 64, "label": label, "code_uri": "", "contract": "a:b", "model_uri": "models:/a/1",
        "tracking_uri": "http://127.0.0.1:1", "store": StoreAddress(uri="file:///nowhere"), "prediction_log": PredictionLog(),
        "limits": Limits(), **changes,
    }  # fmt: skip
    return Version(**given)


def answers(log: Any, given: Contract[Any, Any] | None = None, label: str = "3-abc", **changes: Any) -> RestApplication:
    """The application of a contract; `changes` are of its version."""
    made = given or contract()
    return RestApplication(DataPlane(made, made.predictor(), version(label, **changes), log), "/halves")


def body(**changes: Any) -> bytes:
    """The row with changes, as a client sends it."""
    return json.dumps({**ROW, **changes}).encode()


async def call(app: RestApplication, method: str, path: str, body: bytes = b"", query: bytes = b"", **headers: str) -> Answer:
    """One request."""
    given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    reply = app.reply(Request(method, path, query, given, body))
    return Answer(reply if isinstance(reply, Response) else await asyncio.to_thread(reply))
