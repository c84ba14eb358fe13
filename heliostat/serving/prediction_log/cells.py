"""From JSON to the cells of a prediction log's columns, and back. Pure.

What comes back is what was sent, as JSON has it: `4` is not `4.0`, and what was left out is not null, for another version of a
contract may take the one and not the other. Where a row's cells do not give it back, it is kept as JSON too (`Cells.whole`).
"""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json, to_json

from heliostat.serving.prediction_log.columns import Column, Kind, Shape
from heliostat.systems.personal_keys import MASK

_SHOWN: Final = 80
_BITS_64: Final = 1 << 63
_NONE: Final = type(None)
_AS_IT_IS: Final[Mapping[Shape, set[type]]] = {
    Shape.BOOLEAN: {bool, _NONE}, Shape.INTEGER: {int, _NONE}, Shape.NUMBER: {float, _NONE}, Shape.TEXT: {str, _NONE},
    Shape.DECIMAL: {str, _NONE}, Shape.TIME: {str, _NONE}, Shape.SECRET: {str, _NONE},
}  # fmt: skip
"""The JSON types that a cell takes as they are."""
_PLAIN: Final = "0000-00-00T00:00:00"
_READ_DECIMAL: Final = TypeAdapter(decimal.Decimal).validator.validate_json
_READ_TIME: Final = TypeAdapter(dt.datetime).validator.validate_python
_NAMES: Final = {
    Shape.BOOLEAN: "a boolean", Shape.INTEGER: "an integer of 64 bits", Shape.NUMBER: "a number", Shape.TEXT: "text",
    Shape.DECIMAL: "a decimal number", Shape.TIME: "a date with a time", Shape.INSTANT: "a time with a zone",
    Shape.DATE: "a date", Shape.CLOCK: "a time of day",
    Shape.LIST: "a list", Shape.MAP: "an object", Shape.STRUCT: "an object",
}  # fmt: skip


@dataclass
class Cells:
    """The cells of some rows."""

    columns: list[list[Any]]
    """Column by column, row by row."""
    whole: list[bool]
    """Whether the row comes back from them, by row."""
    misfits: dict[int, dict[str, str]]
    """Why a cell is empty although there was something, by row and column; only of rows that have such."""

    def miss(self, row: int, name: str, reason: str) -> None:
        """A value does not fit its column."""
        self.whole[row] = False
        self.misfits.setdefault(row, {})[name] = reason


class _Misfit(ValueError):
    """A value does not fit its column."""


def cells_of(rows: Sequence[Any], columns: Sequence[Column], names: Sequence[str]) -> Cells:
    """The cells of rows; `names`: what the columns are called, for who reads of a misfit.

    Column by column: most columns hold what JSON has, which is seen for all rows at once.
    """
    known = [row if isinstance(row, dict) else {} for row in rows]
    cells = Cells([], [row is each for row, each in zip(rows, known, strict=True)], {})
    told = [0] * len(known)
    """How many of a row's names its cells tell, beside those of columns that have something of every row."""
    always = 0
    for column, name in zip(columns, names, strict=True):
        given = [row.get(column.name) for row in known]
        if column.also:
            _find_others(given, known, column, cells)
        values = _as_they_are(given, column.kind)
        if values is None:
            values = [
                None if value is None else _cell(value, column.kind, cells, row, name) for row, value in enumerate(given)
            ]
        cells.columns.append(values)
        if None not in values:
            always += 1
        elif column.required:
            told = [count + (column.name in row) for count, row in zip(told, known, strict=True)]
        else:
            told = [count + (value is not None) for count, value in zip(told, values, strict=True)]
    cells.whole = [whole and count + always == len(row) for whole, count, row in zip(cells.whole, told, known, strict=True)]
    return cells


def row_of(values: Sequence[Any], columns: Sequence[Column]) -> dict[str, Any]:
    """The row that cells say all of. An empty cell was left out, or where it could not be, null."""
    return {
        column.name: None if value is None else _BACK[column.kind.shape](value, column.kind)
        for column, value in zip(columns, values, strict=True)
        if value is not None or column.required
    }


