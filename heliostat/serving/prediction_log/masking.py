"""Rows without what is secret in them, and with what is personal treated. What each column needs is worked out once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from pydantic_core import from_json, to_json

from heliostat.serving.prediction_log.columns import Column, Kind, Shape
from heliostat.spec.personal import PersonalMark
from heliostat.systems.personal_keys import MASK

Change = Callable[[Any], Any]
"""What is written in the place of a value that is there."""
Treat = Callable[[PersonalMark], Change]
"""What becomes of personal values with a mark."""


def hide(_mark: PersonalMark) -> Change:
    """MASK, whatever the value is."""
    return _mask


class Masking:
    """Of rows with these columns. Safe to use from several threads."""

    def __init__(self, columns: Sequence[Column], treat: Treat = hide) -> None:
        """`treat`: by default what is personal goes as what is secret does."""
        self.changes_rows: Final = any(column.kind.has_secrets for column in columns)
        """Whether rows come out otherwise than they came."""
        self._row = _of_fields(columns, treat)

    def row(self, row: Any) -> Any:
        """A row, which is changed itself. What no column is for may be secret or personal by another name, and goes too."""
        return self._row(row)

    def each(self, encoded: Sequence[bytes]) -> Sequence[bytes]:
        """JSON lists of rows, which are read together."""
        if not self.changes_rows:
            return encoded
        lists = from_json(b"[%b]" % b",".join(encoded), cache_strings="keys")
        change = self._row
        for rows in lists:
            for number, row in enumerate(rows):
                rows[number] = change(row)
        return [to_json(rows) for rows in lists]


def _of_fields(columns: Sequence[Column], treat: Treat) -> Change:
    names = [(name, column) for column in columns for name in (column.name, *column.also)]
    known = frozenset(name for name, _ in names)
    changed = [(name, own) for name, column in names if (own := _change(column.kind, treat)) is not None]

    def change(row: Any) -> Any:
        if not isinstance(row, dict):
            return MASK
        if not row.keys() <= known:
            row.update(dict.fromkeys(row.keys() - known, MASK))
        for name, own in changed:
            value = row.get(name)
            if value is not None:
                row[name] = own(value)
        return row

    return change


def _change(kind: Kind, treat: Treat) -> Change | None:
    """What is done to a kind's values; None where they stay."""
    if not kind.has_secrets:
        return None
    if (mark := kind.personal) is not None:
        return treat(mark)
    if kind.shape is Shape.STRUCT:
        return _of_fields(kind.fields, treat)
    own = _change(kind.items, treat) if kind.items is not None else None
    if own is not None and kind.shape is Shape.LIST:
        return _of_list(own)
    if own is not None and kind.shape is Shape.MAP:
        return _of_map(own)
    return _mask


def _of_list(own: Change) -> Change:
    def change(value: Any) -> Any:
        return [None if each is None else own(each) for each in value] if isinstance(value, list) else MASK

    return change


def _of_map(own: Change) -> Change:
    def change(value: Any) -> Any:
        if not isinstance(value, dict):
            return MASK
        return {name: None if each is None else own(each) for name, each in value.items()}

    return change


def _mask(_value: Any) -> Any:
    return MASK
