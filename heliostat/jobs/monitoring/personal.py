"""Inputs that a contract marks as personal, in what a version is held against: as the prediction log has them, never in clear.

The log is what comes beside them, so that the clear values of a training would be drift in each window.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Self

import pyarrow as pa

from heliostat.jobs.personal_columns import treated
from heliostat.serving.prediction_log.columns import Column, Shape
from heliostat.serving.prediction_log.masking import Masking
from heliostat.spec.personal import Privacy
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.personal_keys import Keyring


class PersonalInputs:
    """What a contract marks of its rows, and what it is treated with."""

    def __init__(self, columns: Sequence[Column], keys: Keyring | None, no_keys: str = "") -> None:
        """Take a contract's inputs, and keys; None: rows are of the log, and were treated. `no_keys`: why there are none."""
        self._columns = {each.name: each for each in columns if each.kind.has_secrets}
        self._keys, self._no_keys = keys, no_keys

    @classmethod
    def of(cls, columns: Sequence[Column], privacy: Privacy | None) -> Self:
        """A contract's, with the keys as far as they can be read here."""
        if privacy is None or not any(each.kind.has_hashed for each in columns):
            return cls(columns, Keyring([]))
        try:
            return cls(columns, Keyring.of(privacy.keys))
        except (PermanentError, RetryableError) as error:
            return cls(columns, Keyring([]), str(error))

    @classmethod
    def of_log(cls, columns: Sequence[Column]) -> Self:
        """A contract's, of rows that the log has."""
        return cls(columns, None)

    def __bool__(self) -> bool:
        """Whether anything is marked."""
        return bool(self._columns)

    def kept(self, names: Sequence[str], asked_for: Collection[str] = ()) -> tuple[str, ...]:
        """Those of the inputs that may be held against the log: all but what it has nothing of, and but the subject, where
        nobody asks for it by its name."""
        return tuple(name for name in names if not self._why_not(name, name in asked_for))

    def problems(self, names: Sequence[str], asked_for: Collection[str] = ()) -> Iterator[str]:
        """Why others are left out."""
        for name in names:
            if why := self._why_not(name, name in asked_for):
                yield f"{name} is not watched: it {why}"

    def treated(self, table: pa.Table) -> pa.Table:
        """A table with what is personal in it as the log has it. It has no column that is not `kept`."""
        if self._keys is None:
            return table
        masking = Masking([*self._columns.values()], self._keys.treatment)
        for number, name in enumerate(table.column_names):
            if (column := self._columns.get(name)) is not None:
                table = table.set_column(number, name, treated(table[name], column, masking))
        return table

    def _why_not(self, name: str, is_asked_for: bool) -> str:
        column = self._columns.get(name)
        if column is None:
            return ""
        mark = column.kind.personal
        if column.kind.shape is Shape.SECRET:
            return "is never logged"
        if mark is None:
            return "has parts that are personal" if self._keys is not None else ""
        if mark.subject and not is_asked_for:
            return "says whose row it is, and nothing of how rows are distributed"
        if column.kind.has_hashed and self._keys is not None and not self._keys.ids:
            return f"is hashed, and there is no key: {self._no_keys or 'declare serving.privacy.keys'}"
        return ""
