"""What a version of a model of others is held against: its own first answers, as the prediction log has them."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heliostat.data.profiling import DRIFT, profile
from heliostat.jobs.monitoring.log import PREDICTION, day_of, files, there, typed, types_of
from heliostat.jobs.monitoring.personal import PersonalInputs
from heliostat.monitoring.drifting import predictions_table
from heliostat.monitoring.hashing import hashes
from heliostat.monitoring.logged import Reading, predictions_of, read, says_version
from heliostat.monitoring.reference import Reference, ReferenceAbout, watched_inputs
from heliostat.monitoring.sampling import Labelled
from heliostat.monitoring.state import number_of
from heliostat.spec.monitoring import MonitorSpecification
from heliostat.systems.objects import ObjectInfo, ObjectStore

USUAL_ROWS: Final = 10_000
_SPARE: Final = 4
"""Times as many rows as are wanted are held before the latest of them are let go."""


def reference_of_answers(
    specification: MonitorSpecification, store: ObjectStore, inputs: tuple[str, ...], kept: tuple[str, ...],
    personal: PersonalInputs, digest: str, now: datetime,
) -> Reference:  # fmt: skip
    """The version's first answers as a reference; one that says what it waits for where there are too few.

    Args:
        specification: What is watched.
        store: Where the log is.
        inputs: The contract's.
        kept: Those that are kept beside predictions, as slices are by them.
        personal: What of the inputs is personal.
        digest: Of all that decides it.
        now: The time that it is.
    """
    monitor, task = specification.monitor, specification.problem.task
    wanted = monitor.reference_rows or USUAL_ROWS
    rows = _first(specification, store, inputs, wanted, now)
    about = ReferenceAbout(digest=digest, model_uri=specification.model_uri, since=now, trained_rows=0, rows=rows.num_rows)
    if rows.num_rows < wanted:
        version = number_of(specification.model_uri)
        told = f"version {version} has answered {rows.num_rows:,} of the {wanted:,} rows that later ones are "
        awaited = hashlib.sha256(f"{digest} is awaited".encode()).hexdigest()
        waiting = about.model_copy(update={"digest": awaited, "awaited": told + "held against"})
        return Reference(waiting, _labelled(rows.slice(0, 0), specification, kept), None, None)
    drifting, watched = monitor.drift, monitor.prediction_drift is not None
    there = watched_inputs(rows.schema, inputs, drifting) if drifting is not None else ()
    asked_for = drifting.columns if drifting is not None else ()
    columns = personal.kept(there, asked_for)
    left = [name for name in inputs if drifting is not None and name not in there and not asked_for]
    problems = [f"drift of {', '.join(left)} is not watched: times go on, or the log has no such column"] if left else []
    problems += personal.problems(there, asked_for)
    return Reference(
        about.model_copy(update={"problems": tuple(problems), "columns": columns if drifting is not None else None}),
        _labelled(rows, specification, kept),
        profile(rows.select(list(columns)), DRIFT) if drifting is not None else None,
        profile(predictions_table(rows[PREDICTION], task), DRIFT) if watched else None,
    )


def _labelled(rows: pa.Table, specification: MonitorSpecification, kept: tuple[str, ...]) -> Labelled:
    """The answers, none of which has a label: it may come much later, and a reference is as it is."""
    predictions = predictions_of(rows[PREDICTION], specification.problem.task)
    columns = {name: rows[name].combine_chunks() for name in kept if name in rows.column_names}
    return Labelled(np.full(rows.num_rows, np.nan), predictions, hashes(rows["request_id"]), columns)


def _first(
    specification: MonitorSpecification, store: ObjectStore, inputs: tuple[str, ...], wanted: int, now: datetime
) -> pa.Table:
    """The version's first rows, in the order of their times: whole days are read until there are enough."""
    objects = there(store, specification.name, now, timedelta(seconds=specification.monitor.labels_within_seconds))
    named = [(f"prediction_{specification.monitor.field}", PREDICTION), *((f"input_{name}", name) for name in inputs)]
    types = types_of(store, objects.predictions, named)
    found: list[pa.Table] = []
    held = 0
    with tempfile.TemporaryDirectory(prefix="heliostat-first-") as folder:
        for _, infos in groupby(sorted(objects.predictions, key=lambda info: info.key), key=lambda info: day_of(info.key)):
            for part in _of_version(specification, store, [*infos], named, types, Path(folder)):
                found.append(part)
                held += part.num_rows
                if held > _SPARE * wanted:
                    found = [_earliest(found, wanted)]
                    held = found[0].num_rows
            if held >= wanted:
                break
    if not found:
        empty = {"request_id": pa.array([], pa.string()), PREDICTION: pa.array([], pa.float64())}
        return pa.table(empty | {name: pa.array([], types.get(name, pa.float64())) for name in inputs})
    return _earliest(found, wanted)


def _of_version(
    specification: MonitorSpecification, store: ObjectStore, infos: Sequence[ObjectInfo], named: Sequence[tuple[str, str]],
    types: dict[str, pa.DataType], folder: Path,
) -> Iterator[pa.Table]:  # fmt: skip
    reading = Reading()
    for table in read(files(store, infos, folder), named, reading):
        own = pa.array(says_version(table["version"], number_of(specification.model_uri)))
        rows = typed(table.filter(pc.and_(own, pc.is_valid(table["time"]))), types, reading)
        if rows.num_rows:
            yield rows


def _earliest(parts: Sequence[pa.Table], most: int) -> pa.Table:
    rows = pa.concat_tables(parts, promote_options="permissive")
    return rows.sort_by([("time", "ascending"), ("request_id", "ascending"), ("row", "ascending")]).slice(0, most)
