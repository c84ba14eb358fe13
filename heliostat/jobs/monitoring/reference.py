"""Makes what a version is held against, once for each version, from the snapshot that it was trained and tested on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from heliostat.data import arrow_files, storage
from heliostat.data.columns import reads_as_number
from heliostat.data.profiles import Profile
from heliostat.data.profiling import DRIFT, ProfileBuilder, profile
from heliostat.jobs.monitoring.first_answers import USUAL_ROWS, reference_of_answers
from heliostat.jobs.monitoring.model import Answers
from heliostat.jobs.monitoring.personal import PersonalInputs
from heliostat.jobs.specification import progress
from heliostat.ml.datasets import Snapshot
from heliostat.ml.tasks.evaluation import Evaluation
from heliostat.monitoring.drifting import predictions_table
from heliostat.monitoring.fitting import needs_answers
from heliostat.monitoring.logged import predictions_of
from heliostat.monitoring.reference import (
    Reference,
    ReferenceAbout,
    labelled_of,
    learned_from,
    to_table,
    watched_inputs,
)
from heliostat.monitoring.sampling import Labelled, Sample
from heliostat.monitoring.windows import by_window, from_micros, micros, numbers_of
from heliostat.spec.monitoring import MonitorSpecification, reference_top, references
from heliostat.spec.watches import CalendarWindows
from heliostat.systems.erasures import erasures
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.objects import ObjectMissingError, ObjectStore

_MOST_TEST_ROWS: Final = 200_000
_VERSION: Final = 3
"""Of the form; another one is made anew."""


def digest_of(specification: MonitorSpecification) -> str:
    """Of all that decides a reference."""
    monitor = specification.monitor
    first = {"first": monitor.reference_rows or USUAL_ROWS} if specification.dataset_digest is None else {}
    parts = first | {
        "version": _VERSION,
        "model": specification.model_uri,
        "data": specification.dataset_digest,
        "contract": specification.contract,
        "code": specification.code_digest,
        "problem": specification.problem.model_dump(mode="json"),
        "field": monitor.field,
        "windows": monitor.windows.model_dump(mode="json"),
        "columns": sorted(_named_columns(specification)),
        "features": bool(monitor.estimate),
        "drift": monitor.drift.model_dump(mode="json") if monitor.drift else None,
        "predictions": monitor.prediction_drift is not None,
        "newest": monitor.recency.training_data_column if monitor.recency else None,
    }
    if specification.privacy is not None:
        parts["keys"] = [key.id for key in specification.privacy.keys[:1]]  # a newer key makes other hashes
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def reference_of(specification: MonitorSpecification, store: ObjectStore, answering: Answers, now: datetime) -> Reference:
    """The reference of a version: as it is kept, or made now.

    Raises:
        PermanentError: it cannot be made, with the reason.
    """
    digest = digest_of(specification)
    top = reference_top(specification.name, digest)
    kept = _kept(specification, store, top)
    if kept is not None:
        return kept
    progress(f"making the reference of {specification.model_uri}")
    before = erasures(store)
    if specification.dataset_digest is None:
        personal = PersonalInputs.of_log(answering.described.columns)
        columns = _kept_columns(specification, answering.inputs, personal)
        found = reference_of_answers(specification, store, answering.inputs, columns, personal, digest, now)
    else:
        personal = PersonalInputs.of(answering.described.columns, specification.privacy)
        found = _made(specification, answering, personal, digest, now)
    if before.under_way:
        progress("the reference is not kept: a person's rows are being deleted (`heliostat erasure list`)")
    elif not found.about.awaited:
        _keep(store, top, found)
        if erasures(store) != before:
            _forget(store, top)
            raise RetryableError("a person's rows were deleted while a reference was made of them: look again")
        _forget_superseded(store, specification, digest)
    return found


def _kept(specification: MonitorSpecification, store: ObjectStore, top: str) -> Reference | None:
    """The reference as it is kept; None where there is none, or what is there is of another form or of other columns."""
    monitor = specification.monitor
    try:
        about = ReferenceAbout.model_validate_json(store.get(f"{top}about.json"))
        labelled = labelled_of(arrow_files.from_file(store.get(f"{top}labelled.arrow")))
        inputs = _read_profile(store, f"{top}inputs.arrow") if monitor.drift else None
        predictions = _read_profile(store, f"{top}predictions.arrow") if monitor.prediction_drift else None
    except ObjectMissingError:
        return None
    except (storage.ProfileFormatError, arrow_files.DamagedFileError, ValidationError, KeyError) as error:
        progress(f"the reference at {store.uri(top)} cannot be read, and is made anew: {' '.join(str(error).split())[:200]}")
        return None
    if inputs is not None and about.columns is not None and sorted(inputs.columns) != sorted(about.columns):
        progress(f"the reference at {store.uri(top)} has other columns than were watched, and is made anew")
        return None
    return Reference(about, labelled, inputs, predictions)


def _read_profile(store: ObjectStore, key: str) -> Profile:
    return storage.from_bytes(store.get(key))


def _keep(store: ObjectStore, top: str, found: Reference) -> None:
    store.put(f"{top}labelled.arrow", arrow_files.to_file(to_table(found.labelled)))
    for name, each in (("inputs", found.inputs), ("predictions", found.predictions)):
        if each is not None:
            store.put(f"{top}{name}.arrow", storage.to_bytes(each))
    store.put(f"{top}about.json", found.about.model_dump_json(indent=2).encode())


def _forget(store: ObjectStore, top: str) -> None:
    """Remove a reference; what says what it is goes last."""
    for info in sorted(store.list(top), key=lambda info: info.key == f"{top}about.json"):
        store.delete(info.key)


def _forget_superseded(store: ObjectStore, specification: MonitorSpecification, digest: str) -> None:
    """Remove what else was kept of the version: of other data, or by another declaration. An earlier release kept personal
    inputs in clear. First answers stay: the log may not have them any more."""
    if specification.dataset_digest is None:
        return
    for info in list(store.list(references(specification.name))):
        top, _, name = info.key.rpartition("/")
        if name != "about.json" or top.endswith(digest):
            continue
        try:
            about = ReferenceAbout.model_validate_json(store.get(info.key))
        except (ObjectMissingError, ValidationError):
            continue
        if about.model_uri == specification.model_uri and about.dataset_digest is not None:
            _forget(store, f"{top}/")


def _made(
    specification: MonitorSpecification, answering: Answers, personal: PersonalInputs, digest: str, now: datetime
) -> Reference:
    snapshot = Snapshot(specification.dataset_key, specification.store)
    manifest = snapshot.manifest()
    inputs, learned, newest, problems = _of_training(specification, snapshot, answering, personal)
    labelled, predictions = _of_test(specification, snapshot, answering, personal, manifest["label"])
    about = ReferenceAbout(
        digest=digest,
        model_uri=specification.model_uri,
        dataset_digest=specification.dataset_digest,
        since=now,
        trained_rows=int(manifest["rows"]["train"]),
        columns=tuple(inputs.columns) if inputs is not None else None,
        newest_row=newest,
        rows=len(labelled),
        learned=learned,
        problems=tuple(problems),
    )
    return Reference(about, labelled, inputs, predictions)


def _of_training(
    specification: MonitorSpecification, snapshot: Snapshot, answering: Answers, personal: PersonalInputs
) -> tuple[Profile | None, dict[str, float], datetime | None, list[str]]:
    """The profile of the inputs, how seasons differ, the newest time, and what cannot be watched."""
    monitor = specification.monitor
    watch, recency = monitor.drift, monitor.recency
    newest_column = recency.training_data_column if recency is not None else None
    if watch is None and newest_column is None:
        return None, {}, None, []
    schema = next(snapshot.batches("test")).schema
    _require(schema, "monitor.recency.trainingDataColumn", newest_column)
    season = watch.season if watch is not None else None
    _require(schema, "monitor.drift.season", season)
    found = watched_inputs(schema, answering.inputs, watch) if watch is not None else ()
    inputs = personal.kept(found, watch.columns if watch is not None else ())
    wanted = tuple(dict.fromkeys([*inputs, *filter(None, (season, newest_column))]))
    builders: dict[int, ProfileBuilder] = {}
    newest: int | None = None
    for batch in snapshot.batches("train", wanted):
        if newest_column is not None:
            times, there = micros(batch[newest_column])
            newest = max([each for each in (newest, int(times[there].max()) if there.any() else None) if each is not None])
        for number, rows in _by_season(specification, batch, season) if watch is not None else ():
            builders.setdefault(number, ProfileBuilder(DRIFT)).add(personal.treated(rows.select(list(inputs))))
    problems = [] if watch is None else _lacking(schema, answering.inputs, watch.columns, found)
    problems += personal.problems(found, watch.columns) if watch is not None else ()
    profiles = [builder.profile() for _, builder in sorted(builders.items())]
    learned = learned_from(watch, profiles) if watch is not None and season is not None else {}
    merged = Profile.merged(profiles) if profiles else None
    return merged, learned, from_micros(newest) if newest is not None else None, problems


def _by_season(specification: MonitorSpecification, batch: pa.Table, season: str | None) -> Iterator[tuple[int, pa.Table]]:
    windows = specification.monitor.windows
    if season is None or not isinstance(windows, CalendarWindows):
        yield 0, batch
        return
    times, there = micros(batch[season])
    yield from by_window(batch, np.where(there, numbers_of(times, windows.every), 0))


def _require(schema: pa.Schema, path: str, column: str | None) -> None:
    if column is None:
        return
    if column not in schema.names:
        raise PermanentError(f"{path}: the training data have no column {column!r}; they have {', '.join(schema.names)}")
    if not pa.types.is_temporal(schema.field(column).type):
        raise PermanentError(f"{path}: the column {column!r} is {schema.field(column).type}: it must be times")


def _lacking(schema: pa.Schema, inputs: tuple[str, ...], named: tuple[str, ...], watched: tuple[str, ...]) -> list[str]:
    times = [n for n in inputs if n in schema.names and n not in watched and not named]
    absent = [name for name in named or inputs if name not in schema.names]
    told = [f"drift of {', '.join(times)} is not watched: times go on"] if times else []
    told += [f"drift of {', '.join(absent)} cannot be watched: the training data do not have it"] if absent else []
    return told


def _of_test(
    specification: MonitorSpecification, snapshot: Snapshot, answering: Answers, personal: PersonalInputs, label: str
) -> tuple[Labelled, Profile | None]:
    """Predictions of the test split with their labels, and their profile; of a large one an even share of the rows."""
    if specification.monitor.field not in answering.described.answer and not needs_answers(specification.monitor):
        return Sample(specification.problem.task).labelled(), None  # another contract's, of whose answers nothing is watched
    table = _even_share(snapshot, _MOST_TEST_ROWS)
    labels: Any = np.asarray(Evaluation(specification.problem, table, label).truth.labels)
    if labels.ndim != 1 or labels.dtype.kind not in "fiub":  # ones that are no numbers are held against nothing
        labels = np.full(table.num_rows, np.nan)
    answers = answering.answers(table)
    predictions = predictions_of(answers, specification.problem.task)
    there = [name for name in _kept_columns(specification, answering.inputs, personal) if name in table.column_names]
    kept_inputs = personal.treated(table.select(there))
    columns = {name: _plain(kept_inputs[name].combine_chunks()) for name in there}
    requests = np.arange(table.num_rows, dtype=np.uint64)
    found = Labelled(np.asarray(labels, dtype=np.float64), predictions, requests, columns)
    finite = np.asarray(np.isfinite(predictions.reshape(len(predictions), -1)).all(axis=1), dtype=bool)
    watched = specification.monitor.prediction_drift is not None
    kept = profile(predictions_table(answers, specification.problem.task), DRIFT) if watched else None
    return found.part(finite), kept


def _even_share(snapshot: Snapshot, most: int) -> pa.Table:
    """The rows of the test split, or so many of them, drawn evenly; memory holds these and a batch of it."""
    rows = int(snapshot.manifest()["rows"]["test"])
    if rows <= most:
        return snapshot.table("test")
    chosen = np.sort(np.random.default_rng(0).choice(rows, most, replace=False))
    parts, first = [], 0
    for batch in snapshot.batches("test"):
        here = chosen[np.searchsorted(chosen, first) : np.searchsorted(chosen, first + batch.num_rows)]
        parts.append(batch.take(pa.array(here - first)))
        first += batch.num_rows
    return pa.concat_tables(parts)


def _named_columns(specification: MonitorSpecification) -> tuple[str, ...]:
    """The columns that slices and groups of people are by, and that a ranking groups by."""
    task = specification.problem.task
    slices = [column for watch in specification.monitor.quality for column in watch.slices]
    groups = [watch.column for watch in specification.monitor.fairness]
    return (*slices, *groups, *(task.columns_needed if task is not None else ()))


def _kept_columns(specification: MonitorSpecification, inputs: tuple[str, ...], personal: PersonalInputs) -> tuple[str, ...]:
    """The columns that are kept beside predictions: those that are named and, where numbers are estimated, all inputs."""
    named = _named_columns(specification)
    return tuple(dict.fromkeys(personal.kept([*named, *(inputs if specification.monitor.estimate else ())], named)))


def features_of(reference: Reference) -> tuple[str, ...]:
    """The inputs that errors of numbers are estimated by: numbers, texts and yes and no."""
    return tuple(
        name
        for name, column in reference.labelled.columns.items()
        if reads_as_number(column.type) or pa.types.is_string(column.type)
    )


def _plain(column: pa.Array) -> pa.Array:
    """A column as the log has it: texts without a dictionary, yes and no as they are."""
    return pc.cast(column, column.type.value_type) if pa.types.is_dictionary(column.type) else column
