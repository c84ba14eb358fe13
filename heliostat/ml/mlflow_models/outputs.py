"""From what a model answers, in whatever form, to one answer a row, of the contract's types."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from heliostat.spec.model_fields import FieldType, ModelField

Answers = NDArray[Any]
"""One entry a row: a value where the answer has one field, a tuple of them where it has several."""

_KINDS: Final = {
    FieldType.BOOLEAN: "b",
    FieldType.INTEGER: "iu",
    FieldType.LONG: "iu",
    FieldType.FLOAT: "fiu",
    FieldType.DOUBLE: "fiu",
}
"""NumPy's kinds that are taken for a type: a whole number is a double, and not the other way round."""


class AnswerError(ValueError):
    """The model answered something that the contract does not have."""


def reader(fields: Mapping[str, ModelField]) -> Callable[[Any, int], Answers]:
    """What makes answers of a model's output for so many rows."""
    if len(fields) == 1:
        ((name, field),) = fields.items()
        return lambda output, rows: _column(name, field, _only(output, field.column or name), rows)
    columns = [(name, field.column or name, field) for name, field in fields.items()]

    def read(output: Any, rows: int) -> Answers:
        parts = [_column(name, field, _named(output, column, name), rows).tolist() for name, column, field in columns]
        found = np.empty(rows, object)
        found[:] = list(zip(*parts, strict=True))
        return found

    return read


def _only(output: Any, column: str) -> Any:
    """The one output, whose name the model may give or not."""
    if isinstance(output, Mapping):
        return output[column] if column in output else next(iter(output.values())) if len(output) == 1 else output
    if hasattr(output, "columns"):  # a frame, of one column or of the values of a tensor
        return output[column] if column in output else output.iloc[:, 0] if output.shape[1] == 1 else output.to_numpy()
    if isinstance(output, list) and output and isinstance(output[0], Mapping) and set(output[0]) == {column}:
        return [each[column] for each in output]
    return output


def _named(output: Any, column: str, name: str) -> Any:
    if isinstance(output, list) and output and all(isinstance(each, Mapping) for each in output):
        return [each.get(column) for each in output]
    if hasattr(output, "columns") or isinstance(output, Mapping):
        if column in output:
            return output[column]
        raise AnswerError(f"{name}: the model answers no {column!r}; it has {', '.join(map(str, output))}")
    raise AnswerError(
        f"{name}: the model answers a {type(output).__name__} without names, and the contract has several fields"
    )


def _column(name: str, field: ModelField, values: Any, rows: int) -> Answers:
    """One field of the answer, row by row.

    Raises:
        AnswerError: it has other rows, another type or shape, or numbers that JSON cannot write.
    """
    if field.type in _KINDS or field.type is FieldType.TENSOR:
        found = _array(name, field, values)
    else:
        entries = values.tolist() if hasattr(values, "tolist") else list(values)
        found = np.empty(len(entries), object)
        found[:] = [_entry(name, field, each) for each in entries]
    if len(found) != rows:
        raise AnswerError(f"{name}: the model gave {len(found)} answers to {rows} rows")
    return found


def _array(name: str, field: ModelField, values: Any) -> NDArray[Any]:
    dense = values.toarray() if hasattr(values, "toarray") else values
    if not field.required and _has_gaps(dense):
        found = np.empty(len(dense), object)
        found[:] = [None if _is_gap(each) else each for each in np.asarray(dense, object).tolist()]
        return found
    array = np.asarray(dense)
    shape = field.shape or ()
    kinds = _KINDS.get(field.type) or _kinds_of(str(field.dtype))
    if array.dtype.kind == "O":  # what a frame of several types is, or a list of NumPy's own numbers
        array = np.array(array.tolist())
    if array.dtype.kind not in kinds:
        raise AnswerError(f"{name}: the model answers {array.dtype}, the contract has {field.dtype or field.type}")
    if array.shape[1:] != shape:
        raise AnswerError(f"{name}: the model answers {list(array.shape[1:])} a row, the contract has {list(shape)}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise AnswerError(f"{name}: the model answers NaN or infinity, which JSON has no way to write")
    if field.type is FieldType.INTEGER and array.size and (array.min() < -(2**31) or array.max() >= 2**31):
        raise AnswerError(f"{name}: the model answers {array.max()}, which is beyond 32 bits, and the contract has integer")
    return array


def _kinds_of(dtype: str) -> str:
    kind = np.dtype(dtype).kind
    return {"f": "fiu", "i": "iu", "u": "u", "b": "b"}.get(kind, "UOS")


def _has_gaps(values: Any) -> bool:
    return any(_is_gap(each) for each in (values.tolist() if hasattr(values, "tolist") else values))


def _is_gap(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _entry(name: str, field: ModelField, value: Any) -> Any:
    """One value of an answer that is no number."""
    if _is_gap(value) and not field.required:
        return None
    match field.type:
        case FieldType.STRING if isinstance(value, str):
            return value
        case FieldType.BINARY if isinstance(value, bytes):
            return value
        case FieldType.DATETIME:
            return _time(name, value)
        case FieldType.ARRAY if isinstance(value, (list, tuple, np.ndarray)) and field.items is not None:
            return [_part(name, field.items, each) for each in value]
        case FieldType.MAP if isinstance(value, Mapping) and field.values is not None:
            return {str(key): _part(name, field.values, each) for key, each in value.items()}
        case FieldType.OBJECT if isinstance(value, Mapping):
            return {key: _part(f"{name}.{key}", part, value.get(key)) for key, part in (field.properties or {}).items()}
    raise AnswerError(f"{name}: the model answers a {type(value).__name__}, the contract has {field.type}")


def _part(name: str, field: ModelField, value: Any) -> Any:
    if field.type in _KINDS or field.type is FieldType.TENSOR:
        return _array(name, field, [value]).tolist()[0]
    return _entry(name, field, value.item() if isinstance(value, np.generic) else value)


def _time(name: str, value: Any) -> dt.datetime:
    if isinstance(value, int):  # a column of nanoseconds, as NumPy lists it
        return dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=value // 1000)
    if isinstance(value, dt.datetime):
        return value if type(value) is dt.datetime else dt.datetime.fromisoformat(value.isoformat())
    raise AnswerError(f"{name}: the model answers a {type(value).__name__}, the contract has {FieldType.DATETIME}")
