"""Dataset: an immutable snapshot, made by a job on the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from heliostat.provider import ingestions, inspecting, ray_work
from heliostat.provider.resource import Context, Created, Failure, Handler
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.inspection import Asked, InspectionTask, Role
from heliostat.spec.jobs import SnapshotSpecification, WholeSnapshot
from heliostat.spec.snapshot_settings import sample_text
from heliostat.spec.training_resources import DatasetAddress, DatasetInputs, DatasetOutputs
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store
from heliostat.systems.references import is_whole, known_manifest, open_origin, refer


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
        told = [*_schema_mistakes(given), *await _transformation_mistakes(given), *ingestions.mistakes(given)]
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
        if found := await asyncio.to_thread(_elsewhere, new):
            context.info(f"will take the snapshot {found['digest'][:12]} of {new.name} in {_origin(new).uri} by reference")
            return
        taken = f"{sample_text(new.sample)} as the snapshot" if new.sample is not None else "a snapshot"
        context.info(f"will make {taken} of {new.name}{_why(old, new)}")

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


def _identity(inputs: DatasetInputs, *, whole: bool = False) -> str:
    """What decides about the rows; of a sample that of the `whole` that it is taken of, where that is asked for."""
    parts: dict[str, Any] = {"code": inputs.code.digest, "entry_point": inputs.entry_point, "parameters": inputs.parameters}
    if task := _task(inputs):
        parts["task"] = task
    if inputs.data_schema is not None:
        parts["schema"] = _expected(inputs.data_schema)
    if inputs.ingestion is not None:
        parts |= {"ingestion": ingestions.normal(inputs.ingestion), "found": inputs.found}
    if inputs.sample is not None and not whole:
        parts["sample"] = inputs.sample
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


async def _transformation_mistakes(given: Mapping[str, Any]) -> list[Failure]:
    """What is wrong with the function that the schema has make what a model is given."""
    text = given.get("dataSchema")
    if not isinstance(text, str) or _schema_mistakes(given):
        return []
    from heliostat.data.schema import read

    if (expected := read(text).transformed) is None:
        return []
    told = await inspecting.of_entry_point({**given, "by": expected.by}, Role.TRANSFORMATION, "by")
    return [Failure("dataSchema", f"transformed.by: {each.reason}") for each in told]


def _result_key(inputs: DatasetInputs, *, whole: bool = False) -> str:
    return f"datasets/{inputs.name}/made/{_identity(inputs, whole=whole)}.json"


def _manifest(inputs: DatasetInputs) -> dict[str, Any] | None:
    """The manifest of the snapshot that these inputs made, where it is still whole."""
    return known_manifest(open_store(inputs.store), _result_key(inputs), inputs.name)


def _elsewhere(inputs: DatasetInputs) -> dict[str, Any] | None:
    """The manifest of the same snapshot in the store that snapshots are taken from by reference; None where it has none.

    Raises:
        PermanentError: that store cannot be read.
    """
    if inputs.origin is None or inputs.origin.uri == inputs.store.uri:
        return None
    try:
        return known_manifest(open_origin(inputs.origin), _result_key(inputs), inputs.name)
    except PermanentError as error:
        raise PermanentError(
            f"the snapshots of {inputs.name} in {inputs.origin.uri} cannot be read: {error}; let whoever brings this stack up "
            "read there, or leave `snapshots.stack` out of its config"
        ) from error


def _origin(inputs: DatasetInputs) -> StoreAddress:
    return inputs.origin or inputs.store


def _whole(inputs: DatasetInputs) -> WholeSnapshot | None:
    """The snapshot that a sample is taken of, here or elsewhere; None where nobody made it: the data function is called."""
    if inputs.sample is None:
        return None
    key = _result_key(inputs, whole=True)
    for store in (inputs.store, *([inputs.origin] if inputs.origin else [])):
        if known := known_manifest(open_origin(store), key, inputs.name):
            digest = str(known["digest"])
            return WholeSnapshot(key=f"datasets/{inputs.name}/{digest}", digest=digest, store=store)
    return None


def _exists(outputs: DatasetOutputs) -> bool:
    return is_whole(open_store(outputs.store), outputs.name, outputs.address.digest)


def _taken(inputs: DatasetInputs) -> dict[str, Any] | None:
    """The manifest of a snapshot that is there already, here or by reference from now on."""
    if (known := _manifest(inputs)) is not None:
        return known
    found = _elsewhere(inputs)
    return refer(open_store(inputs.store), _origin(inputs), _result_key(inputs), found) if found is not None else None


async def _made(context: Context, inputs: DatasetInputs, old: DatasetOutputs | None) -> DatasetOutputs:
    manifest = await asyncio.to_thread(_taken, inputs)
    if manifest is None:
        personal = await _personal(inputs)
        await ray_work.run(await asyncio.to_thread(_work, inputs, old, personal), context)
        manifest = await asyncio.to_thread(_manifest, inputs)
    if manifest is None:
        raise RuntimeError(f"the snapshot job of {inputs.name} succeeded and left no manifest")
    if inputs.sample is not None:
        context.warn(f"{inputs.name}: {sample_text(inputs.sample)} is taken, and every figure is of that")
    if "origin" in manifest:
        context.info(f"{inputs.name}: the snapshot {manifest['digest'][:12]} is read in {manifest['origin']['uri']}")
    for note in manifest["notes"]:
        context.info(f"{inputs.name}: {note}")
    for finding in manifest.get("made", {}).get("findings", ()):
        context.warn(f"{inputs.name}: {finding['split']}: {finding['text']}; no model is given the column, so nothing stops")
    return DatasetOutputs(
        **{name: getattr(inputs, name) for name in DatasetInputs.model_fields},
        address=DatasetAddress(uri=manifest["uri"], digest=manifest["digest"], sample=inputs.sample),
        rows=manifest["rows"],
        statistics_uri=manifest["statisticsUri"],
        schema_uri=manifest["schemaUri"],
    )


async def _personal(inputs: DatasetInputs) -> tuple[str, ...]:
    """The columns that the workload's contract marks as personal."""
    if (contract := inputs.contract) is None:
        return ()
    asked = Asked(entry_point=contract.entry_point, role=Role.CONTRACT)
    return (await inspecting.inspect(contract.code, InspectionTask(asked=(asked,)))).personal


def _work(inputs: DatasetInputs, old: DatasetOutputs | None, personal: tuple[str, ...]) -> ray_work.Work:
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
        sample=inputs.sample,
        whole=_whole(inputs),
        personal=personal,
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
    # Where a snapshot may be taken from, and what is asked of a contract, tell nothing of its content.
    same = {"ray", "origin", "contract"}
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
    if old.sample != new.sample:
        changes.append(f"now {sample_text(new.sample)}" if new.sample is not None else "now all of its rows")
    changes += ingestions.changes(old, new)
    return f": {', '.join(changes)}" if changes else ""
