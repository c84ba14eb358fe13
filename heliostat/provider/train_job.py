"""TrainJob: a training with Ray Train, as a job that outlives the `up` that started it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from heliostat.provider import inspecting, own_clusters, planned_capacity, ray_work
from heliostat.provider.records import open_registry, unless_deleted
from heliostat.provider.resource import Context, Created, Failure, Handler
from heliostat.provider.snapshots import require_judgeable
from heliostat.spec.distribution import is_usual
from heliostat.spec.inspection import Role
from heliostat.spec.jobs import TrainSpecification
from heliostat.spec.resources import TrainJobInputs, TrainJobOutputs
from heliostat.spec.workload import Scaling, workers_that_fit
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.mlflow_registry import RESUMED_TAG, Run
from heliostat.systems.ray_capacity import read_nodes

TRAINING_TAG: Final = "heliostat.training"
COMPLETE_TAG: Final = "heliostat.complete"
MODEL_TAG: Final = "heliostat.model_uri"
_OF_THE_WORK: Final = frozenset({"max_failures", "timeout_seconds", "ray", "gate", "group", "own_cluster", "problem"})
"""Inputs that decide nothing about the model that comes out."""
_NOT_QUALITY: Final = ("fit_seconds", "loop_seconds")


class TrainJobHandler(Handler[TrainJobInputs, TrainJobOutputs]):
    """A finished run with the same identity is adopted, a running job is attached to, and only else is something trained."""

    token = "heliostat:index:TrainJob"  # noqa: S105 - a type, no secret
    inputs = TrainJobInputs
    outputs = TrainJobOutputs
    gone = "its run is not in MLflow any more; the next `up` trains anew"
    replace_on = frozenset({"name"})

    def insignificant_inputs(self, old: TrainJobInputs, new: TrainJobInputs) -> frozenset[str]:
        """Only the identity decides: how often a worker may fail, or where the cluster is, trains nothing anew."""
        if identity_of(old) == identity_of(new):
            return frozenset({"code", "dataset", *_OF_THE_WORK})
        return _OF_THE_WORK

    async def mistakes(self, given: Mapping[str, Any]) -> list[Failure]:
        """That the entry point is no function that trains, or that its model could not be judged as the gate asks."""
        return [
            *inspecting.gate_failures(given),
            *await inspecting.of_entry_point(given, Role.TRAINING, "entryPoint"),
        ]

    async def preview(self, context: Context, old: TrainJobOutputs | None, new: TrainJobInputs) -> None:
        """Say whether it will train, and why.

        Raises:
            PermanentError: its models could not be judged, or the cluster can never hold its workers.
        """
        if old is not None and identity_of(old) == identity_of(new):
            return
        if await asyncio.to_thread(_finished_run, new, True):
            context.info(f"will adopt the finished training of {new.name} with the same code, data and parameters")
            return
        await _require_worth_it(new)
        await _require_room(new)
        await own_clusters.rehearse(new, f"{_base(new)}-1")
        where = "" if new.own_cluster is None else " on a Ray cluster of its own"
        context.info(f"will train {new.name}{where}{why(old, new)}")

    async def create(self, context: Context, inputs: TrainJobInputs) -> Created[TrainJobOutputs]:
        """Train, or adopt what an earlier `up` trained."""
        outputs = await _trained(context, inputs)
        return Created(f"{inputs.name}-{outputs.digest[:12]}", outputs)

    async def read(self, context: Context, identifier: str, outputs: TrainJobOutputs) -> TrainJobOutputs | None:
        """A finished training stays finished, whatever became of its cluster; it is gone where its run is deleted."""

        def recorded() -> TrainJobOutputs | None:
            return outputs if _find_run(outputs) else None

        return await unless_deleted(context, outputs.name, outputs, recorded)

    async def update(self, context: Context, identifier: str, old: TrainJobOutputs, new: TrainJobInputs) -> TrainJobOutputs:
        """Train what changed; the old run stays, for versions of the model name it."""
        if identity_of(old) == identity_of(new):
            return old.model_copy(update={name: getattr(new, name) for name in TrainJobInputs.model_fields})
        return await _trained(context, new)

    async def delete(self, context: Context, identifier: str, outputs: TrainJobOutputs) -> None:
        """Nothing but what is left of clusters of its own: runs are the history of the models."""
        await own_clusters.forget(context, outputs, _work_name(outputs))


def identity_of(inputs: TrainJobInputs) -> str:
    """The training's identity: what decides the model that comes out."""
    task = _task(inputs)
    return ray_work.digest_of(
        {
            "name": inputs.name,
            "code": inputs.code.digest,
            "entry_point": inputs.entry_point,
            "dataset": inputs.dataset.digest,
            "parameters": inputs.parameters,
            "scaling": inputs.scaling.model_dump(mode="json"),
            **({"task": task} if task else {}),
        }
    )


