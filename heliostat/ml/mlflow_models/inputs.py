"""From a request's columns to what a model takes: a frame, an array, tensors or a list, made as cheaply as can be."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from heliostat.ml.contracts import Columns
from heliostat.spec.logged_models import LoggedModel, Reads
from heliostat.spec.model_contracts import ModelContract
from heliostat.spec.model_fields import FieldType, ModelField

Convert = Callable[[Any], Any]
Make = Callable[[Columns], Any]

_DTYPES: Final = {
    FieldType.BOOLEAN: np.dtype(np.bool_),
    FieldType.INTEGER: np.dtype(np.int32),
    FieldType.LONG: np.dtype(np.int64),
    FieldType.FLOAT: np.dtype(np.float32),
    FieldType.DOUBLE: np.dtype(np.float64),
}
"""What MLflow makes of these in a frame."""


def maker(contract: ModelContract, model: LoggedModel) -> Make:
    """What makes the model's input of the request's columns, in the order of the model's own signature."""
    named = {field.column or name: (name, field) for name, field in contract.request.items() if not field.parameter}
    if len(named) == 1 and len(model.inputs or ()) == 1 and not (model.inputs or ())[0].get("name"):
        columns = [("", *next(iter(named.values())))]
    else:
        columns = [(str(each["name"]), *named[str(each["name"])]) for each in model.inputs or ()]
    match contract.reads:
        case Reads.FRAME:
            return _frame(columns)
        case Reads.ARRAY:
            return _array(columns)
        case Reads.LIST:
            name = columns[0][1]
            return lambda given: _listed(given[name])
    tensors = [(column, name, _tensor_type(model, column)) for column, name, _ in columns]
    if contract.reads is Reads.TENSOR:
        _, name, dtype = tensors[0]
        return lambda given: np.asarray(given[name], dtype=dtype)
    return lambda given: {column: np.asarray(given[name], dtype=dtype) for column, name, dtype in tensors}


def _tensor_type(model: LoggedModel, column: str) -> Any:
    said = next(each for each in model.inputs or () if str(each.get("name") or "") == column)
    dtype = str(said["tensor-spec"]["dtype"])
    return object if dtype in ("str", "object") else np.dtype(dtype)


def _frame(columns: Sequence[tuple[str, str, ModelField]]) -> Make:
    import pandas as pd

    parts = [(column, name, _converter(field)) for column, name, field in columns]

    def make(given: Columns) -> Any:
        return pd.DataFrame({column: convert(given[name]) for column, name, convert in parts}, copy=False)

    return make


def _array(columns: Sequence[tuple[str, str, ModelField]]) -> Make:
    names = [name for _, name, _ in columns]
    dtype = array_type(field for _, _, field in columns)

    def make(given: Columns) -> Any:
        array = np.empty((len(given[names[0]]), len(names)), dtype)
        for index, name in enumerate(names):
            array[:, index] = given[name]
        return array

    return make


def array_type(fields: Iterator[ModelField]) -> np.dtype[Any]:
    """What a frame of these columns, all numbers, is as one array."""
    return np.result_type(*(_DTYPES[field.type] for field in fields))


def _converter(field: ModelField) -> Convert:
    if field.type in _DTYPES:
        dtype = _DTYPES[field.type]
        return (lambda values: np.asarray(values, dtype)) if field.required else (lambda values: _with_gaps(values, dtype))
    match field.type:
        case FieldType.DATETIME:
            return _times
        case FieldType.STRING | FieldType.BINARY:
            return _objects if field.required else lambda values: _objects([np.nan if v is None else v for v in values])
    return lambda values: _objects(_listed(values))


def _with_gaps(values: Any, dtype: np.dtype[Any]) -> Any:
    """Numbers of which some are missing: as a frame has them, NaN; booleans stay what they are."""
    if not any(value is None for value in values):
        return np.asarray(values, dtype)
    if dtype.kind == "b":
        return _objects(values)
    return np.array(values, dtype if dtype.kind == "f" else np.float64)


def _times(values: Sequence[Any] | NDArray[Any]) -> NDArray[np.datetime64]:
    """Times: `datetime` of a request, or whole seconds, as columns of a data set have them."""
    if len(values) and not isinstance(values[0], (dt.datetime, np.datetime64, type(None))):
        return np.asarray(values, "datetime64[s]").astype("datetime64[ns]")
    return np.array(values, "datetime64[ns]")


def _objects(values: Sequence[Any] | NDArray[Any]) -> NDArray[Any]:
    """An array of objects, also of lists, which NumPy would make a dimension of."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _listed(values: Any) -> list[Any]:
    return [plain(value) for value in values]


def plain(value: Any) -> Any:
    """A row's value without the types that it was checked with: objects are dictionaries, of what was given alone."""
    if hasattr(value, "model_dump"):
        return value.model_dump(by_alias=True, exclude_unset=True)
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    return value
