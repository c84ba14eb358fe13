"""The contract's own service: its typed messages from and to the contract's own JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from pydantic_core import from_json, to_json

from heliostat.ml.tensors import DTYPES
from heliostat.serving.dataplane import Call, DataPlane
from heliostat.serving.errors import HttpError
from heliostat.serving.grpc.definition import descriptor_of
from heliostat.serving.grpc.messages import classes_of
from heliostat.serving.grpc.shapes import FieldForm, FieldShape, MessageShape, shapes_of
from heliostat.serving.inference.tensors import NamedTensor, from_raw, to_raw
from heliostat.spec.proto import METHOD, REQUEST, RESPONSE, SERVICE, Definition


class OwnService:
    """Its one method, from a message's bytes to those of its answer."""

    def __init__(self, plane: DataPlane, kept: Definition) -> None:
        self._plane = plane
        self._row, self._answer = shapes_of(plane.contract)
        found = classes_of(descriptor_of(kept), kept.package)
        self._request, self._response = found(REQUEST), found(RESPONSE)
        self.methods = {f"/{kept.package}.{SERVICE}/{METHOD}": self._predict}

    def _predict(self, _path: str, message: bytes, call: Call, started: float) -> bytes:
        asked = self._request.FromString(message)
        rows = [_row_of(row, self._row) for row in asked.rows]
        if not rows:
            raise HttpError(422, "the request has no rows")
        single = len(rows) == 1
        body = to_json(rows[0] if single else {"rows": rows}, inf_nan_mode="constants")
        answer = from_json(self._plane.predict(call, body, started))
        response = self._response()
        for each in [answer] if single else answer["rows"]:
            _fill(response.rows.add(), each, self._answer)
        found: bytes = response.SerializeToString()
        return found


def _row_of(message: Any, shape: MessageShape) -> dict[str, Any]:
    """What a message says, as JSON has it: what is not there is left out, but for lists and maps that have to be there."""
    found = {}
    for field in shape.fields:
        if field.form in (FieldForm.LIST, FieldForm.MAP, FieldForm.MESSAGES):
            value = getattr(message, field.name)
            if value or field.required:
                found[field.json] = _READ[field.form](value, field)
        elif message.HasField(field.name):
            found[field.json] = _READ[field.form](getattr(message, field.name), field)
    return found


def _json_read(value: str, field: FieldShape) -> Any:
    try:
        return from_json(value)
    except ValueError as error:
        raise HttpError(
            422, [{"type": "json_invalid", "loc": ["rows", field.name], "msg": f"it is no JSON: {error}"}]
        ) from None


def _tensor_read(value: Any, field: FieldShape) -> Any:
    return from_raw(field.name, field.datatype, value.shape, value.values).array().tolist()


_READ: Final[Mapping[FieldForm, Callable[[Any, FieldShape], Any]]] = {
    FieldForm.VALUE: lambda value, _: value,
    FieldForm.LIST: lambda value, _: list(value),
    FieldForm.MAP: lambda value, _: dict(value),
    FieldForm.MESSAGE: lambda value, field: _row_of(value, _inner(field)),
    FieldForm.MESSAGES: lambda value, field: [_row_of(each, _inner(field)) for each in value],
    FieldForm.JSON: _json_read,
    FieldForm.TENSOR: _tensor_read,
}


def _fill(message: Any, answer: Mapping[str, Any], shape: MessageShape) -> None:
    for field in shape.fields:
        value = answer.get(field.json)
        if value is not None:
            _WRITE[field.form](message, value, field)


def _write_value(message: Any, value: Any, field: FieldShape) -> None:
    try:
        setattr(message, field.name, value)
    except (ValueError, TypeError):
        text = f"an answer's {field.json} does not fit {field.declared}: ask for it in the contract's own JSON"
        raise HttpError(422, text) from None


def _write_list(message: Any, value: Any, field: FieldShape) -> None:
    getattr(message, field.name).extend(value)


def _write_map(message: Any, value: Any, field: FieldShape) -> None:
    getattr(message, field.name).update(value)


def _write_message(message: Any, value: Any, field: FieldShape) -> None:
    inner = getattr(message, field.name)
    inner.SetInParent()
    _fill(inner, value, _inner(field))


def _write_messages(message: Any, value: Any, field: FieldShape) -> None:
    for each in value:
        _fill(getattr(message, field.name).add(), each, _inner(field))


def _write_json(message: Any, value: Any, field: FieldShape) -> None:
    setattr(message, field.name, to_json(value).decode())


def _write_tensor(message: Any, value: Any, field: FieldShape) -> None:
    array = np.array(value, dtype=DTYPES[field.datatype])
    tensor = getattr(message, field.name)
    tensor.shape.extend(array.shape)
    tensor.values = to_raw(NamedTensor(field.name, field.datatype, array.shape, array))


_WRITE: Final[Mapping[FieldForm, Callable[[Any, Any, FieldShape], None]]] = {
    FieldForm.VALUE: _write_value,
    FieldForm.LIST: _write_list,
    FieldForm.MAP: _write_map,
    FieldForm.MESSAGE: _write_message,
    FieldForm.MESSAGES: _write_messages,
    FieldForm.JSON: _write_json,
    FieldForm.TENSOR: _write_tensor,
}


def _inner(field: FieldShape) -> MessageShape:
    assert field.message is not None  # noqa: S101 - of its form it has one
    return field.message
