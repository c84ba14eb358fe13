"""BatchPrediction: rows that are predicted beforehand, by a job on the cluster, and again when their schedule says so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import ValidationError

from heliostat.provider import inspecting, postprocessing, ray_work
from heliostat.provider.resource import Context, Created, Failure, Handler, PermanentError
from heliostat.spec.base import shared
from heliostat.spec.batch import BatchRun, SnapshotSource
from heliostat.spec.jobs import BatchSpecification
from heliostat.spec.predictions import Current, Scheduled, manifest_key, schedule_key, top
from heliostat.spec.serving_resources import BatchPredictionInputs, BatchPredictionOutputs
from heliostat.systems import code_packages, library_packages
from heliostat.systems.objects import ObjectMissingError, open_store

_NEXT = "models:/candidate/next"
"""Stands in a preview for a version that is not registered yet."""
_OF_THE_WORK = frozenset({"ray", "tracking_uri", *BatchRun.model_fields})
"""Inputs that decide nothing about the predictions that come out; but for a schedule, which is told of them."""


class BatchPredictionHandler(Handler[BatchPredictionInputs, BatchPredictionOutputs]):
    """The same rows and the same model are predicted once: a run that finds all parts there names the result anew."""

    token = "heliostat:index:BatchPrediction"  # noqa: S105 - a type, no secret
    inputs = BatchPredictionInputs
    outputs = BatchPredictionOutputs
    gone = "its result is not in the object store any more; the next `up` predicts what is missing of it"
    replace_on = frozenset({"name"})
    preview_placeholders: ClassVar[Mapping[str, Any]] = {"model_uri": _NEXT, "dataset": None, "environment": None}

    def insignificant_inputs(self, old: BatchPredictionInputs, new: BatchPredictionInputs) -> frozenset[str]:
        """How it runs decides nothing of what comes out; a scheduled one is told, for it runs again."""
        same = {"code"} if old.code.digest == new.code.digest else set()
        return frozenset(same) | (frozenset() if new.schedule else _OF_THE_WORK)

    async def mistakes(self, given: Mapping[str, Any]) -> list[Failure]:
        """That the entry point is no contract, or a step behind it none."""
        return await inspecting.of_contract(given)

    async def resolved_inputs(self, given: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Failure]]:
        """With the digests of the lists that its post-processing reads."""
        return await postprocessing.with_digests(given)

    async def preview(self, context: Context, old: BatchPredictionOutputs | None, new: BatchPredictionInputs) -> None:
        """Say what is predicted by which version, and when again."""
        if new.model_uri == _NEXT or await asyncio.to_thread(_made, new) is None:
            version = "the next version" if new.model_uri == _NEXT else new.model_uri
            context.info(f"will predict the rows of {new.name} with {version}")
        if new.schedule and (old is None or old.schedule != new.schedule):
            context.info(f"{new.name} will be predicted again at `{new.schedule}` (UTC) by the controller")

    async def create(self, context: Context, inputs: BatchPredictionInputs) -> Created[BatchPredictionOutputs]:
        """Predict what is not predicted yet, and put it on schedule."""
        return Created(inputs.name, await _predicted(context, inputs))

    async def read(self, context: Context, identifier: str, outputs: BatchPredictionOutputs) -> BatchPredictionOutputs | None:
        """Gone where the result's manifest, or the schedule, is."""
        store = open_store(outputs.store)
        keys = [manifest_key(outputs.name, outputs.result), *([schedule_key(outputs.name)] if outputs.schedule else [])]
        there = await asyncio.gather(*(asyncio.to_thread(store.exists, key) for key in keys))
        return outputs if all(there) else None

    async def update(
        self, context: Context, identifier: str, old: BatchPredictionOutputs, new: BatchPredictionInputs
    ) -> BatchPredictionOutputs:
        """Another result; the ones before stay."""
        return await _predicted(context, new)

    async def delete(self, context: Context, identifier: str, outputs: BatchPredictionOutputs) -> None:
        """End the schedule; what was predicted stays."""
        store = open_store(outputs.store)
        await asyncio.to_thread(store.delete, schedule_key(outputs.name))
        context.info(f"the predictions of {outputs.name} are kept, at {store.uri(top(outputs.name))}")


