"""Finds personal values in texts about a request, such as errors, and hides them there."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Self

from pydantic import AliasChoices, BaseModel
from pydantic_core import PydanticSerializationError, from_json, to_json

from heliostat.ml.contracts import Contract
from heliostat.serving.postprocessing import StepError
from heliostat.serving.prediction_log.columns import Column, Columns, Kind

_SHORTEST: Final = 4
"""A shorter value is looked for as a word of its own: else it would be found in most texts."""
_HIDDEN: Final = "<personal>"
_HIDDEN_REASON: Final = "personal"
_CUT: Final = re.compile(r"(?<=input_value=).*?(?=, input_type=\w+\](?:\s|\Z))", re.DOTALL)
"""What pydantic quotes of an input: the middle is left out, so that no value would be found in it."""
_NO_CODE: Final = re.compile(r"[^a-z0-9]+")


class Hiding:
    """Hides the personal values of rows and answers in what post-processing steps say of them."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns

    @classmethod
    def of(cls, contract: Contract[Any, Any]) -> Self | None:
        """A contract's; None where nothing of it is personal."""
        columns = Columns.of(contract.row, contract.answer)
        return cls(columns) if any(each.kind.has_secrets for each in (*columns.input, *columns.prediction)) else None

    def error(self, error: StepError, rows: Sequence[Any], encoded: Sequence[bytes]) -> StepError:
        """What is told of an error: its texts without the values of the rows, and of the answers in JSON."""
        hidden = hiding(self._values(rows, encoded))
        told = StepError(error.step, hidden(error.text), error.kind, hidden(error.why))
        told.add_note(hidden("".join(traceback.format_exception(error))))
        return told

    def reason(self, reason: str, row: Any, encoded: Sequence[bytes]) -> str:
        """The reason of a change; one that has a value of the row or of its answer in it is not told."""
        values = self._values([row], encoded)
        as_codes = {_NO_CODE.sub("-", value.lower()).strip("-") for value in values}
        return reason if hiding(values | as_codes)(reason) == reason else _HIDDEN_REASON

    def _values(self, rows: Sequence[Any], encoded: Sequence[bytes]) -> set[str]:
        found = {text for row in rows for text in personal_in(_as_sent(row), self._columns.input)}
        answers = [from_json(each) for each in encoded]
        return found | {text for each in answers for text in personal_in(each, self._columns.prediction)}


def _as_sent(value: Any) -> Any:
    """A row as a client may send it, with each field under all of its names and each value as the workload has it."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {each: _as_sent(getattr(value, name, None)) for name in fields for each in _names(name, fields[name])}
    if isinstance(value, dict):
        return {name: _as_sent(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_as_sent(each) for each in value]
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def _names(name: str, field: Any) -> set[str]:
    alias = field.validation_alias if field.validation_alias is not None else field.alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return {name, *(choice for choice in choices if isinstance(choice, str))}


def personal_in(row: Mapping[str, Any], columns: Sequence[Column]) -> Iterator[str]:
    """The texts of the personal values of a row."""
    for column in columns:
        for name in (column.name, *column.also):
            if name in row and column.kind.has_secrets:
                yield from _texts(row[name], column.kind)


def _texts(value: Any, kind: Kind) -> Iterator[str]:
    if kind.personal is None and kind.fields and isinstance(value, dict):
        yield from personal_in(value, kind.fields)
    elif kind.personal is None and kind.items is not None and isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each, kind.items)
    elif kind.has_secrets:
        for each in plain_values(value):
            yield from written(each)


def plain_values(value: Any) -> Iterator[Any]:
    """A value, or those within it, that may name somebody: nothing, and yes and no, do not. Keys may where they are no names
    of fields; Arrow's maps are lists of keys and values, and both are looked into."""
    if isinstance(value, dict):
        yield from (key for key in value if not (isinstance(key, str) and key.isidentifier()))
        value = list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from plain_values(each)
    elif value is not None and not isinstance(value, bool):
        yield value


def written(value: Any) -> set[str]:
    """How a plain value may stand in a text: as it is, and as Python and JSON quote it; bytes as text and digits as well."""
    found = {str(value), repr(value).strip("'\""), ascii(value).strip("'\"")}
    if isinstance(value, bytes):
        return found | {repr(value)[2:-1], value.decode(errors="replace"), value.hex()}
    if isinstance(value, float) and value.is_integer():
        found.add(str(int(value)))  # as a number that has been one of a column with missing values
    try:
        return found | {to_json(value).decode().strip('"')}
    except PydanticSerializationError:
        return found  # what JSON has no form for stands in none


def hiding(values: set[str]) -> Callable[[str], str]:
    """A function that puts a stand-in into the place of these values, wherever they are in a text."""
    found = sorted(filter(None, values), key=len, reverse=True)
    if not found:
        return lambda text: _CUT.sub(_HIDDEN, text)
    parts = [re.escape(value) if len(value) >= _SHORTEST else rf"(?<!\w){re.escape(value)}(?!\w)" for value in found]
    pattern = re.compile("|".join(parts), re.IGNORECASE)
    return lambda text: pattern.sub(_HIDDEN, _CUT.sub(_HIDDEN, text))