def _task(inputs: TrainJobInputs) -> dict[str, Any] | None:
    """What the task decides of the model; metrics only measure it."""
    return inputs.problem.task_identity if inputs.problem is not None else None


def why(old: TrainJobOutputs | None, new: TrainJobInputs) -> str:
    """What is different, in words; empty for a first training."""
    if old is None:
        return ""
    changes = [
        f"parameters.{name} {_shown(old.parameters.get(name))} -> {_shown(new.parameters.get(name))}"
        for name in sorted(old.parameters.keys() | new.parameters.keys())
        if old.parameters.get(name) != new.parameters.get(name)
    ]
    if old.code.digest != new.code.digest:
        changes.append("its code changed")
    if old.dataset.digest != new.dataset.digest:
        changes.append(f"its data changed ({old.dataset.digest[:12]} -> {new.dataset.digest[:12]})")
    if old.scaling != new.scaling:
        changes.append(f"its scaling changed ({_width(old.scaling)} -> {_width(new.scaling).removeprefix('workers ')})")
    if _task(old) != _task(new):
        changes.append("its task changed")
    return f": {', '.join(changes)}" if changes else ""


def told(progress: dict[str, Any]) -> str:
    """A line of progress for people."""
    if "text" in progress:
        return str(progress["text"])
    figures = ", ".join(f"{name} {value:.4f}" for name, value in progress.get("metrics", {}).items())
    left = progress.get("secondsLeft", 0)
    parts = [f"round {progress['step']} of {progress['steps']}", figures, f"{left:.0f} s left" if left else ""]
    return ", ".join(filter(None, parts))


async def _trained(context: Context, inputs: TrainJobInputs) -> TrainJobOutputs:
    run = await asyncio.to_thread(_finished_run, inputs, False)
    if run is not None:
        context.info(f"{inputs.name}: a finished training with the same code, data and parameters is there: adopted")
        _tell_resumed(context, inputs, run)
        return _outputs(inputs, run)
    await _require_worth_it(inputs)
    await ray_work.run(_work(inputs), context, lambda progress: context.progress(told(progress)))
    run = await asyncio.to_thread(_finished_run, inputs, False)
    if run is None:
        raise PermanentError(
            f"the training of {inputs.name} ended well and its run is not in MLflow at {inputs.tracking_uri}: was it deleted?"
        )
    _tell_resumed(context, inputs, run)
    return _outputs(inputs, run)


async def _require_worth_it(inputs: TrainJobInputs) -> None:
    """See that what comes out can be judged, before minutes go into it."""
    if inputs.gate is not None:
        await require_judgeable(inputs.gate, inputs.problem, inputs.dataset, inputs.store)


async def _require_room(inputs: TrainJobInputs) -> None:
    """See that the cluster could hold all workers at once, were nothing else on it; else Ray Train waits for ever."""
    scaling = inputs.scaling
    if inputs.group is not None:
        return  # its nodes come when they are asked for, and the declaration was held against the most that there can be
    try:
        nodes = await read_nodes(inputs.ray)
    except RetryableError:
        return
    fits = sum(workers_that_fit(scaling, node.cpus, node.gpus) for node in nodes)
    if fits < scaling.fewest and planned_capacity.growth(inputs.ray.url) is None:
        raise PermanentError(
            f"the training of {inputs.name} needs {scaling.fewest} workers of {scaling.cpus_per_worker:g} CPUs and "
            f"{scaling.gpus_per_worker:g} GPUs at once, the cluster can hold {fits}: ask for fewer or smaller ones in "
            "training.scaling, or give the cluster nodes"
        )