async def _predicted(context: Context, inputs: BatchPredictionInputs) -> BatchPredictionOutputs:
    # A schedule runs when this is long over.
    await postprocessing.keep(inputs.postprocessing, inputs.code, inputs.store)
    current = await asyncio.to_thread(_made, inputs)
    if current is None:
        await ray_work.run(_work(inputs), context)
        current = await asyncio.to_thread(_made, inputs)
    if current is None:
        raise RuntimeError(f"the job that predicts {inputs.name} succeeded and left no result")
    await asyncio.to_thread(_schedule, inputs)
    result = current.result
    context.info(f"{inputs.name}: {result.rows:,} rows are predicted by {result.model_uri}")
    return BatchPredictionOutputs(
        **{name: getattr(inputs, name) for name in BatchPredictionInputs.model_fields},
        result=result.run,
        result_uri=open_store(inputs.store).uri(manifest_key(inputs.name, result.run)),
    )


def _made(inputs: BatchPredictionInputs) -> Current | None:
    """The result of a job with these inputs, where it is still there; a schedule may have made newer ones since."""
    store = open_store(inputs.store)
    try:
        current = Current.model_validate_json(store.get(_result_key(inputs)))
    except (ObjectMissingError, ValidationError):
        return None
    return current if store.exists(manifest_key(inputs.name, current.result.run)) else None


def _identity(inputs: BatchPredictionInputs) -> str:
    """Of what decides a result, but for rows that change at their place: those are looked at by the schedule."""
    names = ("name", "contract", "model_uri", "source", "sink", "key", "columns")
    parts = inputs.model_dump(mode="json", include={*names})
    if inputs.privacy is not None:
        parts["keys"] = [key.id for key in inputs.privacy.keys[:1]]  # a newer key makes other hashes
    dataset = inputs.dataset.digest if inputs.dataset else ""
    own = {"environment": inputs.environment.digest} if inputs.environment is not None else {}
    steps = {"postprocessing": [step.label for step in inputs.postprocessing]} if inputs.postprocessing else {}
    found = {**parts, **own, **steps, "code": inputs.code.digest, "data": dataset, "library": library_packages.here()}
    return ray_work.digest_of(found)


def _result_key(inputs: BatchPredictionInputs) -> str:
    return f"{top(inputs.name)}made/{_identity(inputs)}.json"


def _specification(inputs: BatchPredictionInputs, result_key: str) -> BatchSpecification:
    dataset_key = ""
    if isinstance(inputs.source, SnapshotSource):
        if inputs.dataset is None:
            raise PermanentError(f"{inputs.name} predicts a split of a data set and names none: give its `dataset`")
        dataset_key = ray_work.key_of(inputs.dataset.uri, inputs.store)
    return BatchSpecification(
        name=inputs.name,
        application=inputs.application,
        contract=inputs.contract,
        code_digest=inputs.code.digest,
        model_uri=inputs.model_uri,
        source=inputs.source,
        dataset_key=dataset_key,
        sink=inputs.sink,
        key=inputs.key,
        columns=inputs.columns,
        postprocessing=inputs.postprocessing,
        run=BatchRun(**shared(inputs, BatchRun)),
        store=inputs.store,
        tracking_uri=inputs.tracking_uri,
        environment_digest=inputs.environment.digest if inputs.environment is not None else "",
        privacy=inputs.privacy,
        result_key=result_key,
    )


def _work(inputs: BatchPredictionInputs) -> ray_work.Work:
    specification = _specification(inputs, _result_key(inputs))
    return ray_work.Work(
        what=f"the prediction {inputs.name}",
        module="heliostat.jobs.batch_predict",
        base=_base(inputs),
        specification=lambda submission_id: specification,
        code=inputs.code,
        store=inputs.store,
        ray=inputs.ray,
        timeout_seconds=inputs.timeout_seconds,
        environment_uri=inputs.environment.uri if inputs.environment is not None else None,
    )


def _base(inputs: BatchPredictionInputs) -> str:
    return f"batch-{inputs.name}-{_identity(inputs)[:12]}"


def _schedule(inputs: BatchPredictionInputs) -> None:
    """Tell the controller when it is due, by a file in the object store; or that it is not any more."""
    store, key = open_store(inputs.store), schedule_key(inputs.name)
    if inputs.schedule is None:
        store.delete(key)
        return
    specification_key = f"jobs/{_base(inputs)}.scheduled.json"
    store.put(specification_key, _specification(inputs, "").model_dump_json().encode())
    scheduled = Scheduled(
        name=inputs.name,
        schedule=inputs.schedule,
        since=time.time(),
        base=f"batch-{inputs.name}-due",
        specification=specification_key,
        code_uri=code_packages.upload(inputs.code, store),
        environment_uri=inputs.environment.uri if inputs.environment is not None else None,
        timeout_seconds=inputs.timeout_seconds,
    )
    store.put(key, scheduled.model_dump_json().encode())
