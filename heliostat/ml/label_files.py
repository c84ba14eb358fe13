"""Labels out of files of several forms, line by line: one that is none costs no other. Pure.

Parquet (`.parquet`), JSON lines (`.jsonl`, `.ndjson`) and CSV with a header (`.csv`, `.tsv`), each also packed (`.gz`).
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Self

from pydantic_core import from_json, to_json

from heliostat.ml.label_weights import weigh, weight_of
from heliostat.spec.tasks import Embedding, Multiclass, Multilabel, Task

LabelValue = float | tuple[float, ...]
"""A number, or of tasks whose label is a list as many numbers as it has."""
Labels = dict[tuple[str, int], LabelValue]
"""By request id and row."""

_COLUMNS: Final = ("request_id", "row", "label", "weight", "logged")
_MOST_UNPACKED: Final = 1 << 30
_CHUNK: Final = 1 << 16
_GZIP: Final = 31
"""zlib's `wbits` of gzip files."""
_SHOWN: Final = 100
_TRUTHS: Final = {"true": 1.0, "false": 0.0}

Lines = Iterator[tuple[int, Any]]
"""Numbers of lines, from 1, and what is in them: a row by column, or an error that says why there is none."""


@dataclass(frozen=True)
class LabelForm:
    """What a label of a task may be."""

    classes: tuple[str, ...] = ()
    """Names that stand for their places."""
    flags: tuple[str, ...] = ()
    """Names of which a label lists those that are true; or it has 0 or 1 for each."""
    dimensions: int | None = None
    """A label is a list of so many numbers."""

    @classmethod
    def of(cls, task: Task | None) -> Self:
        """Of the labels of a task."""
        match task:
            case Multiclass(classes=classes):
                return cls(classes=classes)
            case Multilabel(labels=labels):
                return cls(flags=labels)
            case Embedding(dimensions=dimensions):
                return cls(dimensions=dimensions)
            case _:
                return cls()

    @property
    def width(self) -> int | None:
        """How many numbers a label is; None: it is one, and no list."""
        return len(self.flags) or self.dimensions


@dataclass
class Found:
    """What a file holds."""

    labels: Labels = field(default_factory=dict)
    weights: dict[tuple[str, int], float] = field(default_factory=dict)
    """One over the chance that an answer was chosen for a review, of labels that are known by that alone."""
    lines: int = 0
    """With a label, without one yet, or wrong."""
    wrong: int = 0
    """Lines that are no label."""
    problem: str = ""
    """Why lines, or all of the file, could not be read; empty where everything could."""


_PLAIN: Final = LabelForm()


def is_data(key: str) -> bool:
    """Whether an object is to be read at all: by custom, `_SUCCESS`, `.part.crc` and the like are about data and none."""
    name = key.rpartition("/")[2]
    return bool(name) and not name.startswith(("_", "."))


def read(key: str, content: bytes, form: LabelForm = _PLAIN) -> Found:
    """The labels in an object, in the form that the task has; never raises."""
    name = key.rpartition("/")[2].lower()
    packed = name.endswith(".gz")
    kind = name.removesuffix(".gz").rpartition(".")[2]
    lines = _KINDS.get(kind)
    if lines is None:
        known = ", ".join(f".{each}" for each in _KINDS)
        return Found(problem=f"it is not read: labels are in files that end with one of {known}, or with that and .gz")
    torn = ""
    if packed:
        content, torn = _unpacked(content)
    found = Found()
    try:
        _take(lines(content), found, form)
    except Exception as error:  # it is no such table, whatever a library calls that
        found.problem = f"{type(error).__name__}: {error}"
    found.problem = "; ".join(filter(None, (found.problem, torn)))
    return found


def _take(lines: Lines, found: Found, form: LabelForm) -> None:
    read_label: Callable[[Any], LabelValue | None] = (
        partial(_listed, form) if form.width is not None else partial(_number, _places(form.classes))
    )
    for number, row in lines:
        found.lines += 1
        try:
            if isinstance(row, Exception):
                raise row
            place, label = _label(row, read_label)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, csv.Error) as error:
            found.wrong += 1
            found.problem = found.problem or f"line {number} first: {error}"
            continue
        if label is not None:
            weigh(found.weights, place, weight_of(row), is_known=place in found.labels)
            found.labels[place] = label
    if found.wrong:
        found.problem = f"{found.wrong} of {found.lines} lines are no labels, {found.problem}"


def _places(names: tuple[str, ...]) -> dict[str, float]:
    return {name: float(place) for place, name in enumerate(names)}


