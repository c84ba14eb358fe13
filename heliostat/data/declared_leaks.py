"""The leaks that a schema has looked for, in the splits of a data set. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

import pyarrow as pa

from heliostat.data.leakage import Leak, after_event, groups_in_two, is_finite, knows_label, near_duplicates
from heliostat.data.leakage_expectations import LeakageExpectations
from heliostat.data.schema import Schema

_NEW: Final = (
    "the schema does not have it: leave it out, or name it in `columns`, "
    "with `knownAtPrediction: false` where no model is given it"
)


def leaks(schema: Schema, sample: pa.Table, splits: Mapping[str, pa.Table]) -> Iterator[Leak]:
    """What gives the answer away, of what the schema has looked for.

    Args:
        schema: whose `leakage` says it; without it nothing is looked for.
        sample: rows of the train split, with all columns.
        splits: all rows of each split, with the columns of `LeakageExpectations.across_splits`.

    Raises:
        ValueError: a column that is named is not there, or cannot be compared.
    """
    expected = schema.leakage
    if expected is None:
        return
    for leak in _of_columns(schema, expected, sample):
        is_new = leak.columns[0] not in schema.columns
        yield replace(leak, text=f"{leak.text}; {_NEW}") if is_new else leak
    if expected.group is not None:
        yield from groups_in_two(splits, expected.group)
    if expected.near_duplicates is not None:
        near = expected.near_duplicates
        yield from near_duplicates(splits, near.columns, near.tolerance)


def _of_columns(schema: Schema, expected: LeakageExpectations, sample: pa.Table) -> Iterator[Leak]:
    """Those of single columns. What the schema does not have may be a feature as well: nobody has said that it is none."""
    new = [name for name in sample.column_names if name not in schema.columns]
    suspects = [name for name in (*schema.features, *new) if name in sample.column_names and name not in expected.allowed]
    if expected.knows_label is not None and schema.label is not None and _differs(sample, schema.label):
        yield from knows_label(sample, schema.label, suspects, expected.knows_label)
    if expected.event is not None:
        yield from after_event(sample, expected.event, schema, suspects)


def _differs(sample: pa.Table, label: str) -> bool:
    """One value alone is known by every column and by none."""
    return label in sample.column_names and len(sample[label].filter(is_finite(sample[label])).unique()) > 1
