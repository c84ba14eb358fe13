"""A Serve application with the library's own calls and pages over a model that halves; it is packed into a zip.

The contract's name chooses what it does: `app:fine` answers, `app:failing` fails each prediction but those of its examples.
Where it takes tasks, its workers are there and do nothing: how many they are is looked at.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import BaseModel
from ray import serve

from heliostat.ml.contracts import Contract, Golden
from heliostat.serving import replica
from heliostat.serving.dataplane import DataPlane
from heliostat.serving.grpc.application import GrpcApplication
from heliostat.serving.queue.api import open_tasks
from heliostat.serving.replica import Replica, deployed
from heliostat.serving.rest.application import RestApplication
from heliostat.serving.slots import Slots
from heliostat.spec.rollouts import ServingArguments
from heliostat.spec.task_queue import WORKERS

EXAMPLE = 4.0


class Row(BaseModel):
    size: float


class Half(BaseModel):
    score: float


class Halves:
    """Half of the size; `failing`: of the example's alone."""

    def __init__(self, failing: bool = False) -> None:
        self._failing = failing

    @classmethod
    def load(cls, directory: Any) -> Halves:
        return cls()

    def predict(self, columns: Any) -> Any:
        sizes = np.asarray(columns["size"])
        if self._failing and (sizes != EXAMPLE).any():
            raise ZeroDivisionError("a bug")
        return sizes / 2


class NoLog:
    def add(self, *entry: Any, processed: Any = None) -> bool:
        return False

    def close(self) -> None:
        return


CONTRACT: Contract[Any, Any] = Contract(
    title="Halves", description="Half of it.", row=Row, answer=Half, predictor=Halves,
    respond=lambda score: Half(score=score), examples=(Row(size=EXAMPLE),),
    golden=(Golden("half", {"size": EXAMPLE}, 200, lambda answer: answer["score"] == EXAMPLE / 2, "2.0"),),
)  # fmt: skip


class TinyReplica(Replica):
    """A replica without MLflow."""

    def __init__(self, args: dict[str, Any], *tasks: Any) -> None:
        arguments = ServingArguments.model_validate(args)
        version = arguments.version
        self._prefix = arguments.route_prefix
        self._slots = Slots(arguments.max_ongoing_requests)
        log: Any = NoLog()
        plane = DataPlane(CONTRACT, Halves(version.contract.endswith(":failing")), version, log)
        application = GrpcApplication(
            plane, RestApplication(plane, arguments.public_path), arguments.application, version.proto
        )
        self._answers = open_tasks(application, plane, arguments) if version.queue is not None else application


class Idle:
    """In the place of the workers of tasks."""


def build(args: dict[str, Any]) -> Any:
    return deployed(args, TinyReplica)


def _idle(arguments: ServingArguments) -> Any:
    assert arguments.version.queue is not None
    made: Any = serve.deployment(Idle)
    count = arguments.version.queue.workers.replicas
    return made.options(name=WORKERS, num_replicas=count, ray_actor_options={"num_cpus": 0.01}).bind()


replica.task_workers = _idle
