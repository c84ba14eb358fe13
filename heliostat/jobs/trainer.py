"""Ray Train's trainer with its controller in the driver: as much of a training as there was, in four processes less.

Ray runs the controller as an actor, and starts two more that outlive it: one that asks an autoscaler for what the training
needs, though the workers' placement group asks for the same, and one that frees that group where the controller dies, as it
is freed with its job anyway where the driver made it. A fourth hands out data sets of Ray Data, and the workers wait for it
where there are none as well: they read a snapshot's files. Each is a Python that imports Ray Train and Ray Data before it
can begin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn, cast

from ray.runtime_context import RuntimeContext
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.callback import WorkerGroupCallback
from ray.train.v2._internal.execution.context import TrainRunContext
from ray.train.v2._internal.execution.controller import TrainController
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from heliostat.jobs.elastic import Elastic
from heliostat.jobs.losses import ElasticFailurePolicy, Kept


class Trainer(DataParallelTrainer):
    """As `DataParallelTrainer`, without data sets of Ray Data; an elastic training goes on where a worker is lost."""

    _training: Callable[[], None] | None = None

    def when_workers_train(self, tell: Callable[[], None]) -> None:
        """Have `tell` called each time the workers have begun."""
        self._training = tell

    def _create_default_callbacks(self) -> list[Any]:
        found = super()._create_default_callbacks()
        if self._training is not None:
            found.append(_Training(self._training))
        return [each for each in found if not isinstance(each, (PlacementGroupCleanerCallback, DatasetsCallback))]

    def _initialize_and_run_controller(self, **options: Any) -> Any:
        with _no_actor():
            policies = self._policies(options["callbacks"])
            controller = TrainController(**{**options, **policies})
            if isinstance(policies["scaling_policy"], Elastic):
                policies["scaling_policy"].release = partial(_release, controller)
            asyncio.run(controller.run())  # type: ignore[no-untyped-call]
            return controller.get_result()

    def _policies(self, callbacks: list[Any]) -> dict[str, Any]:
        config = cast("Any", self.scaling_config)
        if not config.elasticity_enabled:
            return {"scaling_policy": _Fixed(config)}
        kept = Kept()
        failures = ElasticFailurePolicy(self.run_config.failure_config, kept)
        return {"scaling_policy": Elastic(config), "failure_policy": failures, "callbacks": [*callbacks, kept]}


def _release(controller: TrainController) -> None:
    if controller.get_worker_group() is not None:
        controller._shutdown_worker_group()  # type: ignore[no-untyped-call]


class _Training(WorkerGroupCallback):
    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell

    def after_worker_group_training_start(self, worker_group: Any) -> None:
        self._tell()


class _Fixed(FixedScalingPolicy):
    """Asks no autoscaler: what is not there yet is asked for by the workers' placement group."""

    def after_controller_start(self, train_run_context: TrainRunContext) -> None:
        return

    def _maybe_send_resource_request(self) -> None:
        return


class _NoActor:
    """Stands in the workers where the controller's actor would; nothing of this library asks it."""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise RuntimeError(f"Ray Train's controller runs in the training's driver and cannot be asked for {name}")


@contextmanager
def _no_actor() -> Any:
    """Ray hands the controller's actor on to each worker, and refuses to where there is none."""
    context = cast("Any", RuntimeContext)
    usual = context.current_actor
    context.current_actor = property(lambda self: _NoActor())
    try:
        yield
    finally:
        context.current_actor = usual
