"""Makes a data set's snapshot. Run by the provider's Dataset as a Ray job."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import heliostat
from heliostat.data.profiles import Profile
from heliostat.data.schema import SchemaError, read
from heliostat.data.storage import ProfileFormatError, from_bytes
from heliostat.jobs.people_erased import NobodyErased
from heliostat.jobs.personal_texts import PersonalTexts
from heliostat.jobs.sample_of import rows_of
from heliostat.jobs.specification import progress, run
from heliostat.ml import datasets
from heliostat.ml.snapshots.holding import Held, SplitFinding, hold
from heliostat.ml.snapshots.splits import Split
from heliostat.spec.data_sets import Making, prefix_of
from heliostat.spec.jobs import SnapshotSpecification
from heliostat.spec.readings import Reading
from heliostat.spec.snapshot_settings import sample_text
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectMissingError, ObjectStore, open_store


def snapshot(specification: SnapshotSpecification) -> None:
    """Call the workload's data function and keep what it returns, or a sample of it, with how it was made.

    What is told of a failure quotes no value of a column that the workload's contract marks as personal.
    """
    personal = PersonalTexts(specification.personal)
    try:
        _made(specification, personal)
    except Exception as error:
        if (told := personal.told(error)) is error:
            raise
        raise told from None


def _made(specification: SnapshotSpecification, personal: PersonalTexts) -> None:
    store = open_store(specification.store)
    nobody_erased = NobodyErased(store, specification.name)
    found = rows_of(specification, progress, personal.know)
    if isinstance(found.data, datasets.Tables):
        personal.know(*(table for _, table in found.data))
    data = found.data
    told: list[SplitFinding] = []

    def held(splits: Mapping[str, Split]) -> None:
        told.extend(_held(specification, store, splits, data.label, personal, nobody_erased))
        found.require_current()
        nobody_erased.require()

    more: dict[str, Any] = {"sample": specification.sample} if specification.sample is not None else {}
    if specification.personal:
        more["personal"] = list(specification.personal)
    try:
        manifest = datasets.save(data, specification.name, store, progress, specification.task, held, more)
    except PermanentError as error:
        if specification.sample is None:
            raise
        raise PermanentError(f"{sample_text(specification.sample)} of {specification.name}: {error}") from None
    nobody_erased.require_of(manifest["digest"])
    made = _making(specification, data, told, found.reading)
    datasets.put_json(store, specification.result_key, {**manifest, **({"made": made} if made else {})})
    found.done()


def _held(
    specification: SnapshotSpecification, store: ObjectStore, splits: Mapping[str, Split], label: str,
    personal: PersonalTexts, nobody_erased: NobodyErased,
) -> tuple[SplitFinding, ...]:  # fmt: skip
    """Hold the splits to the workload's schema, where there is one; what fails and stops nothing.

    Raises:
        PermanentError: something that a model would learn from is not as expected; with everything that is not.
        RetryableError: that tells of rows of a person who was deleted since they were read.
    """
    if specification.data_schema is None:
        return ()
    progress("holding the data to the schema")
    try:
        schema = read(specification.data_schema)
    except SchemaError as error:
        raise PermanentError(str(error)) from None
    found = personal.discreet(hold(schema, splits, label, lambda: _reference(specification, store)), splits)
    if not found.holds:
        raise PermanentError(_refused(specification, store, found, nobody_erased))
    return found.others


def _reference(specification: SnapshotSpecification, store: ObjectStore) -> Profile | None:
    """The profile of the train split of the snapshot before this one; None where there is none, or it has none."""
    if specification.previous is None:
        return None
    key = f"{specification.previous}/profiles/train.arrow"
    try:
        return from_bytes(store.get(key))
    except ObjectMissingError:
        return None
    except ProfileFormatError as error:
        reason = f"the profile {store.uri(key)}, which drift is measured against, cannot be read: {error}"
        raise PermanentError(f"{reason}; delete the object, then nothing is held against it") from None


def _refused(specification: SnapshotSpecification, store: ObjectStore, found: Held, nobody_erased: NobodyErased) -> str:
    """Keep why the data is refused, with the rows; what is told of it."""
    key = f"{prefix_of(specification.name)}refused/{specification.identity}.json"
    report: dict[str, Any] = {
        "name": specification.name,
        "at": time.time(),
        "entryPoint": specification.entry_point,
        "parameters": specification.parameters,
        "findings": [each.as_json() for each in found.stopping],
        "leaks": [
            {"kind": leak.kind, "columns": leak.columns, "text": leak.text, "value": leak.value} for leak in found.leaks
        ],
        "stoppingNothing": [each.as_json() for each in found.others],
    }
    datasets.put_json(store, key, report)
    nobody_erased.require_of_object(key)
    return "\n  ".join(
        [
            f"the data of {specification.name} is not as its schema.yaml expects, and nothing is trained on it:",
            *found.texts,
            f"the rows are in {store.uri(key)}. Mend the data, or change the schema where it no longer holds",
        ]
    )


def _making(
    specification: SnapshotSpecification,
    data: datasets.Tables | datasets.Parts,
    told: list[SplitFinding],
    reading: Reading | None,
) -> dict[str, Any] | None:
    """How the snapshot was made; None where the job was asked for by a release that kept nothing of it."""
    if specification.identity is None or specification.code_digest is None:
        return None
    made = Making(
        identity=specification.identity,
        at=time.time(),
        entry_point=specification.entry_point,
        code_digest=specification.code_digest,
        parameters=specification.parameters,
        library=heliostat.__version__,
        sources=tuple(data.sources),
        parents=tuple(dict.fromkeys(data.parents)),
        schema_digest=read(specification.data_schema).digest if specification.data_schema is not None else "",
        findings=tuple(each.as_json() for each in told),
        reading=reading,
    )
    return made.model_dump(mode="json")


if __name__ == "__main__":
    run(SnapshotSpecification, snapshot)
