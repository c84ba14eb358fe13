"""Dataset: an immutable snapshot, made by a job on the cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from heliostat.provider import ingestions, inspecting, ray_work
from heliostat.provider.resource import Context, Created, Failure, Handler
from heliostat.spec.inspection import Role
from heliostat.spec.jobs import SnapshotSpecification
from heliostat.spec.resources import DatasetAddress, DatasetInputs, DatasetOutputs
from heliostat.systems.objects import ObjectMissingError, ObjectStore, open_store


class DatasetHandler(Handler[DatasetInputs, DatasetOutputs]):
    """The same code, entry point and parameters are the same snapshot: it is made once and adopted from then on."""

    token = "heliostat:index:Dataset"  # noqa: S105 - a type, no secret
    inputs = DatasetInputs
    outputs = DatasetOutputs
    gone = "its snapshot is not in the object store any more; the next `up` makes it anew"
    replace_on = frozenset({"name"})

    def insignificant_inputs(self, old: DatasetInputs, new: DatasetInputs) -> frozenset[str]:
        """Where the checkout lies, and where a snapshot that is there was made, mean nothing."""
        return _same(old, new)

    async def resolved_inputs(self, given: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Failure]]:
        """With what tells the files that are there, where they are taken as they are: new ones are a difference then."""
        return await asyncio.to_thread(ingestions.with_files, given), []

    async def mistakes(self, given: Mapping[str, Any]) -> list[Failure]:
        """That the entry point is no function that makes data, or the schema none that data can be held to."""
        told = [*_schema_mistakes(given), *ingestions.mistakes(given)]
        if given.get("ingestion") is None:
            return [*told, *await inspecting.of_entry_point(given, Role.DATASET, "entryPoint")]
        told += await inspecting.of_entry_point(given, Role.INGESTED, "entryPoint")
        augment = given["ingestion"].get("augment")
        more = {**given, "augment": augment}
        return [*told, *(await inspecting.of_entry_point(more, Role.AUGMENTATION, "augment") if augment else [])]

    async def preview(self, context: Context, old: DatasetOutputs | None, new: DatasetInputs) -> None:
        """Say which snapshot is taken."""
        if await asyncio.to_thread(_manifest, new):
            return
        context.info(f"will make a snapshot of {new.name}{_why(old, new)}")

    async def create(self, context: Context, inputs: DatasetInputs) -> Created[DatasetOutputs]:
        """Adopt the snapshot or make it."""
        outputs = await _made(context, inputs, None)
        return Created(f"{inputs.name}-{outputs.address.digest[:12]}", outputs)

    async def read(self, context: Context, identifier: str, outputs: DatasetOutputs) -> DatasetOutputs | None:
        """Gone where the snapshot's manifest is."""
        there = await asyncio.to_thread(_exists, outputs)
        return outputs if there else None

    async def update(self, context: Context, identifier: str, old: DatasetOutputs, new: DatasetInputs) -> DatasetOutputs:
        """Another snapshot; the old one stays, for runs and models name it."""
        return await _made(context, new, old)

    async def delete(self, context: Context, identifier: str, outputs: DatasetOutputs) -> None:
        """Nothing: snapshots are immutable and named by their content, and what was trained from one still names it."""


def _identity(inputs: DatasetInputs) -> str:
    parts: dict[str, Any] = {"code": inputs.code.digest, "entry_point": inputs.entry_point, "parameters": inputs.parameters}
    if task := _task(inputs):
        parts["task"] = task
    if inputs.data_schema is not None:
        parts["schema"] = _expected(inputs.data_schema)
    if inputs.ingestion is not None:
        parts |= {"ingestion": ingestions.normal(inputs.ingestion), "found": inputs.found}
    return ray_work.digest_of({"name": inputs.name, **parts})


def _task(inputs: DatasetInputs) -> dict[str, Any] | None:
    return inputs.problem.task_identity if inputs.problem is not None else None


def _expected(text: str | None) -> str | None:
    """What a schema says, however it is written; its text where it is none, which `mistakes` tells."""
    if text is None:
        return None
    from heliostat.data.schema import SchemaError, read  # brings numpy, which the plugin does without elsewhere

    try:
        return read(text).digest
    except SchemaError:
        return text


def _schema_mistakes(given: Mapping[str, Any]) -> list[Failure]:
    text = given.get("dataSchema")
    if not isinstance(text, str):
        return []
    from heliostat.data.schema import SchemaError, read

    try:
        read(text)
    except SchemaError as error:
        return [Failure("dataSchema", str(error))]
    return []


