"""Fields of a request and of an answer of a model that MLflow logged: the types of its signature, with the contract's limits.

A signature's types are MLflow's own: columns of a type, arrays, objects and maps of them, and tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import Field, model_validator

from heliostat.spec.base import Model, is_empty, is_none
from heliostat.spec.personal import PersonalMark


class FieldType(StrEnum):
    """A type, by MLflow's name of it."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    """Whole numbers of 32 bits."""
    LONG = "long"
    """Whole numbers of 64 bits."""
    FLOAT = "float"
    """Of 32 bits."""
    DOUBLE = "double"
    """Of 64 bits."""
    STRING = "string"
    BINARY = "binary"
    """Bytes, as base64 in JSON."""
    DATETIME = "datetime"
    """Date and time without a zone, as ISO 8601 in JSON."""
    ARRAY = "array"
    OBJECT = "object"
    MAP = "map"
    TENSOR = "tensor"
    """Numbers, booleans or texts of one kind in nested lists: one row's part of a tensor."""


NUMBERS: Final = frozenset({FieldType.INTEGER, FieldType.LONG, FieldType.FLOAT, FieldType.DOUBLE})
_SIZED: Final = frozenset({FieldType.STRING, FieldType.BINARY, FieldType.ARRAY, FieldType.MAP})
DTYPES: Final = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "str",
)  # fmt: skip
"""Of tensors."""


def _is_false(value: bool) -> bool:
    return not value


def _is_true(value: bool) -> bool:
    return value


class ModelField(Model):
    """One field of a request or an answer."""

    type: FieldType
    description: str = Field(default="", exclude_if=is_empty)
    """What it means, for who reads the contract."""
    column: str | None = Field(default=None, exclude_if=is_none)
    """Its name in the model's signature, where the contract calls it otherwise."""
    required: bool = Field(default=True, exclude_if=_is_true)
    """Whether it has to be there. One that need not be may be null too, which the model gets as a missing value."""
    parameter: bool = Field(default=False, exclude_if=_is_false)
    """A parameter of the model's, not a column."""
    default: Any = Field(default=None, exclude_if=is_none)
    """What a parameter is where a request does not say."""
    minimum: float | None = Field(default=None, exclude_if=is_none)
    """The least number that is taken."""
    maximum: float | None = Field(default=None, exclude_if=is_none)
    """The largest number that is taken."""
    min_length: Annotated[int, Field(ge=0)] | None = Field(default=None, exclude_if=is_none)
    """The fewest characters, bytes or entries."""
    max_length: Annotated[int, Field(ge=0)] | None = Field(default=None, exclude_if=is_none)
    """The most of them."""
    choices: tuple[str | int, ...] | None = Field(default=None, exclude_if=is_none)
    """The only texts, or whole numbers, that are taken."""
    items: ModelField | None = Field(default=None, exclude_if=is_none)
    """Of an array: its entries."""
    values: ModelField | None = Field(default=None, exclude_if=is_none)
    """Of a map, whose keys are texts: its values."""
    properties: dict[str, ModelField] | None = Field(default=None, exclude_if=is_none)
    """Of an object: its fields."""
    dtype: str | None = Field(default=None, exclude_if=is_none)
    """Of a tensor: NumPy's name of its type."""
    shape: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(default=None, exclude_if=is_none)
    """Of a tensor: that of one row, so without the rows."""
    personal: PersonalMark | None = Field(default=None, exclude_if=is_none)
    """That it is personal, as `{treatment: hashed}`, and what is written in its place; the model gets it as it was sent."""

    @model_validator(mode="after")
    def _has_what_its_type_has(self) -> Self:
        if mistakes := list(_mistakes(self)):
            raise ValueError("; ".join(mistakes))
        return self

    @property
    def is_limited(self) -> bool:
        """Whether it takes less than all values of its type."""
        limits = (self.minimum, self.maximum, self.min_length, self.max_length, self.choices)
        return any(limit is not None for limit in limits) or any(part.is_limited for _, part in self.parts())

    def parts(self) -> Iterator[tuple[str, ModelField]]:
        """The fields that it is made of, each by where it stands."""
        if self.items is not None:
            yield "items", self.items
        if self.values is not None:
            yield "values", self.values
        yield from ((f"properties.{name}", each) for name, each in (self.properties or {}).items())


_PARTS: Final[Mapping[FieldType, frozenset[str]]] = {
    FieldType.ARRAY: frozenset({"items"}),
    FieldType.MAP: frozenset({"values"}),
    FieldType.OBJECT: frozenset({"properties"}),
    FieldType.TENSOR: frozenset({"dtype", "shape"}),
}


def _mistakes(field: ModelField) -> Iterator[str]:
    """What a field says that its type has no use for, or lacks."""
    for name in ("items", "values", "properties", "dtype", "shape"):
        needed = name in _PARTS.get(field.type, ())
        if needed != (getattr(field, name) is not None):
            yield f"{name} is missing: type {field.type} needs it" if needed else f"type {field.type} has no {name}"
    if field.choices is not None and not _fit(field.choices, field.type):
        yield f"choices have to be one or more values of type {field.type}: strings, or whole numbers of a whole-numbered type"
    if field.dtype is not None and field.dtype not in DTYPES:
        yield f"dtype {field.dtype!r} is none of {', '.join(DTYPES)}"
    if field.default is not None and not field.parameter:
        yield "default is for parameters: a column that may be left out says required: false"
    yield from _limit_mistakes("minimum", "maximum", field.minimum, field.maximum, NUMBERS, field.type)
    yield from _limit_mistakes("minLength", "maxLength", field.min_length, field.max_length, _SIZED, field.type)


def _limit_mistakes(
    lower: str, upper: str, least: float | None, most: float | None, kinds: frozenset[FieldType], kind: FieldType
) -> Iterator[str]:
    for name, limit in ((lower, least), (upper, most)):
        if limit is not None and kind not in kinds:
            yield f"{name} is for {', '.join(sorted(kinds))}, and the type is {kind}"
    if least is not None and most is not None and least > most:
        yield f"{lower} {least:g} is above {upper} {most:g}"


def _fit(choices: tuple[str | int, ...], kind: FieldType) -> bool:
    if kind is FieldType.STRING:
        return bool(choices) and all(isinstance(each, str) for each in choices)
    whole = kind in (FieldType.INTEGER, FieldType.LONG)
    return whole and bool(choices) and all(isinstance(each, int) and not isinstance(each, bool) for each in choices)
