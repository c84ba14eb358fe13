"""What a workload promises its clients, and how its models answer: the types between workload code and the library.

A workload's contract is a module-level `Contract`; its predictor a class with the methods of `Predictor`. The contract
imports the predictor and not the other way round: a change of the answers' type deploys anew and trains nothing.
"""

from __future__ import annotations

import datetime as dt
import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from heliostat.ml.predictions import Predictions
from heliostat.ml.tensors import tensor_of
from heliostat.spec.base import EntryPoint

__all__ = ["Columns", "Contract", "Golden", "Predictor", "columns_of"]

Columns = Mapping[str, Sequence[Any] | NDArray[Any]]
"""Rows by column, all of one length. Times are whole seconds since 1970-01-01T00:00 on the clock that the column keeps; a
field that is a tensor (`heliostat.ml.tensors`) is one array, rows first."""


class Predictor(Protocol):
    """A model that is loaded and answers."""

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The model that a training saved in `directory`.

        Raises:
            ValueError: what lies there was made by other code than this and would be misread.
        """

    def predict(self, columns: Columns) -> Predictions:
        """What the task's predictions are: an array of any shape with the rows first, or for the task Free a list of texts or
        a mapping of these by name. Columns that the model does not use are not looked at. Called from any thread."""


Row = TypeVar("Row", bound=BaseModel)
Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True)
class Golden:
    """A request whose answer is known well enough to tell a working version from a broken one."""

    name: str
    request: Mapping[str, Any] | str
    """The body: JSON as an object, or as text where it is no JSON."""
    status: int = 200
    check: Callable[[Any], bool] = bool
    """Whether the answer's JSON is what was expected."""
    expected: str = "a non-empty answer"
    """The same in words, for the error."""

    @property
    def body(self) -> bytes:
        """The request as it is sent."""
        return self.request.encode() if isinstance(self.request, str) else json.dumps(self.request).encode()


@dataclass(frozen=True)
class Contract(Generic[Row, Answer]):
    """The request and response types of an application, and what stands behind them."""

    title: str
    description: str
    row: type[Row]
    """One row of a request: a model with `extra="forbid"`, whose fields are the predictor's columns by name."""
    answer: type[Answer]
    """The answer to one row."""
    predictor: type[Predictor]
    respond: Callable[[Any], Answer]
    """The answer that a row's part of the predictions means: a float, a list of them where the predictor gives several a row,
    a text, or a dictionary of these where it gives several by name."""
    examples: tuple[Row, ...]
    """Shown in OpenAPI and in the docs; the first is the request that people try."""
    golden: tuple[Golden, ...] = ()

    def columns(self, rows: Sequence[Row]) -> Columns:
        """The predictor's columns of these rows."""
        return {name: convert(rows, name) for name, convert in self._converters}

    @property
    def _converters(self) -> tuple[tuple[str, Callable[[Sequence[Row], str], Any]], ...]:
        found = self.__dict__.get("_cached_converters")
        if found is None:
            found = tuple((name, _converter(field)) for name, field in self.row.model_fields.items())
            self.__dict__["_cached_converters"] = found
        return found


def columns_of(table: Any) -> Columns:
    """The columns of an Arrow table, in the form that predictors take; lists of one length as an array with the rows first."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def convert(column: Any) -> Any:
        if pa.types.is_timestamp(column.type):
            return column.cast(pa.timestamp("s", column.type.tz), safe=False).cast(pa.int64()).to_numpy()
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            return column.to_pylist()
        if pa.types.is_fixed_size_list(column.type) and not column.null_count:
            shape, kind = [len(column)], column.type
            while pa.types.is_fixed_size_list(kind):
                shape.append(kind.list_size)
                kind, column = kind.value_type, pc.list_flatten(column)
            return column.to_numpy().reshape(shape)
        return column.to_numpy()

    return {name: convert(table[name]) for name in table.column_names}


def fields_of(contract: Contract[Any, Any]) -> dict[str, FieldInfo]:
    """The fields of a contract's rows, by the names that clients give them."""
    return {field.alias or name: field for name, field in contract.row.model_fields.items()}


def load_entry_point(entry_point: EntryPoint) -> Any:
    """What `package.module:attribute` names.

    Raises:
        ValueError: the module has no such attribute. Whatever importing the module raises comes through as it is.
    """
    module, _, name = entry_point.partition(":")
    loaded = importlib.import_module(module)
    if not hasattr(loaded, name):
        there = ", ".join(known for known in dir(loaded) if not known.startswith("_"))
        raise ValueError(f"module {module!r} has no {name!r}; it has {there}")
    return getattr(loaded, name)


def reads_whole(predictor: type[Predictor]) -> bool:
    """Whether a predictor loads from all of MLflow's folder, and not from what a training of ours handed back."""
    return bool(getattr(predictor, "whole_model", False))


def entry_point_of(thing: Any) -> str:
    """The entry point of a class or function at the top of its module."""
    return f"{thing.__module__}:{thing.__qualname__}"


_EPOCH: Final = dt.datetime(1970, 1, 1)


def _converter(field: FieldInfo) -> Callable[[Sequence[Any], str], Any]:
    if field.annotation is dt.datetime:
        return _seconds
    tensor = tensor_of(field)
    return _stacked if tensor is not None and tensor.is_fixed else _plain


def _seconds(rows: Sequence[Any], name: str) -> list[int]:
    since = [getattr(row, name).replace(tzinfo=None) - _EPOCH for row in rows]
    return [each.days * 86_400 + each.seconds for each in since]


def _plain(rows: Sequence[Any], name: str) -> list[Any]:
    return [getattr(row, name) for row in rows]


def _stacked(rows: Sequence[Any], name: str) -> NDArray[Any]:
    return np.stack([getattr(row, name) for row in rows])
