"""What a workload's data function returns: of its parameters alone, or of rows that are ingested for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
from pydantic import ValidationError

from heliostat.data.ingestion import Counted, Ingestion, newest, prepared, require_rows, split
from heliostat.data.late_rows import late
from heliostat.jobs.ingested_rows import Ingested, labels_of
from heliostat.ml.contracts import load_entry_point
from heliostat.ml.datasets import Parts, Tables
from heliostat.spec.data_sets import DataSource
from heliostat.spec.jobs import SnapshotSpecification
from heliostat.spec.readings import Reading
from heliostat.systems.errors import PermanentError

Know = Callable[..., None]
"""Is called with tables of which an error may tell from then on."""


@dataclass(frozen=True)
class Made:
    """The data, and what is to be done once they are kept."""

    data: Tables | Parts
    done: Callable[[], None] = lambda: None
    require_current: Callable[[], None] = lambda: None
    """Called before they are kept."""
    reading: Reading | None = None
    """How far the source was read."""


def data_of(specification: SnapshotSpecification, tell: Callable[[str], None], know: Know = lambda *tables: None) -> Made:
    """Call the workload's data function.

    Raises:
        PermanentError: it returned something else, or what it is given cannot be had.
    """
    tell("reading the data")
    function = load_entry_point(specification.entry_point)
    if specification.ingestion is None:
        return Made(
            _checked(
                function(specification.parameters), specification, (Tables, Parts), "Tables or Parts of heliostat.ml.datasets"
            )
        )
    try:
        ingestion = Ingestion.model_validate(specification.ingestion)
    except ValidationError as error:
        raise PermanentError(f"the ingestion of {specification.name}: {error}") from None
    with _told_of(specification):
        ingested = Ingested(specification.name, ingestion, specification.store, tell)
        rows, told, counted, read = _rows(ingestion, ingested, specification, know)
    tell(f"{rows.num_rows:,} rows are ingested")
    made = _checked(
        function(specification.parameters, rows), specification, (pa.Table, Tables, Parts), "a pyarrow.Table, or Tables"
    )
    with _told_of(specification):
        found = _settled(made, specification, ingestion, ingested, told, counted)
    return replace(found, reading=ingested.reading(read, counted.later))


@contextmanager
def _told_of(specification: SnapshotSpecification) -> Iterator[None]:
    """Say of which ingestion an error is; not of those of the workload's own function, which come with their lines."""
    try:
        yield
    except ValueError as error:
        raise PermanentError(f"the ingestion of {specification.name}: {error}") from error


def _rows(
    ingestion: Ingestion, ingested: Ingested, specification: SnapshotSpecification, know: Know
) -> tuple[pa.Table, tuple[DataSource, ...], Counted, Reading | None]:
    """The rows that the function is given, where their labels are from, what was odd, and how far labels were read."""
    rows = ingested.rows()
    know(rows)
    labels, told, read = labels_of(ingestion, specification.store)
    if labels is not None:
        know(labels)
    counted = Counted([*ingested.notes])
    _tell_late(ingestion, ingested, rows, counted)
    return prepared(ingestion, rows, labels, counted), told, counted, read


def _settled(
    made: Any, specification: SnapshotSpecification, ingestion: Ingestion, ingested: Ingested, told: tuple[DataSource, ...],
    counted: Counted,
) -> Made:  # fmt: skip
    """What the function made of the rows, in splits, with where it is from."""
    if isinstance(made, pa.Table):
        splits = split(ingestion, made, _augmentation(ingestion, specification), counted)
        require_rows(splits, counted)
        made = Tables(splits.train, splits.validation, splits.test, ingestion.label)
    elif ingestion.augment is not None:
        raise PermanentError(f"{specification.entry_point} splits by itself, and so has to augment by itself: drop `augment`")
    made = replace(
        made,
        notes=(*counted.notes, *made.notes),
        sources=(*ingested.sources, *told, *made.sources),
        parents=(*ingested.parents, *made.parents),
    )
    return Made(made, lambda: ingested.done(ingestion.until), ingested.require_current)


def _tell_late(ingestion: Ingestion, ingested: Ingested, rows: pa.Table, counted: Counted) -> None:
    """Count the rows that came too late for the data set before.

    Raises:
        PermanentError: there are more than are declared.
    """
    until = ingested.before.until
    if until is None or ingestion.time is None:
        return
    count = late(ingestion, ingested.fresh(), ingested.earlier(), until)
    if not count:
        return
    share = count / (newest(rows, ingestion.key) if ingestion.key else rows).num_rows
    moment = until.isoformat()
    text = f"{count:,} rows ({share:.2%}) came late: they happened before {moment}, up to when the data was read before"
    if ingestion.max_late is not None and share > ingestion.max_late:
        raise PermanentError(
            f"{text}; at most {ingestion.max_late:.2%} may (maxLate): wait longer until rows are read, or allow more"
        )
    counted.notes.append(text)


def _augmentation(ingestion: Ingestion, specification: SnapshotSpecification) -> Callable[[pa.Table], pa.Table] | None:
    if ingestion.augment is None:
        return None
    function = load_entry_point(ingestion.augment)
    return lambda train: function(train, specification.parameters)


def _checked(made: Any, specification: SnapshotSpecification, kinds: tuple[type, ...], named: str) -> Any:
    if isinstance(made, kinds):
        return made
    found = type(made).__name__
    raise PermanentError(f"{specification.entry_point} returned {found}: it must return {named}")
