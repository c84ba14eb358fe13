"""Profiles as bytes: one Arrow file, a row a column, and back without loss."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa

from heliostat.data import arrow_files
from heliostat.data.correlations import Correlations
from heliostat.data.distinct import Distinct
from heliostat.data.frequencies import Frequencies
from heliostat.data.histograms import Histogram
from heliostat.data.moments import Moments
from heliostat.data.profiles import VERSION, ColumnProfile, FiniteNumbers, Numbers, Profile


class ProfileFormatError(ValueError):
    """Bytes that are no profile, or one of another version."""


_MOMENTS: Final = ("mean", "second", "third", "fourth")
_HASHES: Final = pa.list_(pa.uint64())
_COUNTS: Final = pa.list_(pa.int64())
_NUMBERS: Final = pa.struct(
    [
        ("nan", pa.int64()),
        ("positive_infinity", pa.int64()),
        ("negative_infinity", pa.int64()),
        ("count", pa.int64()),
        ("least", pa.float64()),
        ("greatest", pa.float64()),
        *((name, pa.float64()) for name in _MOMENTS),
        ("shift", pa.int8()),
        ("exact", pa.bool_()),
        ("codes", _COUNTS),
        ("counts", _COUNTS),
        ("hashes", _HASHES),
    ]
)
_TEXTS: Final = pa.struct(
    [("values", pa.list_(pa.string())), ("counts", _COUNTS), ("count", pa.int64()), ("error", pa.int64()), ("hashes", _HASHES)]
)
_SCHEMA: Final = pa.schema(
    [
        ("class", pa.string()),  # null: of all rows
        ("name", pa.string()),
        ("types", pa.list_(pa.string())),
        ("rows", pa.int64()),
        ("missing", pa.int64()),
        ("numbers", _NUMBERS),
        ("texts", _TEXTS),
        ("lengths", _NUMBERS),
    ]
)
_KEY: Final = b"heliostat.profile"


def to_bytes(profile: Profile) -> bytes:
    """A profile as an Arrow file, compressed."""
    rows = [*_rows(None, profile), *(row for name, each in profile.by_class.items() for row in _rows(name, each))]
    header = {
        "version": VERSION,
        "rows": profile.rows,
        "label": profile.label,
        "notes": profile.notes,
        "classes": {name: each.rows for name, each in profile.by_class.items()},
        "correlations": _correlations(profile.correlations),
    }
    schema = _SCHEMA.with_metadata({_KEY: json.dumps(header)})
    return arrow_files.to_file(pa.Table.from_pylist(rows, schema))


def from_bytes(content: bytes) -> Profile:
    """The profile that `to_bytes` wrote.

    Raises:
        ProfileFormatError: they are none, damaged, or of another version.
    """
    try:
        table = arrow_files.from_file(content)
        header = json.loads((table.schema.metadata or {})[_KEY])
    except (KeyError, ValueError) as error:
        raise ProfileFormatError(f"{len(content)} bytes that are no profile ({error}): make the profile anew") from None
    if header["version"] != VERSION:
        raise ProfileFormatError(f"a profile of version {header['version']}, and {VERSION} is read: make the profile anew")
    columns: dict[str | None, dict[str, ColumnProfile]] = {}
    for batch in table.to_batches():
        for place in range(batch.num_rows):
            row = {name: batch[name][place] for name in batch.schema.names}
            columns.setdefault(row["class"].as_py(), {})[row["name"].as_py()] = _column(row)
    return Profile(
        header["rows"],
        columns.get(None, {}),
        _read_correlations(header["correlations"]),
        header["label"],
        {name: Profile(rows, columns.get(name, {})) for name, rows in header["classes"].items()},
        tuple(header["notes"]),
    )


def _rows(class_: str | None, profile: Profile) -> Iterator[dict[str, Any]]:
    for name, column in profile.columns.items():
        yield {
            "class": class_,
            "name": name,
            "types": column.types,
            "rows": column.rows,
            "missing": column.missing,
            "numbers": _numbers(column.numbers),
            "texts": _texts(column.texts),
            "lengths": _numbers(column.lengths),
        }


def _numbers(numbers: Numbers | None) -> dict[str, Any] | None:
    if numbers is None:
        return None
    odd = {name: getattr(numbers, name) for name in ("nan", "positive_infinity", "negative_infinity")}
    finite = numbers.finite
    if finite is None:
        return odd | {"count": 0}
    return odd | {
        "count": finite.moments.count,
        "least": finite.least,
        "greatest": finite.greatest,
        **{name: getattr(finite.moments, name) for name in _MOMENTS},
        "shift": finite.histogram.shift,
        "exact": finite.histogram.is_exact,
        "codes": finite.histogram.codes,
        "counts": finite.histogram.counts,
        "hashes": _hashes(finite.distinct),
    }


def _texts(texts: Frequencies | None) -> dict[str, Any] | None:
    if texts is None:
        return None
    values = texts.values.to_pylist()
    return {
        "values": values,
        "counts": texts.counts,
        "count": texts.count,
        "error": texts.error,
        "hashes": _hashes(texts.distinct),
    }


def _hashes(distinct: Distinct | None) -> Any:
    return None if distinct is None else distinct.hashes


def _column(row: Mapping[str, Any]) -> ColumnProfile:
    types, rows, missing = (row[name].as_py() for name in ("types", "rows", "missing"))
    numbers, texts, lengths = row["numbers"], row["texts"], row["lengths"]
    return ColumnProfile(
        tuple(types),
        rows,
        missing,
        _read_numbers(numbers) if numbers.is_valid else None,
        _read_texts(texts) if texts.is_valid else None,
        _read_numbers(lengths) if lengths.is_valid else None,
    )


def _read_numbers(found: Any) -> Numbers:
    nan, positive, negative = (found[name].as_py() for name in ("nan", "positive_infinity", "negative_infinity"))
    count = found["count"].as_py()
    if not count:
        return Numbers(nan, positive, negative, None)
    moments = Moments(count, *(found[name].as_py() for name in _MOMENTS))
    codes, counts = (found[name].values.to_numpy() for name in ("codes", "counts"))
    histogram = Histogram(found["shift"].as_py(), found["exact"].as_py(), codes, counts)
    least, greatest, distinct = found["least"].as_py(), found["greatest"].as_py(), _read_hashes(found["hashes"])
    return Numbers(nan, positive, negative, FiniteNumbers(least, greatest, moments, histogram, distinct))


def _read_texts(found: Any) -> Frequencies:
    return Frequencies(
        found["values"].values,
        found["counts"].values.to_numpy(),
        found["count"].as_py(),
        found["error"].as_py(),
        _read_hashes(found["hashes"]),
    )


def _read_hashes(found: Any) -> Distinct | None:
    return Distinct(found.values.to_numpy()) if found.is_valid else None


_MATRICES: Final = ("counts", "means", "squares", "products")


def _correlations(correlations: Correlations | None) -> dict[str, Any] | None:
    if correlations is None:
        return None
    return {"names": correlations.names, **{name: getattr(correlations, name).tolist() for name in _MATRICES}}


def _read_correlations(found: Mapping[str, Any] | None) -> Correlations | None:
    if found is None:
        return None
    matrices: Iterable[Any] = (np.array(found[name]) for name in _MATRICES)
    return Correlations(tuple(found["names"]), *matrices)
