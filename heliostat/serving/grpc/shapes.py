"""What a contract's rows and answers are as messages of Protocol Buffers: names and types, without numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal

from pydantic import BaseModel

from heliostat.ml.contracts import Contract
from heliostat.ml.tensors import tensor_of
from heliostat.serving.inference.signature import json_name
from heliostat.serving.prediction_log.columns import Columns, Kind, Shape
from heliostat.spec.proto import REQUEST, RESPONSE, TENSOR


class FieldForm(StrEnum):
    """How a field's value stands in its message."""

    VALUE = "value"
    LIST = "list"
    MAP = "map"
    MESSAGE = "message"
    MESSAGES = "messages"
    JSON = "json"
    """As text: what Protocol Buffers have no type for."""
    TENSOR = "tensor"


@dataclass(frozen=True)
class FieldShape:
    """One field."""

    json: str
    """Its name in JSON."""
    name: str
    """Its name in its message."""
    form: FieldForm
    declared: str
    """Its type as a definition has it, with its label."""
    required: bool = False
    message: MessageShape | None = None
    comment: str = ""
    attribute: str = ""
    """Of the model; of a tensor."""
    datatype: str = ""
    """Of a tensor."""


@dataclass(frozen=True)
class MessageShape:
    """One message."""

    name: str
    fields: tuple[FieldShape, ...]

    def all(self) -> list[MessageShape]:
        """This one and those in it."""
        return [self, *(inner for field in self.fields if field.message for inner in field.message.all())]


def shapes_of(contract: Contract[Any, Any]) -> tuple[MessageShape, MessageShape]:
    """Those of a contract's row and answer.

    Raises:
        ValueError: two fields would have one name.
    """
    columns = Columns.of(contract.row, contract.answer)
    taken = {TENSOR, REQUEST, RESPONSE}
    row, answer = contract.row.__name__, contract.answer.__name__
    row = f"{row}Row" if row in taken else row
    answer = f"{answer}Answer" if answer in taken | {row} else answer
    row_shape = _top(row, contract.row, Kind(shape=Shape.STRUCT, fields=columns.input), "validation")
    return row_shape, _top(answer, contract.answer, Kind(shape=Shape.STRUCT, fields=columns.prediction), "serialization")


_SCALARS: Final[Mapping[Shape, str]] = {
    Shape.BOOLEAN: "bool", Shape.INTEGER: "int64", Shape.NUMBER: "double",
    **dict.fromkeys(
        (Shape.TEXT, Shape.DECIMAL, Shape.TIME, Shape.INSTANT, Shape.DATE, Shape.CLOCK, Shape.SECRET), "string"
    ),
}  # fmt: skip
_TOLD: Final[Mapping[Shape, str]] = {
    Shape.DECIMAL: "A decimal number.",
    Shape.TIME: "ISO 8601, e.g. 2013-07-09T19:30:00.",
    Shape.INSTANT: "ISO 8601 with a zone.",
    Shape.DATE: "ISO 8601, e.g. 2013-07-09.",
    Shape.CLOCK: "ISO 8601, e.g. 19:30:00.",
}


def _top(name: str, model: type[BaseModel], kind: Kind, mode: Literal["validation", "serialization"]) -> MessageShape:
    """The message of a model, with what its fields say of themselves."""
    found = {json_name(attribute, field, mode): (attribute, field) for attribute, field in model.model_fields.items()}
    fields = []
    for shape in _message(name, kind).fields:
        attribute, field = found.get(shape.json, ("", None))
        comment = " ".join((field.description or "").split()) if field is not None else ""
        tensor = tensor_of(field) if field is not None else None
        if tensor is not None:
            of = f"{tensor.datatype} of shape {list(tensor.shape)}."
            comment = f"{comment} {of}".strip()
            shape = FieldShape(
                shape.json, shape.name, FieldForm.TENSOR, TENSOR, shape.required, None, comment, attribute, tensor.datatype
            )
        else:
            told = " ".join(each for each in (comment, shape.comment) if each)
            shape = FieldShape(shape.json, shape.name, shape.form, shape.declared, shape.required, shape.message, told)
        fields.append(shape)
    return MessageShape(name, tuple(fields))


def _message(name: str, kind: Kind) -> MessageShape:
    fields = [_field(name, column.name, column.kind, column.required) for column in kind.fields]
    names = [field.name for field in fields]
    if twice := sorted({each for each in names if names.count(each) > 1}):
        raise ValueError(f"{name} would have several fields called {', '.join(twice)}: their names differ in more than signs")
    return MessageShape(name, tuple(fields))


def _field(message: str, json: str, kind: Kind, required: bool) -> FieldShape:
    name = re.sub(r"\W", "_", json, flags=re.ASCII)
    name = name if name[:1].isalpha() else f"x{name}"
    told, inner = _TOLD.get(kind.shape, ""), kind.items
    if kind.shape in _SCALARS:
        return FieldShape(json, name, FieldForm.VALUE, f"optional {_SCALARS[kind.shape]}", required, None, told)
    if kind.shape is Shape.STRUCT:
        of = _message(message + _camel(name), kind)
        return FieldShape(json, name, FieldForm.MESSAGE, of.name, required, of)
    if inner is not None and inner.shape in _SCALARS:
        told = _TOLD.get(inner.shape, "")
        if kind.shape is Shape.LIST:
            return FieldShape(json, name, FieldForm.LIST, f"repeated {_SCALARS[inner.shape]}", required, None, told)
        return FieldShape(json, name, FieldForm.MAP, f"map<string, {_SCALARS[inner.shape]}>", required, None, told)
    if kind.shape is Shape.LIST and inner is not None and inner.shape is Shape.STRUCT:
        of = _message(message + _camel(name), inner)
        return FieldShape(json, name, FieldForm.MESSAGES, f"repeated {of.name}", required, of)
    return FieldShape(json, name, FieldForm.JSON, "optional string", required, None, "JSON.")


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
