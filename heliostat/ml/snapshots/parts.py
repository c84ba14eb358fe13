"""The parts that a split comes in, one after another, whatever it comes from; and which of them do not fit together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.dataset

from heliostat.ml.snapshots.splits import ROW_GROUP_ROWS
from heliostat.systems import ray_data
from heliostat.systems.errors import PermanentError

_NAMED: Final = 3
"""Parts that an error describes; more are counted."""


def parts_of(split: str, source: Any) -> Iterator[tuple[int, pa.Table]]:
    """The parts of a split, from number 1 on.

    Raises:
        PermanentError: something is no table. What making a part raises comes through, with a note of which.
    """
    for number, part in _numbered(split, source):
        if isinstance(part, pa.RecordBatch):
            yield number, pa.Table.from_batches([part])
        elif isinstance(part, pa.Table):
            yield number, part
        else:
            found = type(part).__name__
            raise PermanentError(
                f"part {number} of the {split} split is a {found}: it must be a Table or a RecordBatch of pyarrow; "
                "Table.from_pandas makes one of a data frame"
            )


def _numbered(split: str, source: Any) -> Iterator[tuple[int, Any]]:
    number = 0
    try:
        for number, part in enumerate(_opened(split, source), 1):
            yield number, part
    except Exception as error:
        error.add_note(f"while part {number + 1} of the {split} split was made")
        raise


def _opened(split: str, source: Any) -> Iterator[Any]:
    if callable(source):
        source = source()
    if isinstance(source, pa.Table | pa.RecordBatch):
        return iter((source,))
    if isinstance(source, pa.dataset.Dataset):
        return iter(source.to_batches(batch_size=ROW_GROUP_ROWS, batch_readahead=1, fragment_readahead=1))
    if ray_data.is_dataset(source):
        return ray_data.blocks(source)
    if not hasattr(source, "__iter__"):
        found = type(source).__name__
        raise PermanentError(f"the {split} split is a {found}: it must be tables, or a function that gives them")
    return iter(source)


@dataclass
class SplitCheck:
    """What the parts of a split have been so far."""

    split: str
    label: str
    wrong_label: Callable[[pa.ChunkedArray], Counter[str]]
    """Why models cannot be judged by some labels, and by how many of them."""
    rows: int = 0
    schema: pa.Schema | None = None
    """Of the first part with rows."""
    odd: list[str] = field(default_factory=list)
    odd_labels: Counter[str] = field(default_factory=Counter)

    def add(self, number: int, part: pa.Table) -> pa.Table:
        """Take a part that has rows; gives it back, with the first part's types for columns in which it has no value."""
        self.rows += part.num_rows
        if self.schema is None:
            self.schema = part.schema
        part = _typed(part, self.schema)
        if part.schema != self.schema:
            self.odd.append(f"part {number} of the {self.split} split has {named(part.schema)}")
        if self.label in part.column_names:
            self.odd_labels += self.wrong_label(part[self.label])
        return part

    def reasons(self, split: str, expected: pa.Schema) -> Iterator[str]:
        """Why these rows cannot be in one snapshot with those of `split`, whose columns are `expected`."""
        if self.schema is None:
            return
        if self.schema != expected:
            found, other = named(self.schema), named(expected)
            yield f"the columns of the {self.split} split differ from the {split} split's: {found} and {other}"
        yield from self.odd[:_NAMED]
        if self.odd:
            more = f"so in {len(self.odd)} parts in all, " if len(self.odd) > _NAMED else ""
            yield f"{more}the first part of the {self.split} split has {named(self.schema)}: cast all to the same"
        if self.label not in self.schema.names:
            yield f"the {self.split} split has no column {self.label!r}, the label"
        for reason, rows in self.odd_labels.items():
            yield f"the label {self.label!r} {reason} in {rows} rows of the {self.split} split"


def named(schema: pa.Schema) -> str:
    """The columns and their types."""
    return ", ".join(f"{column.name} {column.type}" for column in schema)


def _typed(part: pa.Table, schema: pa.Schema) -> pa.Table:
    if part.schema == schema or part.schema.names != schema.names:
        return part
    pairs = zip(part.schema, schema, strict=True)
    return part.cast(pa.schema([ours if theirs.type == pa.null() else theirs for theirs, ours in pairs]))
