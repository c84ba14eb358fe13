"""The types of a contract's rows and answers, made of its fields.

What fits them is decided by the contract alone: strictly, and whatever MLflow would have taken.
"""

from __future__ import annotations

import base64
import datetime as dt
import keyword
import math
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, EncodedBytes, Field, NaiveDatetime, create_model
from pydantic.types import Base64Encoder
from pydantic_core import PydanticCustomError

from heliostat.ml.personal import Personal
from heliostat.spec.model_fields import FieldType, ModelField


class _Base64(Base64Encoder):
    """Base64 and nothing beside: pydantic's own passes over what is none of its letters."""

    @classmethod
    def decode(cls, data: bytes) -> bytes:
        """The bytes that are meant.

        Raises:
            PydanticCustomError: it is no base64.
        """
        try:
            return base64.b64decode(data, validate=True)
        except ValueError as error:
            raise PydanticCustomError("base64_decode", "Base64 decoding error: '{error}'", {"error": str(error)}) from None


_OLDEST, _NEWEST = dt.datetime(1677, 9, 22), dt.datetime(2262, 4, 11)
"""What fits into nanoseconds since 1970, in 64 bits."""
_FLOAT32: Final = float(np.finfo(np.float32).max)
_LIMITS: Final[Mapping[FieldType, tuple[type[int] | type[float], float | None, float | None]]] = {
    FieldType.INTEGER: (int, -(2**31), 2**31 - 1),
    FieldType.LONG: (int, -(2**63), 2**63 - 1),
    FieldType.FLOAT: (float, -_FLOAT32, _FLOAT32),
    FieldType.DOUBLE: (float, None, None),
}
_PLAIN: Final[Mapping[FieldType, Any]] = {
    FieldType.BOOLEAN: bool,
    FieldType.STRING: str,
    FieldType.BINARY: Annotated[bytes, EncodedBytes(encoder=_Base64)],
    FieldType.DATETIME: Annotated[NaiveDatetime, Field(ge=_OLDEST, le=_NEWEST)],
}


class Base(BaseModel):
    """A value with these fields and no other. A column may be called what Python cannot: then that is the field's alias."""

    model_config = ConfigDict(
        extra="forbid",
        protected_namespaces=(),
        allow_inf_nan=False,
        validate_by_name=False,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


def type_of(name: str, fields: Mapping[str, ModelField], description: str = "") -> type[Base]:
    """A model with these fields, by the names that clients use."""
    definitions: dict[str, Any] = {}
    for number, (column, field) in enumerate(fields.items()):
        attribute = attribute_of(column, number)
        settings: dict[str, Any] = {"description": field.description or None}
        if attribute != column:
            settings["alias"] = column
        kind = _marked(_kind(f"{name}{_title(column)}", field), field)
        if field.required:
            definitions[attribute] = (kind, Field(**settings))
        else:
            definitions[attribute] = (kind | None, Field(default=field.default, **settings))
    return create_model(name, __base__=Base, __doc__=description or None, **definitions)


def attribute_of(column: str, number: int) -> str:
    """The attribute of a row that a field is: its own name where Python and pydantic let it be one."""
    plain = column.isidentifier() and not keyword.iskeyword(column) and not column.startswith("_")
    return column if plain and not hasattr(BaseModel, column) else f"field_{number}"


def _title(column: str) -> str:
    return "".join(part.capitalize() for part in "".join(c if c.isalnum() else " " for c in column).split())


def _marked(kind: Any, field: ModelField) -> Any:
    return kind if field.personal is None else Annotated[kind, Personal(field.personal)]


def _kind(name: str, field: ModelField) -> Any:
    """The type of a field's values."""
    if field.choices is not None:
        return Literal[field.choices]
    if field.type in _LIMITS:
        return _number(*_LIMITS[field.type], field)
    if field.type in _PLAIN:
        return _sized(_PLAIN[field.type], field)
    match field.type:
        case FieldType.ARRAY if field.items is not None:
            return _sized(list[_kind(name, field.items)], field)  # type: ignore[misc]  # a type that is made here
        case FieldType.MAP if field.values is not None:
            return _sized(dict[str, _kind(name, field.values)], field)  # type: ignore[misc]
        case FieldType.OBJECT:
            return type_of(name, field.properties or {})
    return _tensor(field)


def _number(kind: type[int] | type[float], least: float | None, most: float | None, field: ModelField) -> Any:
    lower = [math.ceil(limit) if kind is int else limit for limit in (least, field.minimum) if limit is not None]
    upper = [math.floor(limit) if kind is int else limit for limit in (most, field.maximum) if limit is not None]
    return Annotated[kind, Field(ge=max(lower, default=None), le=min(upper, default=None))]


def _sized(kind: Any, field: ModelField) -> Any:
    if field.min_length is None and field.max_length is None:
        return kind
    return Annotated[kind, Field(min_length=field.min_length, max_length=field.max_length)]


def _tensor(field: ModelField) -> Any:
    """Nested lists of exactly the tensor's size."""
    kind: Any = _element(np.dtype(field.dtype))
    for size in reversed(field.shape or ()):
        kind = Annotated[list[kind], Field(min_length=size, max_length=size)]
    return kind


def _element(dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "b":
        return bool
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return Annotated[int, Field(ge=int(limits.min), le=int(limits.max))]
    if dtype.kind == "f":
        most = float(np.finfo(dtype).max)
        return Annotated[float, Field(ge=-most, le=most)]
    return str
