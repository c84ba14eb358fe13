"""Takes a person's rows out of objects: files of the prediction log, of reviews and of labels."""

from __future__ import annotations

import codecs
import hashlib
import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic_core import from_json

from heliostat.governance.subjects import Subject
from heliostat.ml.label_files import place_of

Place = tuple[str, int]
"""Request id and row of a prediction."""


class UnreadableError(ValueError):
    """A file that is damaged or cut off: whose rows are in it cannot be told."""


@dataclass(frozen=True)
class Cleaned:
    """An object without the rows."""

    content: bytes | None
    """None: nothing is left of it."""
    rows: int
    """That were taken out."""
    predictions: tuple[Place, ...] = ()
    """Of the prediction log: which."""


def predictions(content: bytes, subject: Subject, until: float) -> Cleaned | None:
    """A file of the prediction log without the person's rows of requests until then; None where it has none.

    Raises:
        UnreadableError: it is damaged.
    """
    name = f"input_{subject.field}"
    with _reading():
        file = pq.ParquetFile(io.BytesIO(content))
        if name not in file.schema_arrow.names:
            return None
        found = subject.rows_in(file.read(columns=[name])[name])
        if not pc.any(found).as_py():
            return None
        table = file.read()
    # A row that does not say when it was asked for is theirs all the same, and nobody else's goes for that.
    asked_until = pc.less_equal(table["time"].cast(pa.int64()), round(until * 1e6)).fill_null(True)
    return _without(table, pc.and_(found, asked_until), places=True)


def rows(content: bytes, subject: Subject) -> Cleaned | None:
    """A file of rows in columns of their own names without the person's, and be it empty then; None where it has none.

    Raises:
        UnreadableError: it is damaged.
    """
    with _reading():
        table = pq.read_table(io.BytesIO(content))
    if subject.field not in table.column_names:
        return None
    found = subject.rows_in(table[subject.field])
    count = pc.sum(found).as_py() or 0
    return Cleaned(_written(table.filter(pc.invert(found))), count) if count else None


def labels(content: bytes, places: Collection[Place]) -> Cleaned | None:
    """A Parquet file of labels without those of these predictions; None where it has none.

    Raises:
        UnreadableError: it is damaged.
    """
    with _reading():
        table = pq.read_table(io.BytesIO(content))
    named = [name for name in ("request_id", "row") if name in table.column_names]
    found = [_is_of(row, places) for row in table.select(named).to_pylist()]
    return _without(table, pa.chunked_array([pa.array(found, pa.bool_())])) if any(found) else None


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise UnreadableError(" ".join(str(error).split())[:200]) from None


def _is_of(row: Mapping[str, Any], places: Collection[Place]) -> bool:
    """Whether what a label says of itself names one of these predictions, as whoever reads labels takes it."""
    try:
        return place_of(row) in places
    except (ValueError, TypeError, OverflowError):
        return False


def _without(table: pa.Table, found: pa.ChunkedArray, places: bool = False) -> Cleaned | None:
    count = pc.sum(found).as_py() or 0
    if not count:
        return None
    gone = table.filter(found)
    named = zip(gone["request_id"].to_pylist(), gone["row"].to_pylist(), strict=True) if places else ()
    kept = table.filter(pc.invert(found))
    if not kept.num_rows:
        return Cleaned(None, count, tuple(named))
    return Cleaned(_written(kept), count, tuple(named))


def count_of(content: bytes) -> int:
    """How many rows a Parquet file has."""
    return int(pq.read_metadata(io.BytesIO(content)).num_rows)


def _written(table: pa.Table) -> bytes:
    written = io.BytesIO()
    pq.write_table(table, written, compression="zstd")
    return written.getvalue()


def lines_of(content: bytes, is_theirs: Callable[[bytes], bool]) -> Cleaned | None:
    """A file of lines without some; None where it has none of those."""
    lines = content.splitlines(keepends=True)
    kept = [line for line in lines if not is_theirs(line)]
    if len(kept) == len(lines):
        return None
    return Cleaned(b"".join(kept) or None, len(lines) - len(kept))


def names(subject: Subject) -> Callable[[bytes], bool]:
    """Whether a line has the person in it, hashed or, as whole JSON text, in clear."""
    texts = {json.dumps(subject.value), json.dumps(subject.value, ensure_ascii=False)}
    # A line that could not be read stands in another one, a character a byte (`heliostat.serving.prediction_log.files`).
    aside = {json.dumps(text.encode().decode("latin-1"), ensure_ascii=False)[1:-1] for text in texts}
    wanted = [text.encode() for text in (*subject.tokens, *texts, *aside)]
    return lambda line: any(token in line for token in wanted)


def is_label_of(places: Collection[Place]) -> Callable[[bytes], bool]:
    """Whether a line of JSON is the label of one of these predictions."""

    def theirs(line: bytes) -> bool:
        try:
            found = from_json(line.removeprefix(codecs.BOM_UTF8))
        except ValueError:
            return False
        return isinstance(found, dict) and _is_of(found, places)

    return theirs


def sha256(content: bytes) -> str:
    """The digest of an object's content."""
    return hashlib.sha256(content).hexdigest()


def mentioned(content: bytes, places: Collection[Place]) -> Iterator[Place]:
    """Which of these predictions a file of a form that is not written anew may tell of."""
    return (place for place in places if place[0].encode() in content)
