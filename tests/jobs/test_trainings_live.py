"""Trainings with real workers of Ray Train: a lost worker, a budget, a parameter server, trials, a group of JAX."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from heliostat.jobs.worker_failures import explain
from heliostat.ml.datasets import Tables, save
from heliostat.ml.pyfunc import RESULT_FILE
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.distribution import DataParallel, Elastic, ParameterServer
from heliostat.spec.training_report import WorkerTimes
from heliostat.spec.tuning import Tuning, Uniform
from heliostat.spec.workload import Scaling
from heliostat.systems.objects import open_store
from tests.ray_here import begin

pytestmark = [pytest.mark.local_stack, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray = pytest.importorskip("ray")
    root, here = Path(__file__).parents[2], Path(__file__).parent
    given = os.environ.get("PYTHONPATH")
    path = os.pathsep.join(filter(None, [str(root), str(here), given]))
    environment = {"PYTHONPATH": path, "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.25", "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}
    kept = dict(os.environ)
    os.environ.update({**environment, "RAY_TRAIN_METRICS_ENABLED": "0"})
    begin(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": environment})
    yield
    ray.shutdown()
    os.environ.clear()
    os.environ.update(kept)


def trained(store: Path, entry_point: str, **changes: Any) -> dict[str, Any]:
    """The result of a training, with what each worker kept."""
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig

    from heliostat.jobs.trainer import Trainer
    from heliostat.ml.peers import PeersConfig
    from heliostat.ml.worker import run_worker
    from heliostat.spec.scaling import scaling_arguments

    distribution = changes.pop("distribution", DataParallel())
    scaling = Scaling(distribution=distribution, **({} if isinstance(distribution, Elastic) else {"workers": 2}))
    address = StoreAddress(uri=f"file://{store}")
    config = {
        "entry_point": f"trained_here:{entry_point}" if ":" not in entry_point else entry_point,
        "parameters": {}, "dataset_key": "data", "store": address, "cpus_per_worker": 1, "tracking_uri": "", "run_id": "",
        "name": "t", "distribution": distribution, "place": "trainings/t/d.workers", **changes,
    }  # fmt: skip
    trainer = Trainer(
        run_worker,
        train_loop_config=config,
        backend_config=PeersConfig(),
        scaling_config=ScalingConfig(**scaling_arguments(scaling, None)),
        run_config=RunConfig(
            name="run",
            storage_path=str(store / "trainings"),
            failure_config=FailureConfig(max_failures=0),
            checkpoint_config=CheckpointConfig(num_to_keep=2),
        ),
    )
    checkpoint = trainer.fit().checkpoint
    with checkpoint.as_directory() as folder:
        return json.loads(Path(folder, RESULT_FILE).read_text())


def times(store: Path) -> list[WorkerTimes]:
    found = sorted((store / "trainings/t/d.workers").glob("*/times.json"))
    return [WorkerTimes.model_validate_json(path.read_text()) for path in found]


def test_a_lost_worker_does_not_end_an_elastic_training(cluster: None, tmp_path: Path) -> None:
    result = trained(tmp_path, "loses_a_worker", distribution=Elastic(min_workers=1, max_workers=2))
    assert result["metrics"]["steps"] == 12
    assert result["starts"][0] == 2
    assert len(result["starts"]) == 2, "with maxFailures 0 it went on from the checkpoint"


@pytest.mark.parametrize("personal", [["email"], []])
def test_rows_of_personal_columns_are_neither_in_an_error_nor_in_a_log_of_a_node(
    cluster: None, tmp_path: Path, personal: list[str]
) -> None:
    import ray

    email = f"{'ada' if personal else 'grace'}.lovelace@example.org"
    table = pa.table({"email": [email, "b@example.org"] * 9, "late": [0.0, 1.0] * 9})
    data = Tables(train=table, validation=table, test=table, label="late")
    made = save(data, "loans", open_store(StoreAddress(uri=f"file://{tmp_path}")), more={"personal": personal})
    with pytest.raises(Exception, match="Training failed") as raised:
        trained(tmp_path, "quotes_a_person", dataset_key=f"datasets/loans/{made['digest']}")
    kind, told = explain(raised.value)
    assert kind == "failed" and "ArrowInvalid" in told and "in quotes_a_person" in told
    logs = Path(ray._private.worker.global_worker.node.get_session_dir_path(), "logs")
    found = [path.name for path in logs.rglob("*") if path.is_file() and email.encode() in path.read_bytes()]
    assert (email in told, bool(found)) == (not personal, not personal), "of data without such columns it is told as it is"


@pytest.mark.long
def test_a_budget_ends_a_training_in_order_and_a_larger_one_goes_on(cluster: None, tmp_path: Path) -> None:
    first = trained(tmp_path, "steps_until_its_budget", seconds_limit=1.0)
    assert first["endedByBudget"] >= 1.0
    assert 0 < first["metrics"]["steps"] < 1000
    again = trained(tmp_path, "steps_until_its_budget", seconds_limit=1.0)
    assert again == first, "the same budget trains nothing more"
    more = trained(tmp_path, "steps_until_its_budget", seconds_limit=first["endedByBudget"] + 1.0)
    assert more["metrics"]["seen_0"] == first["metrics"]["steps"], "it goes on from the checkpoint that was kept"
    assert [each.rank for each in times(tmp_path)] == [0, 1], "each worker kept its own times"


def test_workers_of_a_parameter_server_wait_for_no_other_within_the_bound(cluster: None, tmp_path: Path) -> None:
    result = trained(tmp_path, "moves_a_server", distribution=ParameterServer(staleness=3))
    assert result["metrics"]["steps"] == 10 * 1 + 10 * 2, "every gradient counts once"
    assert times(tmp_path)[0].synchronisation > times(tmp_path)[1].synchronisation, "the faster one waits for the slower"


@pytest.mark.long
def test_the_best_of_some_trials_gives_the_parameters(cluster: None, tmp_path: Path) -> None:
    tuning = Tuning(trials=5, metric="r2", space={"x": Uniform(kind="uniform", low=0.0, high=6.0)})
    result = trained(tmp_path, "tuned_here", parameters={"x": 0.0}, tuning=tuning)
    values = [trial["value"] for trial in result["trials"]]
    assert values[0] == -8.0, "what is declared comes first"
    assert result["metrics"]["r2"] == max(values) > -8.0
    assert [trial["chosen"] for trial in result["trials"]] == [value == max(values) for value in values]
