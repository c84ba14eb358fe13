"""What predictors answer: an array of any shape with the rows first, a list of texts, or several of these by name.

How they are handed on: a row's part to the contract's `respond`, and all of them in a file of NumPy's without a pickle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Predictions"]

Predictions = NDArray[Any] | Sequence[str] | Mapping[str, NDArray[Any] | Sequence[str]]
"""Rows first: `(rows, ...)`, one text a row, or for the task Free a mapping of these by name, all of as many rows."""

_PART: Final = "/"
_BYTES, _LENGTHS = "#utf8", "#lengths"
"""Texts are kept as their bytes one after another, and how many each has: NumPy's own texts are all as long as the longest."""


def rows_of(predictions: Any) -> int:
    """How many rows were answered.

    Raises:
        ValueError: that cannot be said.
    """
    if isinstance(predictions, Mapping):
        if not predictions:
            raise ValueError("the predictor answered an empty mapping: name at least one array")
        counts = {name: rows_of(part) for name, part in predictions.items()}
        if len(set(counts.values())) > 1:
            raise ValueError(
                f"the predictor answered parts of different length: {counts}; each needs a row for each row asked"
            )
        return next(iter(counts.values()))
    if (isinstance(predictions, np.ndarray) and not predictions.ndim) or isinstance(predictions, str | bytes):
        raise ValueError("the predictor answered a single value: one a row is needed, rows first")
    try:
        return len(predictions)
    except TypeError:
        kind = type(predictions).__name__
        raise ValueError(f"the predictor answered a {kind}: an array, a list of texts or a mapping is needed") from None


def parts_of(predictions: Any) -> list[Any]:
    """Each row's part: a number, a list, a text, or for a mapping an object of these by name."""
    if isinstance(predictions, np.ndarray):
        found: list[Any] = predictions.tolist()
        return found
    if isinstance(predictions, Mapping):
        rows_of(predictions)
        named = {name: parts_of(part) for name, part in predictions.items()}
        return [dict(zip(named, row, strict=True)) for row in zip(*named.values(), strict=True)]
    return list(predictions)


def joined(parts: Sequence[Any]) -> Any:
    """The predictions of rows that were predicted in parts, one part at least, as if they had been predicted at once.

    Raises:
        ValueError: the parts are of different kinds, names or shapes.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, Mapping):
        if any(not isinstance(part, Mapping) or part.keys() != first.keys() for part in parts):
            raise ValueError("the predictor answered other names for some rows than for others: each needs all of them")
        return {name: joined([part[name] for part in parts]) for name in first}
    if isinstance(first, np.ndarray):
        shapes = {np.shape(part)[1:] for part in parts}
        if len(shapes) > 1:
            raise ValueError(f"the predictor answered rows of different shapes: {sorted(shapes)}; all rows need one")
        return np.concatenate(parts)
    return [each for part in parts for each in part]


def save(path: Path | str, **predictions: Any) -> None:
    """Write predictions by name into a `.npz`; None is an empty array.

    Raises:
        ValueError: some are neither numbers nor text.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for name, each in predictions.items():
        arrays |= _packed(name, each) if each is not None else {name: np.empty(0)}
    np.savez(path, **arrays)  # type: ignore[arg-type]  # its own arguments have no such names


def load(path: Path | str, name: str) -> Any:
    """The predictions that were saved as `name`; None where they are none."""
    with np.load(path, allow_pickle=False) as found:
        parts = [key for key in found.files if key.startswith(f"{name}{_PART}")]
        if parts:
            names = dict.fromkeys(key.removeprefix(f"{name}{_PART}").partition("#")[0] for key in parts)
            return {part: _unpacked(found, f"{name}{_PART}{part}") for part in names}
        array = _unpacked(found, name)
        return None if isinstance(array, np.ndarray) and array.shape == (0,) else array


def _packed(name: str, predictions: Any) -> dict[str, NDArray[Any]]:
    if isinstance(predictions, Mapping):
        found: dict[str, NDArray[Any]] = {}
        for part, each in predictions.items():
            if _PART in part or "#" in part:
                raise ValueError(f"the predictor answered a part called {part!r}: leave `/` and `#` out of its name")
            found |= _packed(f"{name}{_PART}{part}", each)
        return found
    array = np.asarray(predictions)
    if array.dtype.hasobject or array.dtype.kind in "US":
        if array.ndim != 1 or not all(isinstance(each, str) for each in array.tolist()):
            raise ValueError(f"the predictor answered {array.dtype} of shape {array.shape}: give numbers, or one text a row")
        texts = [each.encode() for each in array.tolist()]
        data = np.frombuffer(b"".join(texts), np.uint8)
        return {f"{name}{_BYTES}": data, f"{name}{_LENGTHS}": np.array([len(each) for each in texts], np.int64)}
    return {name: array}


def _unpacked(found: Any, name: str) -> Any:
    if name in found.files:
        return found[name]
    ends = np.cumsum(found[f"{name}{_LENGTHS}"])
    data = found[f"{name}{_BYTES}"].tobytes()
    return [data[start:end].decode() for start, end in zip([0, *ends[:-1]], ends, strict=True)] if len(ends) else []


def chosen(predictions: Any, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Any:
    """The predictions of some of the rows, by a mask or by their numbers."""
    if isinstance(predictions, Mapping):
        return {name: chosen(part, rows) for name, part in predictions.items()}
    if isinstance(predictions, np.ndarray):
        return predictions[rows]
    return [predictions[row] for row in (np.flatnonzero(rows) if rows.dtype == bool else rows)]
