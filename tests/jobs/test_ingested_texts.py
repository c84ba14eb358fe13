"""Files of text whose values do not tell what they are: zeros in front, empty cells, other separators and encodings."""

from __future__ import annotations

import json
import lzma
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError
from test_ingested_snapshots import World
from test_ingested_snapshots import world as world

from heliostat.jobs import data_of
from heliostat.jobs.rarely_told import RarelyTold
from heliostat.spec.ingested import digest_of_source
from heliostat.spec.ingestion import FilesSource
from heliostat.systems.errors import PermanentError

HEADER = "id,at,zip,size,late"


def csv(first: int, count: int, zip_code: str = "", header: str = HEADER) -> str:
    lines = [f"r{n},2026-03-01T00:00:00,{zip_code or f'{n:05}'},{n},{n % 2}" for n in range(first, first + count)]
    return "\n".join([header, *lines, ""])


def of_csv(world: World, files: Mapping[str, str | bytes], **source: Any) -> pa.Table:
    for name, content in files.items():
        (world.rows / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    world.source = {**world.source, "format": "csv", **source}
    return world.all(world.make(time=None)).sort_by("id")


def test_digits_are_a_text_where_the_source_says_so(world: World) -> None:
    found = of_csv(world, {"a.csv": csv(0, 50), "b.csv": csv(50, 50, "K1A")}, types={"zip": "string", "size": "double"})
    assert {"00000", "00049", "K1A"} <= {*found["zip"].to_pylist()}
    assert found.schema.field("size").type == pa.float64()


def test_lines_of_json_have_the_types_that_the_source_says(world: World) -> None:
    lines = [json.dumps({"id": f"r{n}", "at": "2026-03-01T00:00:00", "size": n, "late": n % 2}) for n in range(60)]
    found = of_csv(world, {"a.jsonl": "\n".join(lines)}, format="jsonl", types={"size": "double"})
    assert found.schema.field("size").type == pa.float64()
    assert found.num_rows == 60


def test_an_empty_cell_is_missing_in_a_column_of_texts_too(world: World) -> None:
    found = of_csv(world, {"a.csv": csv(0, 50, "K1A"), "b.csv": csv(50, 10, '""')})
    assert found["zip"].null_count == 10
    assert {*found["zip"].to_pylist()} == {"K1A", None}


def test_another_separator_and_another_encoding_are_read(world: World) -> None:
    content = csv(0, 60, "Zürich").replace(",", ";").encode("latin-1")
    found = of_csv(world, {"a.csv": content}, separator=";", encoding="latin-1")
    assert {*found["zip"].to_pylist()} == {"Zürich"}


def test_columns_that_do_not_fit_together_are_told_with_their_files(world: World) -> None:
    files = {"a.csv": csv(0, 9), "b.csv": csv(9, 9, "K1A"), "c.csv": csv(18, 9) + "r99,2026-03-01T00:00:00,1,1,tr"}
    with pytest.raises(PermanentError) as told:
        of_csv(world, files)
    for text in ("'zip' is int64 in ", "a.csv, and string in ", "b.csv; 'late' is int64 in ", "c.csv; mend them", "`types`"):
        assert text in str(told.value)


@pytest.mark.parametrize(
    ("files", "source", "expected"),
    [
        ({"a.csv": csv(0, 9, "Zürich").encode("latin-1")}, {}, r"a\.csv has text in 'zip' that is not of utf-8: name the"),
        ({"a.csv": csv(0, 9, header="id,at,size,size,late")}, {}, r"a\.csv has several columns 'size'"),
        ({"a.csv": csv(0, 9)}, {"types": {"zipp": "string"}}, "name 'zipp': the columns are id, at, zip, size, late"),
        ({"a.csv": csv(0, 9, "K1A")}, {"types": {"zip": "int64"}}, r"a\.csv is no whole csv file: In CSV column #2: .*int64"),
        ({"a.csv.xz": lzma.compress(csv(0, 9).encode())}, {}, r"ends with \.csv, .* or \.csv\.zst .*a\.csv\.xz: .* otherwise"),
        ({}, {}, r"no file below .* ends with \.csv, \.csv\.gz, \.csv\.bz2 or \.csv\.zst and has some$"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_file_and_what_to_do(
    world: World, files: Mapping[str, str | bytes], source: dict[str, Any], expected: str
) -> None:
    with pytest.raises(PermanentError, match=expected):
        of_csv(world, files, **source)


def test_what_a_format_does_not_have_is_no_part_of_a_source() -> None:
    with pytest.raises(ValidationError, match=r"leave `types` out; `separator` and `encoding` are of CSV"):
        FilesSource(uri="file:///rows", types={"zip": "string"}, separator=";")
    with pytest.raises(ValidationError, match="'latin-99' is no encoding"):
        FilesSource(uri="file:///rows", format="csv", encoding="latin-99")


def test_a_source_that_says_none_of_it_is_the_one_that_it_was() -> None:
    plain = FilesSource(uri="file:///rows", format="csv")
    assert plain.model_dump().keys() == {"kind", "uri", "format"}
    typed = plain.model_copy(update={"types": {"zip": "string"}})
    assert digest_of_source(typed) != digest_of_source(plain), "its files are read again"


def test_of_many_files_some_are_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(data_of, "load_entry_point", world.functions.__getitem__)
    monkeypatch.setattr("heliostat.jobs.snapshot.progress", told.append)
    of_csv(world, {f"{n:02}.csv": csv(5 * n, 5) for n in range(30)})
    read = [text for text in told if "00.csv (1 of 30 files)" in text]
    assert len(read) == 1 and not any("(2 of 30" in text for text in told)


def test_what_is_told_rarely_is_told_again_after_a_while() -> None:
    now, told = [0.0], list[str]()
    tell = RarelyTold(told.append, lambda: now[0])
    for second in range(11):
        now[0] = float(second)
        tell(str(second))
    assert told == ["0", "5", "10"]
