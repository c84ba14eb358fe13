"""What a contract's rows and answers are as tensors: names, datatypes, shapes. Made of the contract alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import AliasChoices, BaseModel
from pydantic.fields import FieldInfo

from heliostat.ml.contracts import Contract
from heliostat.ml.tensors import Tensor, tensor_of
from heliostat.serving.prediction_log.columns import Column, Columns, Kind, Shape


class Form(StrEnum):
    """How the values of a field stand in its tensor."""

    ONE = "one"
    """An element a row."""
    TENSOR = "tensor"
    """A part of any shape a row, which the field is as it is."""
    LISTS = "lists"
    """A part a row, which the field is as lists."""
    JSON = "json"
    """A text a row, which is JSON."""


@dataclass(frozen=True)
class TensorField:
    """One field of a row or of an answer."""

    name: str
    """In JSON."""
    also: tuple[str, ...]
    """Other names that clients may send it by."""
    attribute: str
    """Of the model."""
    datatype: str
    shape: tuple[int, ...]
    """Rows first; -1 is any size."""
    form: Form
    required: bool
    tensor: Tensor | None = None

    def metadata(self) -> dict[str, Any]:
        """As the protocol tells it."""
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a contract, in the order of its fields."""

    inputs: tuple[TensorField, ...]
    outputs: tuple[TensorField, ...]
    takes_others: bool
    """Whether the row takes fields that it does not name."""

    @classmethod
    def of(cls, contract: Contract[Any, Any]) -> Signature:
        """That of a contract."""
        columns = Columns.of(contract.row, contract.answer)
        return cls(
            _fields(contract.row, columns.input, "validation"),
            _fields(contract.answer, columns.prediction, "serialization"),
            contract.row.model_config.get("extra") != "forbid",
        )


_ELEMENTS: Final[Mapping[Shape, str]] = {
    Shape.BOOLEAN: "BOOL", Shape.INTEGER: "INT64", Shape.NUMBER: "FP64",
    **dict.fromkeys(
        (Shape.TEXT, Shape.DECIMAL, Shape.TIME, Shape.INSTANT, Shape.DATE, Shape.CLOCK, Shape.SECRET), "BYTES"
    ),
}  # fmt: skip
"""What has no datatype of its own is text, as in JSON."""


def _fields(
    model: type[BaseModel], columns: tuple[Column, ...], mode: Literal["validation", "serialization"]
) -> tuple[TensorField, ...]:
    attributes = {json_name(name, field, mode): (name, field) for name, field in model.model_fields.items()}
    return tuple(_field(column, *attributes.get(column.name, (column.name, None))) for column in columns)


def _field(column: Column, attribute: str, field: FieldInfo | None) -> TensorField:
    tensor = tensor_of(field) if field is not None else None
    if tensor is not None:
        datatype, shape, form = str(tensor.datatype), tensor.shape, Form.TENSOR
    else:
        datatype, shape, form = _form_of(column.kind)
    return TensorField(column.name, column.also, attribute, datatype, (-1, *shape), form, column.required, tensor)


def _form_of(kind: Kind) -> tuple[str, tuple[int, ...], Form]:
    if kind.shape in _ELEMENTS:
        return _ELEMENTS[kind.shape], (), Form.ONE
    sizes: tuple[int, ...] = ()
    while kind.shape is Shape.LIST and kind.items is not None:
        sizes, kind = (*sizes, -1), kind.items
    return (_ELEMENTS[kind.shape], sizes, Form.LISTS) if kind.shape in _ELEMENTS else ("BYTES", (), Form.JSON)


def json_name(name: str, field: FieldInfo, mode: Literal["validation", "serialization"]) -> str:
    """What a model's field is called in JSON."""
    given: Any = field.serialization_alias if mode == "serialization" else field.validation_alias
    if isinstance(given, AliasChoices):
        given = next((choice for choice in given.choices if isinstance(choice, str)), None)
    return given if isinstance(given, str) else field.alias or name
