"""Trainings for the tests that run real workers: what each does says what Ray Train did to it."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from heliostat.ml.arrays import ArrayModel
from heliostat.ml.training import Context, Trained

STEPS = 12


class Model(ArrayModel):
    def predict(self, columns: Any) -> Any:
        return np.full(len(columns["x"]), float(self.arrays["steps"]))


def loses_a_worker(context: Context) -> None:
    """Steps in all workers; once, the last of the first start kills itself after a checkpoint."""
    done = _steps(context)
    for step in range(done + 1, STEPS + 1):
        context.checkpoint(_saving(step), {"step": step})
        if step == 4 and context.rank == context.workers - 1 and len(context.starts) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.05)
    _finish(context, STEPS, context.starts)


def steps_until_its_budget(context: Context) -> None:
    """A step a time, until the budget or 1,000 are over; tells at which it began."""
    began = _steps(context)
    step = began
    while step < 1000:
        step += 1
        if context.is_over_budget():
            context.checkpoint(_saving(step), {"step": step})
            break
        time.sleep(0.05)
    _finish(context, step, (began,))


def moves_a_server(context: Context) -> None:
    """Each worker sends its rank + 1 ten times; the slower one is slow."""
    server = context.parameter_server(lambda: {"sum": np.zeros(2)}, _added)
    ahead = []
    for _ in range(10):
        version, _ = server.push({"sum": np.full(2, context.rank + 1.0)})
        ahead.append(version)
        time.sleep(0.1 * context.rank)
    _, parameters = server.leave()
    _finish(context, float(parameters["sum"][0]), ahead)


def quotes_a_person(context: Context) -> None:
    """Has Arrow take text for numbers, which says which text it was."""
    pa.array(context.dataset.table("train")["email"].to_pylist(), pa.int64())


def tuned_here(context: Context) -> None:
    """Its metric is best at x = 3."""
    x = float(context.parameters["x"])
    trained = Trained(Model({"steps": np.array(x)}).save, Model, {"r2": 1 - (x - 3) ** 2})
    context.finish(None if context.rank else trained)


def _added(parameters: Any, gradients: Any) -> Any:
    return {"sum": parameters["sum"] + gradients["sum"]}


def _steps(context: Context) -> int:
    with context.resumed() as folder:
        return int((folder / "step").read_text()) if folder is not None else 0


def _saving(step: int) -> Any:
    return lambda folder: Path(folder, "step").write_text(str(step))


def _finish(context: Context, steps: float, seen: Any) -> None:
    metrics = {"steps": float(steps), **{f"seen_{number}": float(each) for number, each in enumerate(seen)}}
    context.finish(None if context.rank else Trained(Model({"steps": np.array(steps)}).save, Model, metrics))
