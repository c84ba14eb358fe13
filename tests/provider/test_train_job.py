"""TrainJob: what trains, what is adopted, what is attached to, and how a failure reads."""

from __future__ import annotations

import asyncio
import json

import pytest
from ml_world import World, failure

from heliostat.provider import planned_capacity, ray_work, train_job
from heliostat.provider.train_job import TrainJobHandler, identity_of, told, why
from heliostat.spec.addresses import RayAddress
from heliostat.spec.platforms.local import RayWorkers
from heliostat.spec.training_resources import TrainJobInputs
from heliostat.spec.workload import Gate, Scaling, Slice
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.mlflow_registry import Run
from heliostat.systems.ray_capacity import NodeTotals
from heliostat.systems.ray_jobs import PROGRESS
from heliostat.testing.jobs import JobResult, MemoryJobs

HANDLER = TrainJobHandler()


@pytest.fixture
def world(tmp_path, monkeypatch):
    world = World(tmp_path)
    world.install(monkeypatch)

    def trained(specification):
        tags = {
            "heliostat.training": specification["digest"],
            "heliostat.complete": "true",
            "heliostat.model_uri": "models:/m-1",
        }
        metrics = {"roc_auc": 0.7, "baseline_roc_auc": 0.6, "loop_seconds": 3.0, "validation_roc_auc": 0.7}
        world.runs[f"run-{len(world.runs) + 1}"] = Run(f"run-{len(world.runs) + 1}", "FINISHED", "1", tags, metrics, {})
        step = {"step": 10, "steps": 20, "metrics": {"auc": 0.65}, "secondsLeft": 4}
        return JobResult(logs=f"(worker) {PROGRESS}{json.dumps(step)}\n")

    world.outcome = trained
    return world


def inputs(world, **changes):
    given = {
        "name": "flights", "code": world.code, "entry_point": "workloads.flights.train:train", "dataset": world.dataset,
        "parameters": {"rounds": 3}, "store": world.store, "ray": world.ray, "tracking_uri": "http://mlflow", **changes,
    }  # fmt: skip
    return TrainJobInputs(**given)


async def test_a_training_is_submitted_once_and_its_run_is_the_output(world):
    created = await HANDLER.create(world.context, inputs(world))
    assert created.outputs.run_id == "run-1"
    assert created.outputs.model_uri == "models:/m-1"
    assert created.outputs.metrics == {"roc_auc": 0.7, "baseline_roc_auc": 0.6}
    assert world.told["progress"] == ["round 10 of 20, auc 0.6500, 4 s left"]
    [job] = world.submitted
    assert job["id"] == f"train-flights-{identity_of(inputs(world))[:12]}-1"
    assert job["env"]["working_dir"].endswith(f"code/{world.code.digest}.zip")


async def test_a_finished_run_with_the_same_identity_is_adopted(world):
    first = await HANDLER.create(world.context, inputs(world))
    again = await HANDLER.create(world.context, inputs(world, max_failures=9, timeout_seconds=5))
    assert again.outputs.run_id == first.outputs.run_id
    assert len(world.submitted) == 1
    assert "adopted" in world.told["info"][-1]


async def test_what_an_environment_trained_in_its_experiment_is_known_to_all(world):
    branch = inputs(world, experiment="flights@x-abc")
    assert identity_of(branch) == identity_of(inputs(world))
    first = await HANDLER.create(world.context, branch)
    assert world.specification(world.submitted[0]["id"])["experiment"] == "flights@x-abc"
    for other in (inputs(world), inputs(world, experiment="flights@y-abc")):
        assert (await HANDLER.create(world.context, other)).outputs.run_id == first.outputs.run_id
    assert len(world.submitted) == 1
    assert "experiment" in HANDLER.insignificant_inputs(branch, inputs(world))


async def test_a_model_that_is_not_the_one_of_a_training_in_one_go_is_told_each_time_it_is_taken(world):
    await HANDLER.create(world.context, inputs(world))
    assert world.told["warn"] == []
    world.runs["run-1"].tags["heliostat.resumed"] = "resumed at 50: dart drops trees of this part of the training only"
    await HANDLER.create(world.context, inputs(world))
    [warning] = world.told["warn"]
    assert "flights: the training was resumed at 50: dart drops trees" in warning
    assert "Delete the run run-1 in MLflow to train it again" in warning


async def test_a_running_job_is_attached_to(world):
    job_id = f"train-flights-{identity_of(inputs(world))[:12]}-1"
    trained, world.outcome = world.outcome, lambda _: None
    world.cancelled.set()
    with pytest.raises(RetryableError, match=r"goes on as Ray job .*; the next `up` attaches to it"):
        await HANDLER.create(world.context, inputs(world))
    assert (await world.jobs.find(job_id)).status == "RUNNING", "Ctrl-C must leave the training alone"
    world.cancelled.clear()
    world.jobs.followed.clear()
    waiting = asyncio.create_task(HANDLER.create(world.context, inputs(world)))
    await world.jobs.followed.wait()
    assert "attached" in world.told["info"][-1]
    world.jobs.end(job_id, trained(world.specification(job_id)))
    assert (await waiting).outputs.run_id == "run-1"
    assert len(world.submitted) == 1


