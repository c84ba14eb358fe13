"""Request bodies: from bytes to rows of the contract in one pass in Rust, and what to say of those that do not fit."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic_core import InitErrorDetails, PydanticCustomError, from_json, to_json

from heliostat.serving.expectations import ExpectedRows
from heliostat.spec.base import REQUEST_ID

_REQUEST_ID: Final = re.compile(REQUEST_ID.replace("$", r"\Z").encode())
_ROWS: Final = b'"rows"'
_MANY: Final = re.compile(rb'\s*\{\s*"rows"\s*:')
_POSITION: Final = re.compile(r"at line (\d+) column (\d+)")
_LONG: Final = re.compile(rb"[0-9]{19}")
"""Without so many digits in a row no integer has more than 64 bits."""
_BITS_64: Final = 1 << 63
_MOST_PROBLEMS: Final = 100
_LONGEST_TEXT: Final = 200


class LateBody:
    """JSON that is written when somebody reads it: of a request or an answer that travelled in another form."""

    __slots__ = ("_size", "_write", "_written")

    def __init__(self, write: Callable[[], bytes], size: int) -> None:
        """`size`: how many bytes it will have, about."""
        self._write, self._size = write, size
        self._written: bytes | None = None

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        if self._written is None:
            self._written = self._write()
        return self._written


Body = bytes | LateBody
"""A request or an answer in the contract's own JSON; `bytes(body)` is its text."""


class Bodies:
    """Reads bodies of one row type."""

    def __init__(self, row: type[BaseModel], max_rows: int, expected: ExpectedRows | None = None) -> None:
        """`expected`: what rows are held to beyond their own types."""
        self._expected = expected
        self.envelope = envelope_of(row, max_rows)
        self._one = TypeAdapter(row).validator
        self._many = TypeAdapter(self.envelope).validator

    def read(self, body: bytes, beside: Any = None) -> tuple[Sequence[Any], bool]:
        """The rows, and whether the body was a single row.

        `beside`: tensors that came beside the body, as the row's own types find them in the validation's context.

        Raises:
            ValidationError: the body does not fit. Types are taken strictly: "12" is no number, and an integer has 64 bits.
        """
        single = not is_many(body)
        rows: Sequence[Any]
        if single:
            rows = (self._one.validate_json(body, strict=True, context=beside),)
        else:
            rows = self._many.validate_json(body, strict=True, context=beside).rows
        if _LONG.search(body):
            _require_64_bits(rows, single)
        if self._expected is not None:
            self._expected.require(rows, single)
        return rows, single


def request_id(given: bytes | None) -> bytes:
    """The id that a request is logged by, and that nobody else decides: the client's own where it is one, else a new one."""
    return given if given is not None and _REQUEST_ID.match(given) else os.urandom(16).hex().encode()


def is_many(body: bytes) -> bool:
    """Whether a body is meant as many rows."""
    return _ROWS in body and _MANY.match(body) is not None


def rows_in(body: bytes) -> bytes:
    """The rows of a body that was taken, or the answers of one to it, as a JSON list, in the text that they came in."""
    if _ROWS not in body or (begin := _MANY.match(body)) is None:
        return b"[%b]" % body
    if body.count(_ROWS) == 1:
        return body[begin.end() : body.rindex(b"}")]
    return to_json(from_json(body)["rows"])  # a name within a row, or twice the same: the last counts


def envelope_of(row: type[BaseModel], max_rows: int) -> type[BaseModel]:
    """`{"rows": [...]}` of a row type."""
    return create_model(
        f"{row.__name__}Rows",
        __config__=ConfigDict(extra="forbid"),
        __doc__="Many rows, answered in their order.",
        rows=(list[row], Field(min_length=1, max_length=max_rows)),  # type: ignore[valid-type]
    )


def problems(error: ValidationError, body: bytes) -> list[dict[str, Any]]:
    """Every mistake as FastAPI shows it: type, path from `body`, message and what was given."""
    found = error.errors(include_url=False, include_context=False)
    shown = [_problem(item, body) for item in found[:_MOST_PROBLEMS]]
    if len(found) > len(shown):
        shown.append({"type": "more", "loc": ["body"], "msg": f"and {len(found) - len(shown)} mistakes more"})
    return shown


def _require_64_bits(rows: Sequence[Any], single: bool) -> None:
    """See that every integer is one that columns, tensors and logs can hold.

    Raises:
        ValidationError: some are not.
    """
    found: list[InitErrorDetails] = []
    for number, row in enumerate(rows):
        for path, value in _beyond(row, () if single else ("rows", number)):
            found.append(InitErrorDetails(type=_TOO_LONG, loc=path, input=value))
    if found:
        raise ValidationError.from_exception_data("rows", found)


_TOO_LONG: Final = PydanticCustomError("int_64_bits", "Input should be an integer of 64 bits")


def _beyond(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], int]]:
    """The integers of more than 64 bits in a value, each with its path."""
    if type(value) is int:
        if not -_BITS_64 <= value < _BITS_64:
            yield path, value
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            yield from _beyond(getattr(value, name), (*path, field.alias or name))
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _beyond(each, (*path, str(name)))
    elif isinstance(value, list | tuple | set | frozenset):
        for number, each in enumerate(value):
            yield from _beyond(each, (*path, number))


def _problem(item: Any, body: bytes) -> dict[str, Any]:
    if item["type"] == "json_invalid":
        return {"type": "json_invalid", "loc": ["body", _offset(item["msg"], body)], "msg": item["msg"]}
    message: str = item["msg"]
    if item["type"] == "literal_error" and len(message) > _LONGEST_TEXT:
        known = message.count("'") // 2
        message = f"{message[:60].rpartition(',')[0]} or another of {known} values: /openapi.json lists them"
    problem = {"type": item["type"], "loc": ["body", *item["loc"]], "msg": message}
    given = item.get("input")
    if isinstance(given, int) and not -_BITS_64 <= given < _BITS_64:
        return problem
    if given is None or isinstance(given, bool | int | str) or (isinstance(given, float) and abs(given) < float("inf")):
        problem["input"] = given[:_LONGEST_TEXT] if isinstance(given, str) else given
    elif isinstance(given, float):
        problem["input"] = str(given)
    return problem


def _offset(message: str, body: bytes) -> int:
    """The place in the body, in bytes, that a message names by line and column."""
    found = _POSITION.search(message)
    if not found:
        return 0
    line, column = int(found[1]), int(found[2])
    before = body.split(b"\n")[: line - 1]
    return min(sum(len(part) + 1 for part in before) + column, len(body))
