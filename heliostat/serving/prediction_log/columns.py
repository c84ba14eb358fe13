"""The columns of an application's prediction log: made of its contract alone, so that all files of a contract have the same.

They follow the JSON Schema of the contract's types, that is what clients may send and what they are answered, by the names
that they use. A type that no column can hold as it is, such as a union, a tuple of several types or a model that contains
itself, is a column of JSON text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, Literal, Self

from pydantic import AliasChoices, BaseModel, Field
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from heliostat.spec.base import Model, is_none
from heliostat.spec.personal import EXTENSION, PersonalMark, Treatment


class Shape(StrEnum):
    """What a column, or a part of one, holds."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    """Of 64 bits."""
    NUMBER = "number"
    """A double; NaN and the infinities too."""
    TEXT = "text"
    """Also for what is text on its way: UUIDs, bytes, durations, addresses."""
    DECIMAL = "decimal"
    """A number as text, of any length."""
    TIME = "time"
    """Date and time, in microseconds, on the clock that was sent: a zone is none of it."""
    INSTANT = "instant"
    """Date and time, in microseconds of UTC, of what always has a zone."""
    DATE = "date"
    CLOCK = "clock"
    """Time of day, in microseconds."""
    LIST = "list"
    MAP = "map"
    STRUCT = "struct"
    JSON = "json"
    """JSON as text."""
    SECRET = "secret"  # noqa: S105 - the name of a shape
    """What is not to be read again (`writeOnly` in JSON Schema, as of `SecretStr`): it never reaches the log."""


class Kind(Model):
    """The type of a value."""

    shape: Shape
    items: Kind | None = None
    """Of a list's entries, or of a map's values."""
    fields: tuple[Column, ...] = ()
    """Of a struct."""
    personal: PersonalMark | None = Field(default=None, exclude_if=is_none)
    """How it is treated before it is written; what is never logged is a secret."""

    @property
    def parts(self) -> tuple[Kind, ...]:
        """The kinds that this one is made of."""
        return (*((self.items,) if self.items else ()), *(field.kind for field in self.fields))

    @property
    def has_secrets(self) -> bool:
        """Whether anything in it is secret, or personal."""
        return self.shape is Shape.SECRET or self.personal is not None or any(part.has_secrets for part in self.parts)

    @property
    def has_personal(self) -> bool:
        """Whether anything in it is personal."""
        return self.personal is not None or any(part.has_personal for part in self.parts)

    @property
    def is_hashed(self) -> bool:
        """Whether it is hashed as a whole."""
        return self.personal is not None and self.personal.treatment is Treatment.HASHED

    @property
    def has_hashed(self) -> bool:
        """Whether anything in it is hashed."""
        return self.is_hashed or any(part.has_hashed for part in self.parts)


class Column(Model):
    """A named value."""

    name: str
    kind: Kind
    also: tuple[str, ...] = ()
    """Other names that clients may send it by."""
    required: bool = False


Kind.model_rebuild()


class Columns(Model):
    """What is kept of a request's rows and of the answers to them."""

    input: tuple[Column, ...] = ()
    prediction: tuple[Column, ...] = ()
    postprocessed: bool = False
    """Whether steps are behind the model: what it answered is kept then too, and what they changed."""

    @classmethod
    def of(cls, row: type[BaseModel], answer: type[BaseModel], postprocessed: bool = False) -> Self:
        """Those of a contract's types."""
        prediction = _of(answer, "serialization")
        return cls(input=columns_of_rows(row), prediction=prediction, postprocessed=postprocessed)


def columns_of_rows(row: type[BaseModel]) -> tuple[Column, ...]:
    """Those of a contract's rows alone."""
    return _of(row, "validation")


def personal_names(row: type[BaseModel]) -> tuple[str, ...]:
    """The fields of a contract's rows that are personal, or have parts that are, by all of their names."""
    marked = {column.name: column for column in columns_of_rows(row) if column.kind.has_secrets}
    names = {name: (column.name, *column.also) for name, column in marked.items()}
    attributes = {attribute for attribute, field in row.model_fields.items() if {attribute, field.alias} & marked.keys()}
    return tuple(sorted({*attributes, *(each for found in names.values() for each in found)}))


_PLAIN: Final = {
    "boolean": Shape.BOOLEAN,
    "integer": Shape.INTEGER,
    "number": Shape.NUMBER,
    "string": Shape.TEXT,
}
_FORMATS: Final = {
    "date-time": Shape.TIME,
    "aware": Shape.INSTANT,
    "date": Shape.DATE,
    "time": Shape.CLOCK,
    "decimal": Shape.DECIMAL,
}
_TYPES: Final = {bool: "boolean", int: "integer", float: "number", str: "string"}

_Schema = Mapping[str, Any]


def _of(model: type[BaseModel], mode: Literal["validation", "serialization"]) -> tuple[Column, ...]:
    schema = model.model_json_schema(mode=mode, schema_generator=_Schemas)
    kind = _Reader(schema.get("$defs", {})).kind(schema, ())
    also = _other_names(model) if mode == "validation" else {}
    return tuple(column.model_copy(update={"also": also.get(column.name, ())}) for column in kind.fields)


