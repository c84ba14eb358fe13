"""Snapshots of data that come in parts are those of tables in memory: random tables, randomly cut."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

import pyarrow as pa
import pytest
import whole_tables
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from small_snapshots import kept, read_json, small

from heliostat.ml.datasets import Parts, Tables

_INTS, _TEXT = st.integers(-3, 300), st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
_FLOATS = st.sampled_from([0.0, -0.0, 1.5, 2.5, -7.25, 1e300, math.nan, math.inf])
VALUES: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int16(): _INTS,
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float32(): st.sampled_from([0.0, 1.5, math.nan]),
    pa.float64(): _FLOATS,
    pa.bool_(): st.booleans(),
    pa.string(): _TEXT,
    pa.large_string(): st.sampled_from(["", "a", "ab", "é"]),
    pa.date32(): st.dates(dt.date(1960, 1, 1), dt.date(2100, 1, 1)),
    pa.date64(): st.dates(dt.date(1960, 1, 1), dt.date(2100, 1, 1)),
    pa.time32("s"): st.integers(0, 86_399),
    pa.timestamp("s"): st.integers(0, 10**9),
    pa.timestamp("us", "Europe/Paris"): st.integers(-(10**15), 10**15),
    pa.duration("ms"): _INTS,
    pa.dictionary(pa.int8(), pa.string()): st.sampled_from(["x", "y", "", "zz"]),
    pa.dictionary(pa.int16(), pa.large_string()): st.sampled_from(["x", "y", ""]),
    pa.dictionary(pa.int32(), pa.int64()): _INTS,
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(1, 30))
    columns = {"label": pa.array(draw(st.lists(st.integers(0, 2), min_size=rows, max_size=rows)))}
    kinds = draw(st.lists(st.sampled_from(list(VALUES)), max_size=4))
    for number, kind in enumerate(kinds):
        values = draw(st.lists(st.none() | VALUES[kind], min_size=rows, max_size=rows))
        plain = kind.value_type if pa.types.is_dictionary(kind) else kind
        column = pa.array(values, plain)
        columns[f"c{number}"] = column.dictionary_encode().cast(kind) if plain != kind else column
    return pa.table(columns)


@st.composite
def cuts(draw: st.DrawFn, table: pa.Table) -> list[pa.Table | pa.RecordBatch]:
    """The rows of a table in parts: some without rows, some as record batches, dictionaries each with what it has."""
    places = sorted(draw(st.lists(st.integers(0, table.num_rows), max_size=6)))
    parts = []
    for first, last in zip([0, *places], [*places, table.num_rows], strict=True):
        part = pa.table([_encoded_anew(column) for column in table.slice(first, last - first)], table.column_names)
        as_batch = part.num_rows and draw(st.booleans())
        parts.append(part.combine_chunks().to_batches()[0] if as_batch else part)
    return parts


def _encoded_anew(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    return column.cast(kind.value_type).dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else column


slow = settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # shrinking files takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.filterwarnings("ignore:overflow")
@slow
@given(st.data())
def test_the_same_rows_are_the_same_snapshot_whatever_the_parts(data: st.DataObject) -> None:
    table = data.draw(tables())
    expected = whole_tables.storable(Tables(table, table, table.slice(0, 1), "label"))
    with small() as address:
        parts = Parts(data.draw(cuts(table)), lambda: iter(data.draw(cuts(table))), table.slice(0, 1), "label")
        snapshot, manifest = kept(address, parts)
        assert manifest["digest"] == whole_tables.content_digest(expected)
        statistics = json.loads(json.dumps(whole_tables.statistics_of(expected)))
        assert read_json(address, manifest, "statistics") == statistics
        schema = json.loads(json.dumps(whole_tables.schema_of(expected.train, "label")))
        assert read_json(address, manifest, "schema") == schema
        assert len(manifest["files"]["train"]) == math.ceil(table.num_rows / 10)
        back = snapshot.table("train")
        for name in table.column_names:
            assert repr(back[name].to_pylist()) == repr(expected.train[name].to_pylist())


@pytest.mark.filterwarnings("ignore:overflow")
@slow
@given(tables())
def test_tables_in_memory_have_the_digest_and_the_statistics_that_they_had(table: pa.Table) -> None:
    given = Tables(table, table, table, "label")
    expected = whole_tables.storable(given)
    with small() as address:
        _, manifest = kept(address, given)
        assert manifest["digest"] == whole_tables.content_digest(expected)
        assert read_json(address, manifest, "statistics") == json.loads(json.dumps(whole_tables.statistics_of(expected)))


@slow
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=80))
def test_figures_of_several_blocks_are_those_of_all_values_and_moments_nearly(values: list[float]) -> None:
    table = pa.table({"size": values, "label": pa.array([0] * len(values))})
    expected = whole_tables.statistics_of(Tables(table, table, table, "label"))["train"]["columns"]["size"]
    with small(block=7) as address:
        _, manifest = kept(address, Parts([table], table, table, "label"))
        found = read_json(address, manifest, "statistics")["train"]["columns"]["size"]
    moments = {name: (found.pop(name), expected.pop(name)) for name in ("mean", "std")}
    assert found == expected
    for one, other in moments.values():
        assert one == pytest.approx(other, rel=1e-9, abs=1e-6)
