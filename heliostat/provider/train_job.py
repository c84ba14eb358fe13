"""TrainJob: a training with Ray Train, as a job that outlives the `up` that started it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from heliostat.provider import inspecting, own_clusters, planned_capacity, ray_work, training_budgets
from heliostat.provider.records import MODEL_TAG, complete_runs, open_registry, unless_deleted
from heliostat.provider.resource import Context, Created, Failure, Handler
from heliostat.provider.snapshots import require_judgeable
from heliostat.provider.training_changes import task_of, told, why
from heliostat.spec.inspection import Role
from heliostat.spec.jobs import TrainSpecification
from heliostat.spec.training_resources import TrainJobInputs, TrainJobOutputs
from heliostat.spec.workload import workers_that_fit
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.mlflow_registry import RESUMED_TAG, Run
from heliostat.systems.ray_capacity import read_nodes

BUDGET_TAG: Final = "heliostat.ended_by_budget"
_OF_THE_WORK: Final = frozenset(
    {"max_failures", "timeout_seconds", "ray", "gate", "group", "own_cluster", "problem", "experiment"}
)
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
            PermanentError: its models could not be judged, the version that it is to keep something of is not there, or the
                cluster can never hold its workers.
        """
        training_budgets.require_known_price(new)
        if old is not None and not await asyncio.to_thread(_trains_again, old, new):
            return
        if await asyncio.to_thread(_finished_run, new, True):
            context.info(f"will adopt the finished training of {new.name} with the same code, data and parameters")
            return
        await _require_worth_it(new)
        await asyncio.to_thread(_require_earlier_version, new)
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
        if not await asyncio.to_thread(_trains_again, old, new):
            return old.model_copy(update={name: getattr(new, name) for name in TrainJobInputs.model_fields})
        return await _trained(context, new)

    async def delete(self, context: Context, identifier: str, outputs: TrainJobOutputs) -> None:
        """Nothing but what is left of clusters of its own: runs are the history of the models."""
        await own_clusters.forget(context, outputs, _work_name(outputs))


def identity_of(inputs: TrainJobInputs) -> str:
    """The training's identity: what decides the model that comes out."""
    task = task_of(inputs)
    return ray_work.digest_of(
        {
            "name": inputs.name,
            "code": inputs.code.digest,
            "entry_point": inputs.entry_point,
            "dataset": inputs.dataset.digest,
            "parameters": inputs.parameters,
            "scaling": inputs.scaling.model_dump(mode="json"),
            **({"task": task} if task else {}),
            **({"continue_from": inputs.continue_from} if inputs.continue_from else {}),
            **({"ensemble": inputs.ensemble.model_dump(mode="json")} if inputs.ensemble else {}),
            **({"tuning": inputs.tuning.model_dump(mode="json")} if inputs.tuning else {}),
        }
    )


async def _trained(context: Context, inputs: TrainJobInputs) -> TrainJobOutputs:
    run = await asyncio.to_thread(_finished_run, inputs, False)
    if run is not None:
        context.info(f"{inputs.name}: a finished training with the same code, data and parameters is there: adopted")
        return _taken(context, inputs, run)
    await _require_worth_it(inputs)
    await ray_work.run(_work(inputs), context, lambda progress: context.progress(told(progress)))
    run = await asyncio.to_thread(_finished_run, inputs, False)
    if run is None:
        raise PermanentError(
            f"the training of {inputs.name} ended well and its run is not in MLflow at {inputs.tracking_uri}: was it deleted?"
        )
    for line in await asyncio.to_thread(training_budgets.report_lines, inputs, identity_of(inputs)):
        context.info(f"{inputs.name}: {line}")
    return _taken(context, inputs, run)


def _taken(context: Context, inputs: TrainJobInputs, run: Run) -> TrainJobOutputs:
    """The outputs of a finished run, with what people should know of it.

    Raises:
        PermanentError: its budget ended it, and it is declared that such a model is refused.
    """
    _tell_resumed(context, inputs, run)
    training_budgets.tell(context, inputs, run.tags.get(BUDGET_TAG))
    return _outputs(inputs, run)


def _trains_again(old: TrainJobOutputs, new: TrainJobInputs) -> bool:
    """Whether something else is asked for than what is there: another training, or more of one that its budget ended."""
    if identity_of(old) != identity_of(new):
        return True
    return old.budget != new.budget and _finished_run(new, True) is None and _ended_early(new)


async def _require_worth_it(inputs: TrainJobInputs) -> None:
    """See that what comes out can be judged, before minutes go into it."""
    if inputs.gate is not None:
        await require_judgeable(inputs.gate, inputs.problem, inputs.dataset, inputs.store)


def _require_earlier_version(inputs: TrainJobInputs) -> None:
    """See that the version is registered that it continues from, or that answers beside its model; where MLflow is not up yet
    nobody knows."""
    ensemble = inputs.ensemble.model if inputs.ensemble is not None else None
    for setting, uri in (("continueFrom", inputs.continue_from), ("ensemble.model", ensemble)):
        if uri is None:
            continue
        try:
            with open_registry(inputs) as registry:
                is_there = registry.version(uri) is not None
        except RetryableError:
            return
        if not is_there:
            raise PermanentError(
                f"training.{setting}: there is no {uri} in MLflow at {inputs.tracking_uri}: name one that is registered"
            )


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
            budget=inputs.budget,
            continue_from=inputs.continue_from,
            ensemble=inputs.ensemble,
            tuning=inputs.tuning,
            max_failures=inputs.max_failures,
            store=inputs.store,
            tracking_uri=inputs.tracking_uri,
            experiment=inputs.experiment,
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
    found = complete_runs(inputs, identity_of(inputs), forgiving)
    return next((run for run in found if not training_budgets.has_more(inputs, run.tags.get(BUDGET_TAG))), None)


def _ended_early(inputs: TrainJobInputs) -> bool:
    """Whether a run of this identity was ended by its budget; no where MLflow is not up yet."""
    return any(BUDGET_TAG in run.tags for run in complete_runs(inputs, identity_of(inputs), forgiving=True))


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
        report_uri=training_budgets.report_uri(inputs, identity_of(inputs)),
    )