@pytest.fixture
def moved(world, monkeypatch):
    """The jobs of a second cluster, which the work is for by now; and the work."""
    jobs = {world.ray.url: world.jobs, "http://new": MemoryJobs(world._run)}
    monkeypatch.setattr(ray_work, "open_runner", lambda address, own=None: jobs[address.url])
    return jobs["http://new"], inputs(world, ray=RayAddress(url="http://new"))


async def test_a_job_that_still_runs_on_the_cluster_before_is_attached_to(world, moved):
    new, wanted = moved
    trained, world.outcome = world.outcome, lambda _: None
    world.cancelled.set()
    with pytest.raises(RetryableError, match="goes on as Ray job"):
        await HANDLER.create(world.context, inputs(world))
    world.cancelled.clear()
    world.jobs.followed.clear()
    waiting = asyncio.create_task(HANDLER.create(world.context, wanted))
    await world.jobs.followed.wait()
    [job] = world.jobs.submitted
    world.jobs.end(job.submission_id, trained(world.specification(job.submission_id)))
    assert (await waiting).outputs.run_id == "run-1"
    assert new.submitted == []


@pytest.mark.parametrize("ends", ["failed", "gone"])
async def test_what_no_longer_runs_on_the_cluster_before_is_trained_on_the_one_that_is_there(world, moved, ends):
    new, wanted = moved
    trained, world.outcome = world.outcome, lambda _: JobResult("FAILED", failure("failed", "ValueError: no"))
    with pytest.raises(PermanentError, match="ValueError"):
        await HANDLER.create(world.context, inputs(world))
    world.outcome, world.jobs.away = trained, ends == "gone"
    assert (await HANDLER.create(world.context, wanted)).outputs.run_id == "run-1"
    assert (len(world.jobs.submitted), len(new.submitted)) == (1, 1)


async def test_after_a_failure_the_next_attempt_has_the_next_number(world):
    trained = world.outcome
    world.outcome = lambda _: JobResult("FAILED", failure("failed", "Traceback ...\nValueError: num_leaves is 'many'"))
    with pytest.raises(PermanentError, match="num_leaves is 'many'"):
        await HANDLER.create(world.context, inputs(world))
    world.outcome = trained
    await HANDLER.create(world.context, inputs(world))
    assert [job["id"][-2:] for job in world.submitted] == ["-1", "-2"]


@pytest.mark.parametrize(
    ("status", "log", "exit_code", "message"),
    [
        ("FAILED", failure("memory", "OutOfMemoryError"), 1, "ran out of memory .*fewer workers"),
        ("FAILED", failure("killed", "ActorDiedError"), 1, "was killed, more often than maxFailures allows"),
        ("FAILED", "last words", -9, "was killed .*the last checkpoint\nlast words"),
        ("STOPPED", "", None, "was stopped"),
        ("FAILED", "ModuleNotFoundError: x", 1, "ModuleNotFoundError: x"),
    ],
)
async def test_a_failure_is_named_with_its_fix(world, status, log, exit_code, message):
    world.outcome = lambda _: JobResult(status, log, f"failed with exit code {exit_code}", exit_code)
    with pytest.raises(PermanentError, match=message):
        await HANDLER.create(world.context, inputs(world))


async def test_a_finished_training_stays_finished_until_its_run_is_deleted(world):
    created = await HANDLER.create(world.context, inputs(world))
    assert await HANDLER.read(world.context, created.identifier, created.outputs) == created.outputs
    world.runs.clear()
    assert await HANDLER.read(world.context, created.identifier, created.outputs) is None


async def test_while_mlflow_is_away_a_training_is_taken_as_it_was(world):
    created = await HANDLER.create(world.context, inputs(world))
    world.mlflow_away = True
    assert await HANDLER.read(world.context, created.identifier, created.outputs) == created.outputs
    assert "taken as it was" in world.told["info"][-1]


async def test_an_update_that_trains_nothing_new_keeps_the_run(world):
    created = await HANDLER.create(world.context, inputs(world))
    updated = await HANDLER.update(world.context, created.identifier, created.outputs, inputs(world, max_failures=7))
    assert (updated.run_id, updated.max_failures, len(world.submitted)) == (created.outputs.run_id, 7, 1)


async def test_a_checkout_that_changed_meanwhile_is_an_error_and_starts_nothing(world):
    (__import__("pathlib").Path(world.code.root) / "workloads" / "__init__.py").write_text("changed = 1")
    with pytest.raises(PermanentError, match="changed while this ran"):
        await HANDLER.create(world.context, inputs(world))
    assert not world.submitted


def test_the_identity_is_code_data_parameters_and_scaling(world):
    one = identity_of(inputs(world))
    same = inputs(world, max_failures=5, timeout_seconds=1, code=world.code.model_copy(update={"root": "/elsewhere"}))
    assert identity_of(same) == one
    for change in (
        {"parameters": {"rounds": 4}},
        {"scaling": Scaling(workers=3)},
        {"dataset": world.dataset.model_copy(update={"digest": "e" * 64})},
        {"code": world.code.model_copy(update={"digest": "f" * 64})},
    ):
        assert identity_of(inputs(world, **change)) != one


