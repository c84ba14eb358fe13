"""Files of text that are compressed: read as they would be plain, a block at a time, and told where they are not whole."""

from __future__ import annotations

import bz2
import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from test_ingested_snapshots import World
from test_ingested_snapshots import world as world

from heliostat.jobs import unpacked
from heliostat.jobs.row_tables import table_of_file
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.ingestion import FilesSource
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store

SOURCE = FilesSource(uri="file:///rows", format="csv")


def csv(first: int, count: int, place: str = "Bonn") -> bytes:
    lines = [f"r{n},{place},{n},{n % 2}" for n in range(first, first + count)]
    return "\n".join(["id,place,size,late", *lines, ""]).encode()


def zstd(content: bytes) -> bytes:
    packed = pa.BufferOutputStream()
    with pa.CompressedOutputStream(packed, "zstd") as stream:
        stream.write(content)
    found: bytes = packed.getvalue().to_pybytes()
    return found


COMPRESSED: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".zst": zstd}
by_compression = pytest.mark.parametrize("ending", COMPRESSED)


def rows_of(world: World, **source: Any) -> pa.Table:
    world.source = {**world.source, "format": "csv", **source}
    return world.all(world.make(time=None)).sort_by("id")


@pytest.fixture
def flat(world: World) -> World:
    world.functions["w.d:snapshot"] = lambda parameters, rows: rows
    return world


@by_compression
def test_compressed_csv_is_read_beside_plain_csv(flat: World, ending: str) -> None:
    (flat.rows / "a.csv").write_bytes(csv(0, 30))
    (flat.rows / f"b.csv{ending}").write_bytes(COMPRESSED[ending](csv(30, 30)))
    found = rows_of(flat, types={"size": "double"})
    assert sorted(found["size"].to_pylist()) == [float(n) for n in range(60)]


@by_compression
def test_compressed_lines_of_json_are_read(flat: World, ending: str) -> None:
    lines = "\n".join(json.dumps({"id": f"r{n}", "size": n, "late": n % 2}) for n in range(60))
    (flat.rows / f"a.jsonl{ending}").write_bytes(COMPRESSED[ending](lines.encode()))
    assert rows_of(flat, format="jsonl").num_rows == 60


def test_files_that_were_compressed_apart_and_put_together_are_read_to_their_end() -> None:
    found = table_of_file(SOURCE, "a.csv.gz", gzip.compress(csv(0, 9)) + gzip.compress(b"r9,Bonn,9,1\n"))
    assert found["size"].to_pylist() == [*range(10)]


def test_another_encoding_is_read_from_a_compressed_file() -> None:
    source = SOURCE.model_copy(update={"encoding": "iso8859-1"})
    found = table_of_file(source, "a.csv.gz", gzip.compress(csv(0, 9, "Zürich").decode().encode("latin-1")))
    assert {*found["place"].to_pylist()} == {"Zürich"}


@pytest.mark.parametrize("format", ["csv", "jsonl"])
def test_a_compressed_file_with_nothing_in_it_has_no_rows(format: Any) -> None:
    source = FilesSource(uri="file:///rows", format=format)
    assert table_of_file(source, f"a.{format}.gz", gzip.compress(b" \n\n")).num_rows == 0


def test_a_mistake_in_a_compressed_file_is_told_with_its_row() -> None:
    with pytest.raises(PermanentError, match=r"a\.csv\.gz is no whole csv file: .*Row #11: Expected 4 columns, got 2$"):
        table_of_file(SOURCE, "a.csv.gz", gzip.compress(csv(0, 9) + b"r9,Bonn\n"))


@pytest.mark.parametrize(("format", "wrong"), [("csv", b"r9,Bonn\n"), ("jsonl", b"{]\n")])
def test_damage_behind_a_wrong_row_is_told_as_damage(format: Any, wrong: bytes) -> None:
    rows = csv(0, 100_000) if format == "csv" else b'{"size": 1}\n' * 200_000
    source = FilesSource(uri="file:///rows", format=format)
    content = gzip.compress(rows.partition(b"\n")[0] + b"\n" + wrong + rows)
    with pytest.raises(PermanentError, match="no whole gzip file: Truncated"):
        table_of_file(source, "a.csv.gz", content[:-1])
    with pytest.raises(PermanentError, match=f"no whole {format} file"):
        table_of_file(source, "a.csv.gz", content)


@by_compression
@pytest.mark.parametrize("size", [9, 200_000])
def test_a_file_that_is_cut_off_anywhere_is_told_and_no_row_of_it_is_taken(ending: str, size: int) -> None:
    content = COMPRESSED[ending](csv(0, size))
    for left in (3, len(content) // 2, len(content) - 1):
        with pytest.raises(PermanentError, match=rf"^file:///rows/a\.csv\{ending} is no whole .* file: Truncated compressed"):
            table_of_file(SOURCE, f"file:///rows/a.csv{ending}", content[:left])


@pytest.mark.parametrize(
    "content",
    [csv(0, 9), gzip.compress(csv(0, 9)) + b"more", zstd(csv(0, 9)), gzip.compress(csv(0, 9))[:-8] + b"\0" * 8],
    ids=["plain", "more behind it", "compressed otherwise", "another checksum"],
)
def test_what_is_no_gzip_is_told_with_its_file_and_what_to_do(content: bytes) -> None:
    with pytest.raises(PermanentError, match=r"^b/a\.csv\.gz is no whole gzip file: zlib .*; compress it anew, or name it by"):
        table_of_file(SOURCE, "b/a.csv.gz", content)


def test_memory_never_holds_the_text_of_a_compressed_file() -> None:
    line = b"r1,Bonn," + b"0" * 4_000 + b"1,1\n"
    content = gzip.compress(b"id,place,size,late\n" + line * 20_000, 1)
    tracemalloc.start()
    try:
        found = table_of_file(SOURCE, "a.csv.gz", content)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.num_rows == 20_000
    assert most < 20_000 * len(line) // 2, "half of the text at most"


def test_a_small_file_that_unpacks_to_more_than_the_limit_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacked, "_MOST_BYTES", 1_000_000)
    content = gzip.compress(csv(0, 9) + b"r1,Bonn,1,1\n" * 1_000_000)
    with pytest.raises(PermanentError, match=r"a\.csv\.gz has more than 1,000,000 bytes once it is unpacked: write several"):
        table_of_file(SOURCE, "a.csv.gz", content)


def test_a_bucket_is_read_as_a_folder_is(flat: World, s3_address: StoreAddress) -> None:
    top = f"{s3_address.uri.rpartition('/')[0]}/compressed"
    address = s3_address.model_copy(update={"uri": top})
    open_store(address).put("a.csv.gz", gzip.compress(csv(0, 60)))
    flat.address = s3_address
    assert rows_of(flat, uri=top).num_rows == 60


def test_labels_of_people_may_be_compressed(flat: World, tmp_path: Path) -> None:
    (flat.rows / "a.csv").write_bytes(csv(0, 60))
    labels = tmp_path / "labels"
    labels.mkdir()
    text = "\n".join(["id,verdict", *(f"r{n},{n % 2}" for n in range(50)), ""])
    (labels / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
    flat.source = {**flat.source, "format": "csv"}
    flat.functions["w.d:snapshot"] = lambda parameters, rows: rows
    files = {"kind": "files", "uri": f"file://{labels}", "format": "csv"}
    made = flat.make(time=None, label="verdict", labels={"files": files, "on": "id", "column": "verdict"})
    assert sum(made.rows.values()) == 50
