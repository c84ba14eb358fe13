"""Profiles of a snapshot's splits, stored beside it: what a later look at data is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa

from heliostat.data.profiles import Profile
from heliostat.data.profiling import Measures, ProfileBuilder
from heliostat.data.storage import to_bytes
from heliostat.ml.snapshots.splits import FileSplit, Split, TableSplit, decoded, row_groups
from heliostat.ml.tasks.base import is_list
from heliostat.spec.data_sets import profile_key
from heliostat.systems.objects import ObjectStore


def parts_in(split: Split) -> Iterator[pa.Table]:
    """The rows of a split, in pieces that memory holds, with the types that they were given in, but without dictionaries."""
    if isinstance(split, TableSplit):
        yield split.table
    elif isinstance(split, FileSplit):
        for file in split.files:
            for group in row_groups(file.path):
                yield pa.table({field.name: decoded(group[field.name], field.type) for field in split.schema})


def profile_of(split: Split, label: str) -> Profile:
    """The profile of a split, with one of each class of its label; of a label of lists there are no classes."""
    by_class = None if is_list(split.schema.field(label).type) else label
    with ProfileBuilder(Measures(label=by_class)) as builder:
        for part in parts_in(split):
            builder.add(part)
    return builder.profile()


def keep_profiles(store: ObjectStore, name: str, digest: str, splits: Mapping[str, Split], label: str) -> None:
    """Put the profiles that are not there yet beside a snapshot."""
    for split, rows in splits.items():
        key = profile_key(name, digest, split)
        if not store.exists(key):
            store.put(key, to_bytes(profile_of(rows, label)))