async def test_a_preview_says_why_it_will_train(world):
    old = (await HANDLER.create(world.context, inputs(world))).outputs
    await HANDLER.preview(world.context, old, inputs(world))
    assert world.told["info"] == [], "nothing to tell where nothing changes"
    await HANDLER.preview(world.context, old, inputs(world, parameters={"rounds": 4, "leaves": 7}))
    assert world.told["info"] == ["will train flights: parameters.leaves unset -> 7, parameters.rounds 3 -> 4"]


def test_the_reasons_name_code_data_and_scaling(world):
    from heliostat.spec.training_resources import TrainJobOutputs

    old = TrainJobOutputs(**dict(inputs(world)), digest="a" * 64, run_id="r", model_uri="m", metrics={})
    new = inputs(
        world,
        code=world.code.model_copy(update={"digest": "f" * 64}),
        dataset=world.dataset.model_copy(update={"digest": "e" * 64}),
        scaling=Scaling(workers=4),
    )
    assert (
        why(old, new)
        == f": its code changed, its data changed ({'d' * 12} -> {'e' * 12}), its scaling changed (workers 2 -> 4)"
    )


def test_progress_without_figures_is_its_text():
    assert told({"text": "starting the workers"}) == "starting the workers"


BALANCED = {"false": 5, "true": 4}


@pytest.mark.parametrize(
    ("labels", "gate", "reasons"),
    [
        (BALANCED, Gate(slices=(Slice(column="origin"), Slice(column="carrier"))), []),
        ({"0": 5, "1": 4}, Gate(metric="brier"), []),
        (None, Gate(metric="rmse"), []),
        ({"0": 1, "1": 2, "2": 3}, Gate(metric="r2"), []),
        (
            BALANCED,
            Gate(metric="rmse"),
            ["root_mean_squared_error is not defined on 'late', for its labels are 0 and 1; there are roc_auc"],
        ),
        (
            None,
            Gate(),
            [
                "roc_auc is not defined on 'late', for its labels are numbers",
                "there are r2, mean_bias, root_mean_squared_error",
            ],
        ),
        ({"true": 9}, Gate(), ["all labels of the test split are alike; there are log_loss, brier_score"]),
        (
            {"0": 1, "1": 2, "2": 3},
            Gate(metric="f1", slices=(Slice(column="origin"), Slice(column="orign"), Slice(column="late"))),
            [
                "gate.metric: f1 is not defined",
                "gate.slices[1].column: the data has no column 'orign' to slice by; it has origin, carrier",
                "gate.slices[2].column: 'late' is the label, and all rows of a slice by it are alike; it has origin",
            ],
        ),
    ],
)
async def test_a_training_whose_model_could_not_be_judged_is_refused_before_it_begins(world, labels, gate, reasons):
    world.snapshot(labels)
    for act in (
        HANDLER.preview(world.context, None, inputs(world, gate=gate)),
        HANDLER.create(world.context, inputs(world, gate=gate)),
    ):
        if not reasons:
            await act
            continue
        with pytest.raises(PermanentError) as refused:
            await act
        assert all(reason in str(refused.value) for reason in reasons), refused.value
    assert len(world.submitted) == (0 if reasons else 1)


async def test_another_gate_trains_nothing_anew(world):
    world.snapshot(BALANCED)
    created = await HANDLER.create(world.context, inputs(world))
    other = inputs(world, gate=Gate(margin=0.5))
    assert "gate" in HANDLER.insignificant_inputs(inputs(world), other)
    assert (await HANDLER.update(world.context, created.identifier, created.outputs, other)).run_id == created.outputs.run_id


@pytest.mark.parametrize(
    ("scaling", "fits"),
    [
        (Scaling(workers=6), True),
        (Scaling(workers=7), False),
        (Scaling(workers=2, cpus_per_worker=3), False),
        (Scaling(workers=1, gpus_per_worker=1), True),
        (Scaling(workers=2, gpus_per_worker=1), False),
    ],
)
async def test_a_training_that_the_cluster_can_never_hold_is_refused_in_the_preview(world, monkeypatch, scaling, fits):
    async def nodes(address):
        return (NodeTotals("a", "head", 2.0, 0.0), NodeTotals("b", "worker", 4.0, 1.0))

    monkeypatch.setattr(train_job, "read_nodes", nodes)
    asked = inputs(world, scaling=scaling)
    if fits:
        await HANDLER.preview(world.context, None, asked)
        return
    with pytest.raises(PermanentError, match=f"needs {scaling.workers} workers of .* at once, the cluster can hold"):
        await HANDLER.preview(world.context, None, asked)
    monkeypatch.setattr(planned_capacity, "_growing", {world.ray.url: (RayWorkers(count=1), RayWorkers(count=9))})
    await HANDLER.preview(world.context, None, asked)
