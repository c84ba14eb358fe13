"""A workload as small as one can be, whose replicas start in no time: what is killed around it is what matters."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from heliostat.ml.contracts import Columns, Contract, Golden
from heliostat.serving import model_cache

SLOW = -1.0
"""A number whose double takes its time, so that the golden requests last."""
_SLOW_S = 1.0
_THREADED_ROWS = 80
"""So many rows are answered in a thread, and the replica's probes go on meanwhile."""


class Number(BaseModel):
    """One number."""

    model_config = ConfigDict(extra="forbid")

    x: float


class Double(BaseModel):
    """Its double."""

    y: float


class Doubler:
    """There is nothing to learn."""

    @classmethod
    def load(cls, directory: Path) -> Self:
        """There is nothing to load."""
        return cls()

    def predict(self, columns: Columns) -> NDArray[np.float64]:
        """Twice `x`."""
        x = np.asarray(columns["x"], dtype=np.float64)
        if x.size >= _THREADED_ROWS and (x == SLOW).any():
            time.sleep(_SLOW_S)
        return 2 * x


class Broken(Doubler):
    """Its model cannot be loaded."""

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Fail.

        Raises:
            ValueError: always.
        """
        raise ValueError("the model has no column 'altitude'")


def respond(score: float) -> Double:
    """The answer."""
    return Double(y=score)


def _contract(predictor: type[Doubler]) -> Contract[Any, Any]:
    slow = {"rows": [{"x": SLOW}] * _THREADED_ROWS}
    return Contract(
        title="Tiny",
        description="Doubles a number.",
        row=Number,
        answer=Double,
        predictor=predictor,
        respond=respond,
        examples=(Number(x=2), Number(x=3)),
        golden=(
            Golden("two", {"x": 2}, 200, lambda answer: bool(answer["y"] == 4), "4"),
            Golden("many that take their time", slow, 200, lambda answer: len(answer["rows"]) == _THREADED_ROWS, "all"),
        ),
    )


CONTRACT = _contract(Doubler)
BROKEN = _contract(Broken)

# Its models lie nowhere: no registry has to run for them.
model_cache.fetch = lambda *_, **__: Path("/")
