"""What a gate asks of a snapshot, held against the snapshot itself before anything is trained or measured on it."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from heliostat.provider import ray_work
from heliostat.spec.analysis import metrics_for
from heliostat.spec.resources import DatasetAddress, StoreAddress
from heliostat.spec.workload import Gate
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectMissingError, open_store

_CLASSES: Final = frozenset({"0", "1", "0.0", "1.0", "false", "true"})
_UNLIKE: Final = frozenset({"roc_auc", "pr_auc", "r2"})
"""Metrics that are not defined where all labels are alike."""


async def require_judgeable(gate: Gate, dataset: DatasetAddress, store: StoreAddress) -> None:
    """See that models of a snapshot can be judged by a gate.

    Raises:
        PermanentError: they cannot, with every reason.
    """
    if reasons := await asyncio.to_thread(_reasons, gate, dataset, store):
        raise PermanentError("\n  ".join([f"the gate does not fit the data at {dataset.uri}:", *reasons]))


def _reasons(gate: Gate, dataset: DatasetAddress, store: StoreAddress) -> list[str]:
    key = ray_work.key_of(dataset.uri, store)
    opened = open_store(store)
    try:
        manifest = json.loads(opened.get(f"{key}/manifest.json"))
        statistics = json.loads(opened.get(f"{key}/statistics.json"))
    except ObjectMissingError:
        return []  # whoever reads the data tells that it is gone
    return [*_slices(gate, manifest), *_metric(gate, manifest["label"], statistics["test"])]


def _slices(gate: Gate, manifest: dict[str, Any]) -> list[str]:
    columns = [name for name in manifest["columns"] if name != manifest["label"]]
    return [
        f"gate.slices[{number}].column: the data has no column {item.column!r} to slice by; it has {', '.join(columns)}"
        for number, item in enumerate(gate.slices)
        if item.column not in columns
    ]


def _metric(gate: Gate, label: str, test: dict[str, Any]) -> list[str]:
    """That the metric is not defined on the labels of the test split; where they are counted, each value is known."""
    values: dict[str, int] | None = test.get("classBalance")
    two_classes = values is not None and values.keys() <= _CLASSES
    alike = values is not None and len(values) == 1
    defined = [name for name in metrics_for(two_classes) if not (alike and name in _UNLIKE)]
    if gate.metric in defined:
        return []
    if alike:
        found = "all labels of the test split are alike"
    else:
        found = "its labels are 0 and 1" if two_classes else "its labels are numbers, not 0 and 1 alone"
    return [f"gate.metric: {gate.metric} is not defined on {label!r}, for {found}; there are {', '.join(defined)}"]