def _other_names(model: type[BaseModel]) -> dict[str, tuple[str, ...]]:
    """Beside the one in the JSON Schema, by that one."""
    by_name = bool(model.model_config.get("validate_by_name") or model.model_config.get("populate_by_name"))
    found = {}
    for name, field in model.model_fields.items():
        alias = field.validation_alias if field.validation_alias is not None else field.alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
        names = [choice for choice in choices if isinstance(choice, str)]
        if names:
            found[names[0]] = (*names[1:], *((name,) if by_name and name not in names else ()))
    return found


class _Schemas(GenerateJsonSchema):
    """Says apart what JSON Schema has no words for: decimals, and times that always have a zone."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        """A number, or a string that holds one."""
        return {"type": "string", "format": "decimal"}

    def datetime_schema(self, schema: core_schema.DatetimeSchema) -> JsonSchemaValue:
        """With what it says of zones."""
        aware = schema.get("tz_constraint") not in (None, "naive")
        return {"type": "string", "format": "aware" if aware else "date-time"}


class _Reader:
    """Reads JSON Schema as pydantic writes it."""

    def __init__(self, definitions: Mapping[str, _Schema]) -> None:
        self._definitions = definitions

    def kind(self, schema: _Schema, inside: tuple[str, ...]) -> Kind:
        """The kind that holds what fits a schema; `inside`: the definitions that it is part of."""
        if EXTENSION in schema:
            return _personal(schema)
        reference = schema.get("$ref")
        if reference is not None:
            name = reference.rpartition("/")[2]
            return self._json(schema) if name in inside else self.kind(self._definitions[name], (*inside, name))
        if schema.get("writeOnly"):
            return Kind(shape=Shape.SECRET)
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return self._one_of(schema[key], schema, inside)
        given = schema.get("type") or _type_of(schema.get("enum", [schema["const"]] if "const" in schema else []))
        if given == "array":
            return self._array(schema, inside)
        if given == "object":
            return self._object(schema, inside)
        if given == "string" and schema.get("format") in _FORMATS:
            return Kind(shape=_FORMATS[schema["format"]])
        return Kind(shape=_PLAIN[given]) if isinstance(given, str) and given in _PLAIN else self._json(schema)

    def _one_of(self, choices: Sequence[_Schema], schema: _Schema, inside: tuple[str, ...]) -> Kind:
        choices = [choice for choice in choices if choice.get("type") != "null"]
        kinds = [self.kind(choice, inside) for choice in choices]
        same = bool(kinds) and all(kind == kinds[0] for kind in kinds)
        # Two models with the same fields may still differ in what they take.
        return kinds[0] if same and (len(kinds) == 1 or not kinds[0].parts) else self._json(schema)

    def _array(self, schema: _Schema, inside: tuple[str, ...]) -> Kind:
        first, rest = schema.get("prefixItems", ()), schema.get("items")
        entries = [*first, *([rest] if isinstance(rest, dict) else [])]
        kinds = [self.kind(entry, inside) for entry in entries]
        plain = bool(kinds) and all(kind == kinds[0] for kind in kinds) and kinds[0].shape is not Shape.JSON
        return Kind(shape=Shape.LIST, items=kinds[0]) if plain else self._json(schema)

    def _object(self, schema: _Schema, inside: tuple[str, ...]) -> Kind:
        properties = schema.get("properties", {})
        if properties:
            required = schema.get("required", ())
            return Kind(
                shape=Shape.STRUCT,
                fields=tuple(
                    Column(
                        name=name,
                        kind=self.kind(field, inside),
                        required=name in required,
                    )
                    for name, field in properties.items()
                ),
            )
        values = schema.get("additionalProperties")
        kind = self.kind(values, inside) if isinstance(values, dict) and values else None
        return self._json(schema) if kind is None or kind.shape is Shape.JSON else Kind(shape=Shape.MAP, items=kind)

    def _json(self, schema: _Schema) -> Kind:
        return Kind(shape=Shape.SECRET if self._is_secret(schema, set()) else Shape.JSON)

    def _is_secret(self, schema: Any, seen: set[str]) -> bool:
        if isinstance(schema, list):
            return any(self._is_secret(each, seen) for each in schema)
        if not isinstance(schema, dict):
            return False
        if schema.get("writeOnly") or EXTENSION in schema:
            return True
        name = str(schema.get("$ref", "")).rpartition("/")[2]
        if name and name not in seen:
            seen.add(name)
            if self._is_secret(self._definitions[name], seen):
                return True
        return any(self._is_secret(each, seen) for each in schema.values())


def _personal(schema: _Schema) -> Kind:
    """A number that is rounded stays one; all else is text, or nothing."""
    mark = PersonalMark.model_validate(schema[EXTENSION])
    if mark.treatment is Treatment.NEVER_LOGGED:
        return Kind(shape=Shape.SECRET, personal=mark)
    return Kind(shape=Shape.NUMBER if mark.step is not None else Shape.TEXT, personal=mark)


def _type_of(values: Sequence[Any]) -> str | None:
    """The JSON type of all these values; None where there are several or none."""
    types = {_TYPES.get(type(value)) for value in values}
    return types.pop() if len(types) == 1 else None
