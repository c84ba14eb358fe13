"""A worker whose model does what its rows say: a program, started in the place of the library's own."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from heliostat.ml.contracts import Contract
from heliostat.serving.dataplane import DataPlane
from heliostat.serving.queue.__main__ import main
from heliostat.spec.rollouts import ServingArguments


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")
    do: Literal["answer", "fail", "die", "hang", "sleep", "fail once"] = "answer"
    value: float = 0.0


class Done(BaseModel):
    twice: float


class Doing:
    """Doubles its value, unless it is to do something else."""

    marks = Path(os.environ.get("TINY_WORKER_MARKS", "."))
    """Each execution leaves a file here."""

    def predict(self, columns: Any) -> Any:
        for what, value in zip(columns["do"], columns["value"], strict=True):
            self._do(what, value)
        return np.asarray(columns["value"]) * 2

    def _do(self, what: str, value: float) -> None:
        first = not list(self.marks.glob(f"{value:g}.*"))
        (self.marks / f"{value:g}.{time.time_ns()}.{os.getpid()}").touch()
        if what == "fail" or (what == "fail once" and first):
            raise ValueError(f"no answer for {value:g}")
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "hang":
            time.sleep(1000)
        if what == "sleep":
            time.sleep(1.5)


class NoLog:
    def add(self, *entry: Any, processed: Any = None) -> bool:
        return False

    def close(self) -> None:
        return


CONTRACT: Contract[Any, Any] = Contract(
    title="Orders", description="Does what it is told.", row=Order, answer=Done, predictor=Doing,
    respond=lambda score: Done(twice=score), examples=(Order(value=-1),), golden=(),
)  # fmt: skip


def opened(arguments: ServingArguments) -> DataPlane:
    if arguments.version.model_uri.endswith("/404"):
        raise FileNotFoundError("there is no such model")
    return DataPlane(CONTRACT, Doing(), arguments.version, NoLog())  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main(opened))
