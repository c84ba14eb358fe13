"""The labels in an object of the store, whatever its form: column by column, and line by line where it is not whole."""

from __future__ import annotations

import codecs
import io
from typing import Any, Final

import pyarrow as pa

from heliostat.ml import label_files
from heliostat.monitoring.labels import LABELS, Labels, labels_in

_MOST_ROWS: Final = 1 << 31
_COLUMNS: Final = ("request_id", "row", "label", "time", "weight", "logged")


def labels_of(key: str, content: bytes, classes: tuple[str, ...] = ()) -> Labels:
    """The labels in an object, by the end of its key; never raises.

    What is damaged is read line by line as far as it goes (`heliostat.ml.label_files`); lines tell no `time`.
    """
    try:
        table = _table(key.lower(), content)
    except (pa.ArrowException, OSError, ValueError, UnicodeError):
        return _line_by_line(key, content, classes)
    found = labels_in(table, classes)
    return found if not found.problem or found.table.num_rows else _line_by_line(key, content, classes)


def _table(name: str, content: bytes) -> pa.Table:
    """All of an object as a table of the columns that are a label's.

    Raises:
        pyarrow.ArrowException, OSError, ValueError: it is no such table, or not in every line.
    """
    if name.endswith(".gz"):
        name = name.removesuffix(".gz")
        content = pa.CompressedInputStream(pa.BufferReader(content), "gzip").read()
    kind = name.rpartition(".")[2]
    if kind == "parquet":
        return _parquet(content)
    if kind in ("csv", "tsv"):
        return _separated(content, "," if kind == "csv" else "\t")
    if kind in ("jsonl", "ndjson"):
        import pyarrow.json as json

        # An id that is a date is text as well, and would be read as a time and written as one.
        options = json.ParseOptions(explicit_schema=pa.schema([("request_id", pa.string())]))
        return json.read_json(io.BytesIO(content.removeprefix(codecs.BOM_UTF8)), parse_options=options)
    raise ValueError(kind)


def _parquet(content: bytes) -> Any:
    import pyarrow.parquet as pq

    file = pq.ParquetFile(io.BytesIO(content))
    return file.read(columns=[name for name in _COLUMNS if name in file.schema_arrow.names])


def _separated(content: bytes, separator: str) -> Any:
    """Everything as text: a request id of digits alone is none that may lose its zeros."""
    import pyarrow.csv as csv

    first = content.removeprefix(codecs.BOM_UTF8).split(b"\n", 1)[0].decode()
    names = [name.strip().strip('"') for name in first.strip().split(separator)]
    options = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False)
    reading = csv.ReadOptions(column_names=names, skip_rows=1)
    return csv.read_csv(io.BytesIO(content), reading, csv.ParseOptions(delimiter=separator), options)


def _line_by_line(key: str, content: bytes, classes: tuple[str, ...]) -> Labels:
    found = label_files.read(key, content, label_files.LabelForm(classes=classes))
    places = [place for place in found.labels if place[1] < _MOST_ROWS]
    beyond = len(found.labels) - len(places)
    told = f"{beyond} labels are of rows from {_MOST_ROWS} on, which no request has" if beyond else ""
    table = pa.table(
        [
            pa.array([request_id for request_id, _ in places], pa.string()),
            pa.array([row for _, row in places], pa.int32()),
            pa.array([found.labels[place] for place in places], pa.float64()),
            pa.nulls(len(places), LABELS.field("known").type),
            pa.array([found.weights.get(place) for place in places], pa.float64()),
        ],
        schema=LABELS,
    )
    problem = "; ".join(filter(None, [found.problem, told]))
    return Labels(table, max(0, found.lines - found.wrong - len(found.labels)), found.wrong + beyond, problem)
