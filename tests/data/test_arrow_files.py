"""Arrow files with a digest: what is damaged is refused before pyarrow reads it, which such bytes may end the process of."""

import pyarrow as pa
import pytest

from heliostat.data.arrow_files import DamagedFileError, from_file, to_file

TABLE = pa.table({"x": [1, 2, None], "texts": [["a"], [], None]}).replace_schema_metadata({"kept": "too"})


@pytest.fixture
def unread(monkeypatch):
    """Pyarrow, which no byte may reach."""

    def reached(*_):
        raise AssertionError("pyarrow was given damaged bytes")

    monkeypatch.setattr("pyarrow.ipc.open_file", reached)


def older(table):
    """A file of a release that wrote no digest."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("table", [TABLE, TABLE.slice(0, 0), TABLE.select([])], ids=["rows", "no rows", "no columns"])
def test_a_table_comes_back_with_its_metadata(table):
    found = from_file(to_file(table))
    assert found == table and found.schema.metadata == table.schema.metadata


def test_an_older_release_reads_the_file_and_its_files_are_read():
    assert pa.ipc.open_file(pa.BufferReader(to_file(TABLE))).read_all() == TABLE
    assert from_file(older(TABLE)) == TABLE


def test_one_wrong_byte_anywhere_is_refused_before_pyarrow_sees_it(unread):
    content = to_file(TABLE)
    start = content.index(b"\nheliostat-sha256:")
    digest = start + len("\nheliostat-sha256:")
    for place in (*range(start), *range(digest, digest + 64), *range(digest + 65, len(content))):
        wrong = bytearray(content)
        wrong[place] = ord("0") if wrong[place] != ord("0") else ord("1")
        with pytest.raises(DamagedFileError, match="not those that were written"):
            from_file(bytes(wrong))


@pytest.mark.parametrize("content", [b"", b"something else", older(TABLE)[:-1], to_file(TABLE)[:40]])
def test_what_is_no_arrow_file_is_told_so(content):
    with pytest.raises(DamagedFileError, match="no Arrow file"):
        from_file(content)
