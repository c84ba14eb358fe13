"""Request bodies: from bytes to rows of the contract in one pass in Rust, and what to say of those that do not fit."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic_core import from_json, to_json

from heliostat.spec.base import REQUEST_ID

_REQUEST_ID: Final = re.compile(REQUEST_ID.replace("$", r"\Z").encode())
_MANY: Final = re.compile(rb'\s*\{\s*"rows"\s*:')
_POSITION: Final = re.compile(r"at line (\d+) column (\d+)")
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

    def __init__(self, row: type[BaseModel], max_rows: int) -> None:
        self.envelope = envelope_of(row, max_rows)
        self._one = TypeAdapter(row).validator
        self._many = TypeAdapter(self.envelope).validator

    def read(self, body: bytes, beside: Any = None) -> tuple[Sequence[Any], bool]:
        """The rows, and whether the body was a single row.

        `beside`: tensors that came beside the body, as the row's own types find them in the validation's context.

        Raises:
            ValidationError: the body does not fit. Types are taken strictly: "12" is no number.
        """
        if is_many(body):
            return self._many.validate_json(body, strict=True, context=beside).rows, False
        return (self._one.validate_json(body, strict=True, context=beside),), True


def request_id(given: bytes | None) -> bytes:
    """The id that a request is logged by, and that nobody else decides: the client's own where it is one, else a new one."""
    return given if given is not None and _REQUEST_ID.match(given) else os.urandom(16).hex().encode()


def is_many(body: bytes) -> bool:
    """Whether a body is meant as many rows."""
    return bool(_MANY.match(body))


def rows_in(body: bytes) -> bytes:
    """The rows of a body that was taken, or the answers of one to it, as a JSON list, in the text that they came in."""
    begin = _MANY.match(body)
    if begin is None:
        return b"[%b]" % body
    if body.count(b'"rows"') == 1:
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


def _problem(item: Any, body: bytes) -> dict[str, Any]:
    if item["type"] == "json_invalid":
        return {"type": "json_invalid", "loc": ["body", _offset(item["msg"], body)], "msg": item["msg"]}
    message: str = item["msg"]
    if item["type"] == "literal_error" and len(message) > _LONGEST_TEXT:
        known = message.count("'") // 2
        message = f"{message[:60].rpartition(',')[0]} or another of {known} values: /openapi.json lists them"
    problem = {"type": item["type"], "loc": ["body", *item["loc"]], "msg": message}
    given = item.get("input")
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