def _tell_resumed(context: Context, inputs: TrainJobInputs, run: Run) -> None:
    """Say where the model is not the one that the training's identity names."""
    if how := run.tags.get(RESUMED_TAG):
        context.warn(
            f"{inputs.name}: the training was {how}; its model is not the one that a training in one go gives. "
            f"Delete the run {run.run_id} in MLflow to train it again"
        )


def _work(inputs: TrainJobInputs) -> ray_work.Work:
    digest = identity_of(inputs)
    if inputs.scaling.group is not None and inputs.group is None:
        raise PermanentError(
            f"the platform's groups of nodes are not known: the group {inputs.scaling.group!r} cannot be found"
        )

    def specification(submission_id: str) -> TrainSpecification:
        return TrainSpecification(
            name=inputs.name,
            digest=digest,
            entry_point=inputs.entry_point,
            code_digest=inputs.code.digest,
            dataset_key=_key(inputs),
            dataset_digest=inputs.dataset.digest,
            parameters=inputs.parameters,
            problem=inputs.problem,
            scaling=inputs.scaling,
            group=inputs.group,
            max_failures=inputs.max_failures,
            store=inputs.store,
            tracking_uri=inputs.tracking_uri,
            submission_id=submission_id,
        )

    return ray_work.Work(
        what=f"the training of {inputs.name}",
        module="heliostat.jobs.train",
        base=_base(inputs),
        specification=specification,
        code=inputs.code,
        store=inputs.store,
        ray=inputs.ray,
        timeout_seconds=inputs.timeout_seconds,
        own=own_clusters.own_clusters(inputs),
    )


def _base(inputs: TrainJobInputs) -> str:
    return f"{_work_name(inputs)}-{identity_of(inputs)[:12]}"


def _work_name(inputs: TrainJobInputs) -> str:
    return f"train-{inputs.name}"


def _key(inputs: TrainJobInputs) -> str:
    return ray_work.key_of(inputs.dataset.uri, inputs.store)


def _finished_run(inputs: TrainJobInputs, forgiving: bool) -> Run | None:
    """The run of a training with this identity that went to its end; `forgiving`: None where MLflow is not up yet."""
    try:
        with open_registry(inputs) as registry:
            found = registry.runs(inputs.name, {TRAINING_TAG: identity_of(inputs), COMPLETE_TAG: "true"})
    except RetryableError:
        if forgiving:
            return None
        raise
    return found[0] if found else None


def _find_run(outputs: TrainJobOutputs) -> Run | None:
    with open_registry(outputs) as registry:
        return registry.run(outputs.run_id)


def _outputs(inputs: TrainJobInputs, run: Run) -> TrainJobOutputs:
    metrics = {
        name: value
        for name, value in sorted(run.metrics.items())
        if name not in _NOT_QUALITY and not name.startswith(("validation_", "test_", "baseline_test_"))
    }
    return TrainJobOutputs(
        **{name: getattr(inputs, name) for name in TrainJobInputs.model_fields},
        digest=identity_of(inputs),
        run_id=run.run_id,
        model_uri=run.tags[MODEL_TAG],
        metrics=metrics,
    )


def _width(scaling: Scaling) -> str:
    width = f"{scaling.fewest} to {scaling.workers}" if scaling.fewest < scaling.workers else f"{scaling.workers}"
    how = "" if is_usual(scaling.distribution) else f" {scaling.distribution.kind}"
    return f"workers {width}{how}" + (f" on {scaling.group}" if scaling.group else "")


def _shown(value: object) -> str:
    return "unset" if value is None else str(value)