def _same(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON; the order in an object is nothing."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return repr(one) == repr(other) if isinstance(one, float) else bool(one == other)


def _find_others(given: list[Any], known: Sequence[Mapping[str, Any]], column: Column, cells: Cells) -> None:
    """Fill in what was sent by another name."""
    for row, sent in enumerate(known):
        for name in column.also:
            if name in sent:
                cells.whole[row] = False
                if given[row] is None:
                    given[row] = sent[name]


def _as_they_are(values: list[Any], kind: Kind) -> list[Any] | None:
    """The cells of values that all say themselves what their column holds; None where one does not."""
    expected = _AS_IT_IS.get(kind.shape)
    if expected is None or not set(map(type, values)) <= expected:
        return None
    if kind.shape is Shape.INTEGER:
        there = [value for value in values if value is not None]
        return values if not there or (min(there) >= -_BITS_64 and max(there) < _BITS_64) else None
    return _times(values) if kind.shape is Shape.TIME else values


def _times(values: Sequence[str | None]) -> list[Any] | None:
    """Times as Python writes them, as which most are sent."""
    try:
        times = [None if value is None else dt.datetime.fromisoformat(value) for value in values]
    except ValueError:
        return None
    same = _are_plain(values) or all(
        time is None or (time.tzinfo is None and time.isoformat() == value) for time, value in zip(times, values, strict=True)
    )
    return times if same else None


def _are_plain(values: Sequence[str | None]) -> bool:
    """Whether all texts are times to the second as Python writes them, if they are times: seen for all of them at once."""
    there = [value for value in values if value is not None]
    if set(map(len, there)) != {len(_PLAIN)}:
        return False
    joined = "".join(there)
    marks = all(joined[place :: len(_PLAIN)] == mark * len(there) for place, mark in enumerate(_PLAIN) if mark != "0")
    return marks and "T24" not in joined  # which some Pythons take for the next day


def _cell(value: Any, kind: Kind, cells: Cells, row: int, name: str) -> Any:
    """A cell; None where the value does not fit."""
    try:
        cell = _CELL[kind.shape](value, kind)
    except _Misfit as misfit:
        cells.miss(row, name, str(misfit))
        return None
    if not _same(_BACK[kind.shape](cell, kind), value):
        cells.whole[row] = False
    return cell


def _value(known: Mapping[str, Any], column: Column) -> Any:
    """The part of a struct's cell that a column has; None where it is left out, or null."""
    value = known.get(column.name)
    return None if value is None else _CELL[column.kind.shape](value, column.kind)


def _boolean(value: Any, _kind: Kind) -> Any:
    return value if type(value) is bool else _refuse(value, Shape.BOOLEAN)


def _integer(value: Any, _kind: Kind) -> Any:
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and -_BITS_64 <= value < _BITS_64 else _refuse(value, Shape.INTEGER)


def _number(value: Any, _kind: Kind) -> Any:
    if type(value) is float:
        return value
    if type(value) is not int:
        return _refuse(value, Shape.NUMBER)
    try:
        return float(value)
    except OverflowError:
        return _refuse(value, Shape.NUMBER)


def _text(value: Any, _kind: Kind) -> Any:
    return value if isinstance(value, str) else _refuse(value, Shape.TEXT)


def _decimal(value: Any, _kind: Kind) -> Any:
    if isinstance(value, str):
        return value
    if type(value) not in (int, float):
        return _refuse(value, Shape.DECIMAL)
    try:
        return str(_READ_DECIMAL(to_json(value)))  # with the digits that a contract reads in it
    except ValidationError:
        return _refuse(value, Shape.DECIMAL)


def _temporal(shape: Shape, of: type) -> Callable[[Any, Kind], Any]:
    read = TypeAdapter(of).validator.validate_python

    def cell(value: Any, _kind: Kind) -> Any:
        try:
            found: Any = read(value)
        except ValidationError:
            return _refuse(value, shape)
        return found if getattr(found, "tzinfo", None) is None else found.replace(tzinfo=None)

    return cell


def _instant(value: Any, _kind: Kind) -> Any:
    try:
        found = _READ_TIME(value)
        return found.astimezone(dt.UTC) if found.tzinfo else _refuse(value, Shape.INSTANT)
    except (ValidationError, OverflowError):
        return _refuse(value, Shape.INSTANT)


def _list(value: Any, kind: Kind) -> Any:
    if not isinstance(value, list):
        return _refuse(value, Shape.LIST)
    return [_entry(each, kind) for each in value]


def _map(value: Any, kind: Kind) -> Any:
    if not isinstance(value, dict):
        return _refuse(value, Shape.MAP)
    return [(name, _entry(each, kind)) for name, each in value.items()]


def _struct(value: Any, kind: Kind) -> Any:
    if not isinstance(value, dict):
        return _refuse(value, Shape.STRUCT)
    return {column.name: _value(value, column) for column in kind.fields}


def _entry(value: Any, kind: Kind) -> Any:
    assert kind.items is not None  # noqa: S101 - lists and maps have one
    return None if value is None else _CELL[kind.items.shape](value, kind.items)


def _json(value: Any, _kind: Kind) -> Any:
    return to_json(value).decode()


def _secret(_value: Any, _kind: Kind) -> Any:
    return MASK


def _refuse(value: Any, shape: Shape) -> Any:
    raise _Misfit(f"{to_json(value).decode()[:_SHOWN]} is not {_NAMES[shape]}")


_CELL: Final[Mapping[Shape, Callable[[Any, Kind], Any]]] = {
    Shape.BOOLEAN: _boolean, Shape.INTEGER: _integer, Shape.NUMBER: _number, Shape.TEXT: _text, Shape.DECIMAL: _decimal,
    Shape.TIME: _temporal(Shape.TIME, dt.datetime), Shape.INSTANT: _instant, Shape.DATE: _temporal(Shape.DATE, dt.date),
    Shape.CLOCK: _temporal(Shape.CLOCK, dt.time), Shape.LIST: _list, Shape.MAP: _map, Shape.STRUCT: _struct,
    Shape.JSON: _json, Shape.SECRET: _secret,
}  # fmt: skip


def _plain(value: Any, _kind: Kind) -> Any:
    return value


def _iso(value: Any, _kind: Kind) -> Any:
    return value.isoformat()


def _list_back(value: Any, kind: Kind) -> Any:
    return [_entry_back(each, kind) for each in value]


def _map_back(value: Any, kind: Kind) -> Any:
    return {name: _entry_back(each, kind) for name, each in value}


def _entry_back(value: Any, kind: Kind) -> Any:
    assert kind.items is not None  # noqa: S101 - lists and maps have one
    return None if value is None else _BACK[kind.items.shape](value, kind.items)


_BACK: Final[Mapping[Shape, Callable[[Any, Kind], Any]]] = {
    **dict.fromkeys(Shape, _plain),
    **dict.fromkeys((Shape.TIME, Shape.DATE, Shape.CLOCK), _iso),
    Shape.INSTANT: lambda value, _: f"{value.replace(tzinfo=None).isoformat()}Z",
    Shape.LIST: _list_back,
    Shape.MAP: _map_back,
    Shape.STRUCT: lambda value, kind: row_of([value[column.name] for column in kind.fields], kind.fields),
    Shape.JSON: lambda value, _: from_json(value),
}
