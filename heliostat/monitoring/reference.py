"""What a version is held against: its inputs when it was trained, and its predictions of rows that it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import AwareDatetime, Field

from heliostat.data.profiles import Profile
from heliostat.monitoring.drifting import limits_of
from heliostat.monitoring.sampling import Labelled
from heliostat.spec.base import Digest, Model, is_empty, is_none
from heliostat.spec.drift_watches import DriftWatch


class ReferenceAbout(Model):
    """What is known of a reference beside its tables."""

    digest: Digest
    """Of all that it is made of."""
    model_uri: str
    dataset_digest: Digest | None = None
    """None of a model of others: its reference is made of its first answers."""
    since: AwareDatetime
    """When it was made: what comes later is new to the version."""
    trained_rows: int
    newest_row: AwareDatetime | None = Field(default=None, exclude_if=is_none)
    """The newest time in the training data, where a column says it."""
    rows: int
    """Of the test split, whose predictions are kept; of a model of others, of its first answers."""
    columns: tuple[str, ...] | None = Field(default=None, exclude_if=is_none)
    """The inputs that are watched; None where none are."""
    learned: dict[str, float] = Field(default_factory=dict)
    """How far each input is from all of the training data in one of its seasons at most."""
    problems: tuple[str, ...] = ()
    """What cannot be watched, and why."""
    awaited: str = Field(default="", exclude_if=is_empty)
    """Why there is nothing to hold anything against yet; empty where there is."""


@dataclass(frozen=True)
class Reference:
    """All of it."""

    about: ReferenceAbout
    labelled: Labelled
    inputs: Profile | None
    predictions: Profile | None


def to_table(labelled: Labelled) -> pa.Table:
    """Labelled predictions as a table; `labelled_of` takes it back."""
    wide = labelled.predictions.ndim == 2
    predictions = pa.array(list(labelled.predictions)) if wide else pa.array(labelled.predictions)
    columns = {f"input_{name}": column for name, column in labelled.columns.items()}
    return pa.table({"label": labelled.labels, "prediction": predictions, **columns})


def labelled_of(table: pa.Table) -> Labelled:
    """What `to_table` wrote; each row is a request of its own."""
    column = table["prediction"].combine_chunks()
    if pa.types.is_list(column.type):
        flat = np.asarray(column.flatten().to_numpy(zero_copy_only=False), dtype=np.float64)
        predictions: Any = flat.reshape(table.num_rows, -1)
    else:
        predictions = np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)
    columns: Mapping[str, pa.Array] = {
        name.removeprefix("input_"): table[name].combine_chunks() for name in table.column_names if name.startswith("input_")
    }
    labels = np.asarray(table["label"].to_numpy(), dtype=np.float64)
    return Labelled(labels, predictions, np.arange(table.num_rows, dtype=np.uint64), columns)


def learned_from(watch: DriftWatch, seasons: list[Profile]) -> dict[str, float]:
    """How far the seasons of the training data are from all of them, by column; nothing of fewer than two."""
    if len(seasons) < 2:
        return {}
    found = limits_of(watch).learned_from(seasons)
    return {name: limit.least for name, limit in found.columns.items()}


def watched_inputs(schema: pa.Schema, inputs: tuple[str, ...], watch: DriftWatch) -> tuple[str, ...]:
    """The inputs that drift is looked for in: those that are named, or all that the training data have but times."""
    there = [name for name in watch.columns or inputs if name in schema.names]
    return tuple(name for name in there if watch.columns or not pa.types.is_temporal(schema.field(name).type))