def _result_key(inputs: DatasetInputs) -> str:
    return f"datasets/{inputs.name}/made/{_identity(inputs)}.json"


def _manifest(inputs: DatasetInputs) -> dict[str, Any] | None:
    """The manifest of the snapshot that these inputs made, where it is still whole."""
    store = open_store(inputs.store)
    try:
        manifest: dict[str, Any] = json.loads(store.get(_result_key(inputs)))
    except ObjectMissingError:
        return None
    return manifest if _is_whole(store, inputs.name, manifest["digest"]) else None


def _exists(outputs: DatasetOutputs) -> bool:
    return _is_whole(open_store(outputs.store), outputs.name, outputs.address.digest)


def _is_whole(store: ObjectStore, name: str, digest: str) -> bool:
    """Whether a snapshot is there; the manifest of one that a person's rows were deleted from names its successor."""
    try:
        return "erased" not in json.loads(store.get(f"datasets/{name}/{digest}/manifest.json"))
    except ObjectMissingError:
        return False


async def _made(context: Context, inputs: DatasetInputs, old: DatasetOutputs | None) -> DatasetOutputs:
    manifest = await asyncio.to_thread(_manifest, inputs)
    if manifest is None:
        await ray_work.run(_work(inputs, old), context)
        manifest = await asyncio.to_thread(_manifest, inputs)
    if manifest is None:
        raise RuntimeError(f"the snapshot job of {inputs.name} succeeded and left no manifest")
    for note in manifest["notes"]:
        context.info(f"{inputs.name}: {note}")
    for finding in manifest.get("made", {}).get("findings", ()):
        context.warn(f"{inputs.name}: {finding['split']}: {finding['text']}; no model is given the column, so nothing stops")
    return DatasetOutputs(
        **{name: getattr(inputs, name) for name in DatasetInputs.model_fields},
        address=DatasetAddress(uri=manifest["uri"], digest=manifest["digest"]),
        rows=manifest["rows"],
        statistics_uri=manifest["statisticsUri"],
        schema_uri=manifest["schemaUri"],
    )


def _work(inputs: DatasetInputs, old: DatasetOutputs | None) -> ray_work.Work:
    specification = SnapshotSpecification(
        name=inputs.name,
        entry_point=inputs.entry_point,
        parameters=inputs.parameters,
        task=inputs.problem.task if inputs.problem is not None else None,
        identity=_identity(inputs),
        code_digest=inputs.code.digest,
        data_schema=inputs.data_schema,
        ingestion=inputs.ingestion,
        previous=f"datasets/{old.name}/{old.address.digest}" if old is not None else None,
        store=inputs.store,
        result_key=_result_key(inputs),
    )
    return ray_work.Work(
        what=f"the snapshot of {inputs.name}",
        module="heliostat.jobs.snapshot",
        base=f"snapshot-{inputs.name}-{_identity(inputs)[:12]}",
        specification=lambda submission_id: specification,
        code=inputs.code,
        store=inputs.store,
        ray=inputs.ray,
    )


def _same(old: DatasetInputs, new: DatasetInputs) -> frozenset[str]:
    same = {"ray"}
    if _task(old) == _task(new):
        same.add("problem")  # metrics of the workload's own are nothing to a snapshot
    if old.code.digest == new.code.digest:
        same.add("code")
    if _expected(old.data_schema) == _expected(new.data_schema):
        same.add("data_schema")
    if ingestions.normal(old.ingestion) == ingestions.normal(new.ingestion):
        same.add("ingestion")
    return frozenset(same)


def _why(old: DatasetOutputs | None, new: DatasetInputs) -> str:
    if old is None:
        return ""
    changes = [
        f"{name} {old.parameters.get(name)} -> {new.parameters.get(name)}"
        for name in sorted(old.parameters.keys() | new.parameters.keys())
        if old.parameters.get(name) != new.parameters.get(name)
    ]
    if old.code.digest != new.code.digest:
        changes.insert(0, "its code changed")
    if _task(old) != _task(new):
        changes.append("its task changed")
    if _expected(old.data_schema) != _expected(new.data_schema):
        changes.append("what is expected of it changed")
    changes += ingestions.changes(old, new)
    return f": {', '.join(changes)}" if changes else ""