def _label(
    row: Mapping[str, Any], read_label: Callable[[Any], LabelValue | None]
) -> tuple[tuple[str, int], LabelValue | None]:
    """The place of a label and the label; None for one that is not known yet.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(row, Mapping):
        raise ValueError(f"{_shown(row)} is no object with request_id and label")
    missing = [name for name in ("request_id", "label") if name not in row]
    if missing:
        raise ValueError(f"it has no {' and no '.join(missing)}, but {', '.join(map(str, row)) or 'nothing'}"[:_SHOWN])
    return place_of(row), read_label(row["label"])


def place_of(row: Mapping[str, Any]) -> tuple[str, int]:
    """The request id and the row that a label is of, by what a line has; row 0 where it says none.

    Raises:
        ValueError, TypeError, OverflowError: it names no request, or no number from 0.
    """
    request_id, number = row.get("request_id"), row.get("row")
    if request_id is None or request_id == "" or isinstance(request_id, float | bool):
        raise ValueError(f"the request_id {_shown(request_id)} is none")
    place = 0 if number is None or number == "" or number != number else float(number)
    if not (math.isfinite(place) and place >= 0 and place == int(place)):
        raise ValueError(f"the row {_shown(number)} is no number from 0")
    return str(request_id), int(place)


def _listed(form: LabelForm, label: Any) -> tuple[float, ...] | None:
    """A label that is a list; where a file has text alone, it is JSON.

    Raises:
        ValueError: it is none.
    """
    if isinstance(label, str) and label.strip():
        try:
            label = from_json(label)
        except ValueError:
            raise ValueError(f"the label {_shown(label)} is no list in JSON") from None
    if label is None or label == "":
        return None
    if not isinstance(label, list | tuple):
        raise ValueError(f"the label {_shown(label)} is no list")
    if form.flags and all(isinstance(each, str) for each in label):
        if others := [each for each in label if each not in form.flags]:
            raise ValueError(f"the label {_shown(label)} has {_shown(others[0])}, none of the task's labels")
        return tuple(float(name in label) for name in form.flags)
    numbers = tuple(float(each) for each in label if isinstance(each, bool | int | float) and math.isfinite(each))
    if len(numbers) != len(label) or len(numbers) != form.width:
        of = "names of the task's labels, or 0 or 1 for each" if form.flags else "finite numbers"
        raise ValueError(f"the label {_shown(label)} is no list of {form.width} {of}")
    if form.flags and set(numbers) - {0.0, 1.0}:
        raise ValueError(f"the label {_shown(label)} holds what is neither 0 nor 1")
    return numbers


def _number(classes: Mapping[str, float], label: Any) -> float | None:
    if label is None or label == "":
        return None
    if isinstance(label, str) and label in classes:
        return classes[label]
    number = _TRUTHS.get(label.strip().lower()) if isinstance(label, str) else None
    try:
        number = float(label) if number is None else number
    except (ValueError, TypeError, OverflowError):
        raise ValueError(f"the label {_shown(label)} is no finite number") from None
    if math.isinf(number):
        raise ValueError(f"the label {_shown(label)} is no finite number")
    return None if math.isnan(number) else number


def _parquet(content: bytes) -> Lines:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(io.BytesIO(content))
    names = file.schema_arrow.names
    if not {"request_id", "label"} <= set(names):
        raise ValueError(f"it has no columns request_id and label, but {', '.join(names)}"[:_SHOWN])
    number = 0
    for batch in file.iter_batches(columns=[name for name in _COLUMNS if name in names]):
        for row in batch.to_pylist():
            number += 1
            yield number, row


def _json_lines(content: bytes) -> Lines:
    for number, line in enumerate(content.removeprefix(codecs.BOM_UTF8).split(b"\n"), 1):
        if line.strip():
            try:
                yield number, from_json(line)
            except ValueError as error:
                yield number, error


def _separated(separator: str) -> Callable[[bytes], Lines]:
    def lines(content: bytes) -> Lines:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig", "replace"), newline=""), delimiter=separator)
        header = [name.strip() for name in next(reader, [])]
        if not {"request_id", "label"} <= set(header):
            raise ValueError(f"its first line names no request_id and label, but {', '.join(header)}"[:_SHOWN])
        while True:
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield reader.line_num, error
                continue
            if len(values) == len(header):
                yield reader.line_num, {name: value.strip() for name, value in zip(header, values, strict=True)}
            elif values:
                yield reader.line_num, ValueError(f"it has {len(values)} values and the first line {len(header)}")

    return lines


_KINDS: Final[Mapping[str, Callable[[bytes], Lines]]] = {
    "parquet": _parquet,
    "jsonl": _json_lines,
    "ndjson": _json_lines,
    "csv": _separated(","),
    "tsv": _separated("\t"),
}


def _unpacked(content: bytes) -> tuple[bytes, str]:
    """What is in a gzip file, as far as it is whole, and what is wrong with it."""
    parts, size, member = [], 0, zlib.decompressobj(_GZIP)
    for start in range(0, len(content), _CHUNK):
        packed = content[start : start + _CHUNK]
        try:
            while packed:
                if member.eof:
                    member = zlib.decompressobj(_GZIP)
                parts.append(member.decompress(packed))
                size += len(parts[-1])
                packed = member.unused_data.lstrip(b"\0") if member.eof else b""
        except zlib.error as error:
            return b"".join(parts), f"it cannot be unpacked to its end: {error}"
        if size > _MOST_UNPACKED:
            return b"".join(parts), f"only its first {_MOST_UNPACKED >> 20} MiB are read: write several files"
    return b"".join(parts), "" if member.eof else "it cannot be unpacked to its end: it is cut off"


def _shown(value: Any) -> str:
    return to_json(value, serialize_unknown=True).decode()[:_SHOWN]
