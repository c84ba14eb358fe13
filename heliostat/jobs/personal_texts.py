"""What a job tells of data with personal columns: its errors stand in logs, and quote none of their values.

Values are looked for in a text by the same means as in a replica's errors (`heliostat.serving.hiding`). Where the rows are not
known that an error may quote, what it says is not told: its type and the lines of code are.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from heliostat.data.leakage import Leak
from heliostat.ml.discretion import without_words
from heliostat.ml.snapshots.holding import Held, SplitFinding
from heliostat.ml.snapshots.profiling import parts_in
from heliostat.ml.snapshots.splits import Split
from heliostat.serving.hiding import hiding, plain_values, written
from heliostat.systems.errors import PermanentError, RetryableError

_SHORTEST: Final = 4
"""A shorter text, as a code of one letter, is looked for where it is quoted: as a word it is in most texts."""
_DIGITS: Final = 5
"""Of a number that is looked for. A shorter one, as an age, is in most texts, and names nobody."""


class PersonalTexts:
    """Knows which columns are personal, and the rows that errors may quote."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = frozenset(columns)
        self._known: list[pa.Table] = []

    def know(self, *tables: pa.Table) -> None:
        """Take rows that errors may quote from now on."""
        if self._columns:
            self._known += [table.select([name for name in table.column_names if name in self._columns]) for table in tables]

    def hidden(self, text: str, tables: Iterable[pa.Table] = ()) -> str:
        """A text without personal values of these rows, and of those that are known."""
        if not self._columns:
            return text
        lower = text.lower()
        found = {form for table in (*self._known, *tables) for form in self._named(lower, table)}
        return hiding(found)(text)

    def told(self, error: Exception) -> Exception:
        """What is told of an error in its place; itself where no column is personal."""
        if not self._columns:
            return error
        try:
            return self._in_words(error)
        except Exception:  # values of a kind that nobody knows: whatever it says is not told then
            return PermanentError(without_words(error))

    def _in_words(self, error: Exception) -> Exception:
        if isinstance(error, PermanentError):
            return PermanentError(self.hidden(str(error)))
        if isinstance(error, RetryableError):
            return RetryableError(self.hidden(str(error)))
        if self._known:
            return PermanentError(self.hidden("".join(traceback.format_exception(error))))
        return PermanentError(without_words(error))

    def discreet(self, found: Held, splits: Mapping[str, Split]) -> Held:
        """What became of data that was held to a schema, in texts that name rows of personal columns by number alone."""
        if not self._columns:
            return found

        def leak_of(leak: Leak) -> Leak:
            if not self._columns.intersection(leak.columns):
                return leak
            rows = (part for split in splits.values() for part in parts_in(split))
            return replace(leak, text=self.hidden(leak.text, rows), rows=())

        stopping, others = (tuple(map(self._discreet, each)) for each in (found.stopping, found.others))
        return Held(stopping, others, tuple(map(leak_of, found.leaks)))

    def _discreet(self, found: SplitFinding) -> SplitFinding:
        finding = found.finding
        if finding.column not in self._columns or not finding.count:
            return found
        rows = ", ".join(map(str, finding.rows)) + (" …" if finding.count > len(finding.rows) else "")
        text = (
            f"the column {finding.column!r}: {finding.count:,} rows do not hold its `{finding.expectation}` (rows {rows}); "
            "what they have is personal, and not told"
        )
        return replace(found, finding=replace(finding, text=text, value=None))

    def _named(self, lower: str, table: pa.Table) -> Iterator[str]:
        for name in self._columns.intersection(table.column_names):
            for value in _values(table[name]):
                for form in _forms(value):
                    if form.lower() in lower:
                        yield form


@contextmanager
def quoting_none(columns: Sequence[str], *tables: pa.Table) -> Iterator[None]:
    """Have errors be told without personal values of some rows."""
    with quoting_none_of(columns, lambda names: tables):
        yield


@contextmanager
def quoting_none_of(columns: Sequence[str], rows: Callable[[list[str]], Iterable[pa.Table]]) -> Iterator[None]:
    """The same of rows that are read when there is an error, which may be of the reading: what is known, then, is nothing."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        texts = PersonalTexts(columns)
        try:
            texts.know(*(rows([*columns]) if columns else ()))
        except Exception:
            raise PermanentError(without_words(error)) from None
        if (told := texts.told(error)) is error:
            raise
        raise told from None


def _values(column: pa.ChunkedArray) -> Iterator[Any]:
    """The different values of a column, or the plain ones within them; of whichever type it is."""
    try:
        found = pc.unique(column)
    except pa.ArrowNotImplementedError:  # of what is nested, of extensions, and of some more
        found = column
    for value in found.to_pylist():
        yield from plain_values(value)


def _forms(value: Any) -> Iterable[str]:
    """How a value may stand in a text."""
    if value is None or isinstance(value, bool) or value == "":
        return ()
    if isinstance(value, str):
        if len(value) < _SHORTEST:
            return (f"'{value}'", f'"{value}"')
        is_plain = value.isascii() and value.isprintable() and not {"'", '"', "\\"}.intersection(value)
        return (value,) if is_plain else written(value)
    if isinstance(value, int | float) and sum(each.isdigit() for each in str(value)) < _DIGITS:
        return ()
    return written(value)
