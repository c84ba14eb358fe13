"""What `heliostat.jobs.trainer` changes of Ray Train is where this version of Ray has it."""

from __future__ import annotations

import pickle
from typing import Any

import pytest


@pytest.fixture(scope="module")
def trainer() -> Any:
    return pytest.importorskip("heliostat.jobs.trainer")


def test_the_hooks_are_the_ones_that_ray_calls(trainer: Any) -> None:
    from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    for name in ("_create_default_callbacks", "_initialize_and_run_controller"):
        assert name in DataParallelTrainer.fit.__code__.co_names, "fit calls it"
        assert name in vars(trainer.Trainer)
    changed = [name for name, value in vars(trainer._Fixed).items() if callable(value)]
    assert changed == ["after_controller_start", "_maybe_send_resource_request"]
    assert all(hasattr(FixedScalingPolicy, name) for name in changed)


@pytest.mark.parametrize("name", ["PlacementGroupCleanerCallback", "DatasetsCallback"])
def test_no_process_is_started_that_a_training_does_without(trainer: Any, name: str) -> None:
    from ray.train import ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    ours = trainer.Trainer(lambda: None, scaling_config=ScalingConfig(num_workers=1))
    usual = {type(each).__name__ for each in DataParallelTrainer._create_default_callbacks(ours)}
    assert usual - {type(each).__name__ for each in ours._create_default_callbacks()} >= {name}


def test_a_worker_that_asks_for_the_controller_s_actor_is_told_why_there_is_none(trainer: Any) -> None:
    from ray.runtime_context import RuntimeContext

    usual = RuntimeContext.current_actor
    with trainer._no_actor():
        stand_in = pickle.loads(pickle.dumps(RuntimeContext.current_actor.fget(None)))
        with pytest.raises(RuntimeError, match="cannot be asked for get_all_reported_checkpoints"):
            stand_in.get_all_reported_checkpoints.remote()
    assert RuntimeContext.current_actor is usual
