"""The model that tasks are answered with in the bench: a worker's process, and what Celery's task calls. It doubles."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from heliostat.ml.contracts import Contract
from heliostat.serving.dataplane import DataPlane
from heliostat.serving.queue.__main__ import main
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.rollouts import ServingArguments, Version
from heliostat.spec.task_queue import RedisBroker, TaskQueue
from heliostat.spec.workload import Limits, PredictionLog

APPLICATION = "doubles"
LABEL = "1-bench"


class Number(BaseModel):
    """What is sent."""

    model_config = ConfigDict(extra="forbid")
    value: float


class Doubled(BaseModel):
    """What is answered."""

    twice: float


class Doubler:
    """The predictor."""

    def predict(self, columns: Any) -> Any:
        """Twice each value."""
        return np.asarray(columns["value"]) * 2


class _NoLog:
    def add(self, *entry: Any, processed: Any = None) -> bool:
        return False

    def close(self) -> None:
        return


CONTRACT: Contract[Any, Any] = Contract(
    title="Doubles",
    description="Twice a number.",
    row=Number,
    answer=Doubled,
    predictor=Doubler,  # type: ignore[arg-type]
    respond=lambda score: Doubled(twice=score),
    examples=(Number(value=1),),
    golden=(),
)


def arguments(broker_url: str, folder: str, **settings: Any) -> ServingArguments:
    """The version that answers, with its queue at a broker."""
    version = Version(
        digest="0" * 64,
        label=LABEL,
        code_uri="",
        contract="bench.task_model:CONTRACT",
        model_uri="models:/doubles/1",
        tracking_uri="http://127.0.0.1:1",
        store=StoreAddress(uri=f"file://{folder}"),
        prediction_log=PredictionLog(sampling_rate=0),
        limits=Limits(),
        queue=TaskQueue(broker=RedisBroker(url=broker_url), **settings),
    )
    return ServingArguments(
        application=APPLICATION,
        route_prefix="/_/doubles/blue",
        public_path="/doubles",
        replicas=1,
        cpus_per_replica=1,
        max_ongoing_requests=8,
        version=version,
    )


def opened(given: ServingArguments) -> DataPlane:
    """The data plane, which is the same in both."""
    return DataPlane(CONTRACT, Doubler(), given.version, _NoLog())  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main(opened))
