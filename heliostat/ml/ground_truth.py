"""What turned out to be true of predictions, as labels in the object store: `ground-truth/<application>/**`.

One label a row: `request_id` as the answer's `x-request-id` header had it, `row` in the request, and `label`, a number, for
the task Multiclass one of its classes, for Multilabel the names that are true, for Embedding the numbers of the vector.
Whoever learns the truth calls `record`, or puts files there in any form of `heliostat.ml.label_files`. Checks of the
model's own metric compare with it.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from pydantic_core import to_json

from heliostat.spec.addresses import StoreAddress
from heliostat.spec.base import Name
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store

__all__ = ["Label", "record"]

_MOST_SHOWN: Final = 5


@dataclass(frozen=True)
class Label:
    """The truth about one row of a request."""

    request_id: str
    label: float | str | tuple[str, ...] | tuple[float, ...]
    row: int = 0


def record(address: StoreAddress, application: Name, labels: Iterable[Label]) -> str | None:
    """Store labels as one Parquet object and return its URI; None where there are none. The same labels make the same object.

    Raises:
        PermanentError: a label that is neither finite numbers nor names, a row below 0, or an empty request id; all are named.
        RetryableError: the store does not take it now.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = sorted(set(labels), key=lambda item: (item.request_id, item.row, repr(item.label)))
    if not found:
        return None
    _check(found)
    columns = {
        "request_id": pa.array([item.request_id for item in found], pa.string()),
        "row": pa.array([item.row for item in found], pa.int32()),
        "label": _column([item.label for item in found]),
    }
    values = [item.label if isinstance(item.label, str | tuple) else float(item.label) for item in found]
    named = [(item.request_id, item.row, value) for item, value in zip(found, values, strict=True)]
    digest = hashlib.sha256(repr(named).encode()).hexdigest()
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    store, key = open_store(address), f"{prefix(application)}{digest[:32]}.parquet"
    store.put(key, buffer.getvalue())
    return store.uri(key)


def prefix(application: Name) -> str:
    """Where an application's labels lie in the store."""
    return f"ground-truth/{application}/"


def _column(labels: list[Any]) -> Any:
    import pyarrow as pa

    if any(isinstance(label, tuple) for label in labels):
        # Lists of names and of numbers have no column in common: both are JSON.
        return pa.array([to_json(label).decode() for label in labels], pa.string())
    if any(isinstance(label, str) for label in labels):
        return pa.array([label if isinstance(label, str) else repr(float(label)) for label in labels], pa.string())
    return pa.array([float(label) for label in labels], pa.float64())


def _is_label(label: Any) -> bool:
    if isinstance(label, tuple):
        names = [isinstance(each, str) for each in label]
        return all(names) or (not any(names) and all(math.isfinite(each) for each in label))
    return bool(label) if isinstance(label, str) else math.isfinite(label)


def _check(labels: list[Label]) -> None:
    wrong = [item for item in labels if not item.request_id or item.row < 0 or not _is_label(item.label)]
    if wrong:
        shown = "; ".join(str(item) for item in wrong[:_MOST_SHOWN])
        more = f" and {len(wrong) - _MOST_SHOWN} more" if len(wrong) > _MOST_SHOWN else ""
        rule = "a request id, a row of 0 or more and a finite number, or a class, or a tuple of either, are needed"
        raise PermanentError(f"labels that cannot be stored: {shown}{more}: {rule}")
