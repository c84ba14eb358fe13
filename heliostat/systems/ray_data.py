"""Ray Data, of which this library wants two things: blocks in order, and Parquet files in an object store as a data set."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from heliostat.systems.objects import arrow_location

if TYPE_CHECKING:
    import pyarrow as pa
    import ray.data

    from heliostat.spec.addresses import StoreAddress


def is_dataset(thing: object) -> bool:
    """Whether something is a data set of Ray Data; where that was never imported, nothing is."""
    loaded = sys.modules.get("ray.data")
    return loaded is not None and isinstance(thing, loaded.Dataset)


def blocks(dataset: ray.data.Dataset) -> Iterator[pa.Table]:
    """The data set's blocks in the order of its rows, as they are computed; a few at a time are in memory."""
    options = dataset.context.execution_options
    usual, options.preserve_order = options.preserve_order, True  # by default, a block comes when it is done
    try:
        yield from dataset.iter_batches(batch_size=None, batch_format="pyarrow")
    finally:
        options.preserve_order = usual


def read_parquet(store: StoreAddress, keys: Sequence[str], columns: Sequence[str] | None) -> ray.data.Dataset:
    """The rows of Parquet files of a store, in order."""
    import ray.data

    places = [arrow_location(store, key) for key in keys]
    dataset = ray.data.read_parquet([path for path, _ in places], filesystem=places[0][1], partitioning=None)
    if columns is not None:
        dataset = dataset.select_columns(list(columns))
    dataset.context.execution_options.preserve_order = True
    return dataset
