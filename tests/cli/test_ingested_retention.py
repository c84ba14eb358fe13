"""Which of the rows that ingestions keep stay, and which go."""

from __future__ import annotations

import os
import time

import pytest

from heliostat.cli.datasets import catalogue, ingested_rows
from heliostat.cli.datasets.lineage import Lineage, Use
from heliostat.cli.datasets.retention import Rules, judged, prune
from heliostat.ml import datasets
from heliostat.spec import ingested
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.data_sets import DataSource, Making
from heliostat.spec.ingested import ErasedPart, Part, SourceState
from heliostat.spec.ingestion import FilesSource
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store

OLD = time.time() - 90 * 86_400
SOURCES = [FilesSource(uri=f"file:///rows/{name}") for name in ("first", "second", "third")]


class Rows:
    """Parts, sources' states and snapshots of a data set, all of them old."""

    def __init__(self, folder) -> None:
        self.folder = folder / "objects"
        self.store = open_store(StoreAddress(uri=f"file://{self.folder}"))

    def put(self, key: str, content: bytes, at: float = OLD) -> None:
        self.store.put(key, content)
        os.utime(self.folder / key, (at, at))

    def part(self, letter: str, at: float = OLD) -> str:
        self.put(ingested.part_key("flights", letter * 64), b"rows", at)
        return letter * 64

    def state(self, source: FilesSource, *digests: str, at: float = OLD) -> None:
        parts = tuple(Part(uri="file:///x", tag="t", digest=digest, rows=1) for digest in digests)
        key = ingested.state_key("flights", ingested.digest_of_source(source))
        self.put(key, SourceState(parts=parts).model_dump_json().encode(), at)

    def snapshot(self, letter: str, *digests: str) -> str:
        identity, digest = letter * 64, letter * 64
        manifest = {"name": "flights", "digest": digest, "uri": "file:///x", "label": "late", "rows": {}, "columns": {}}
        datasets.put_json(self.store, f"datasets/flights/{digest}/manifest.json", manifest)
        made = Making(
            identity=identity,
            at=OLD,
            entry_point="w.d:snapshot",
            code_digest="c" * 64,
            sources=tuple(DataSource(uri="file:///x", digest=each, rows=1) for each in digests),
        )
        key = f"datasets/flights/made/{identity}.json"
        datasets.put_json(self.store, key, {**manifest, "made": made.model_dump(mode="json")})
        for path in (self.folder / "datasets" / "flights" / digest).iterdir():
            os.utime(path, (OLD, OLD))
        return digest

    def prune(self, *serving: str, sources=(), newest=0) -> set[str]:
        """The digests of the parts that stay."""
        known = catalogue.read(self.store)
        uses = {digest: (Use(kind="serves", what="flights"),) for digest in serving}
        lineage = Lineage(uses, sources=frozenset(map(ingested.digest_of_source, sources)))
        rows = ingested_rows.read(self.store, known.ingested)
        prune(self.store, judged(known, lineage, Rules(30 * 86_400, newest), time.time(), rows), lambda what: None)
        return {place[2][0] for info in self.store.list("datasets/") if (place := ingested.place(info.key))
                if place[1] == "parts"}  # fmt: skip


@pytest.fixture
def rows(tmp_path):
    return Rows(tmp_path)


def test_what_a_serving_data_set_was_made_of_stays_and_what_nothing_names_goes(rows):
    a, b, c = rows.part("a"), rows.part("b"), rows.part("c")
    serving, other = rows.snapshot("1", a), rows.snapshot("2", b)
    rows.state(SOURCES[0], c)
    assert rows.prune(serving) == {"a", "c"}, "c is what the source has that was read last"
    assert not rows.store.exists(f"datasets/flights/{other}/manifest.json")
    assert rows.prune(serving) == {"a", "c"}, "and again"


def test_sources_that_a_stack_reads_on_from_keep_all_their_parts(rows):
    a, b, c = rows.part("a"), rows.part("b"), rows.part("c")
    rows.state(SOURCES[0], a)
    rows.state(SOURCES[1], b)
    rows.state(SOURCES[2], c, at=OLD + 60)
    assert rows.prune(sources=SOURCES[:1]) == {"a", "c"}
    assert [*rows.store.list(ingested.state_key("flights", ingested.digest_of_source(SOURCES[1])))] == []


def test_parts_of_a_run_that_may_be_under_way_stay(rows):
    a = rows.part("a")
    rows.part("b", time.time())
    rows.part("c")
    rows.state(SOURCES[0], a)
    assert rows.prune() == {"a", "b"}


def test_a_part_without_a_person_s_rows_has_the_place_of_the_one_that_is_named(rows):
    a, b = rows.part("a"), rows.part("b")
    rows.part("c")
    serving = rows.snapshot("1", a)
    rows.state(SOURCES[0], a)
    told = ErasedPart(erasure="e" * 32, successor=b, rows=1).model_dump_json().encode()
    rows.put(ingested.erased_key("flights", a), told)
    rows.store.delete(ingested.part_key("flights", a))
    assert rows.prune(serving) == {"b"}
    assert rows.store.exists(ingested.erased_key("flights", a)), "it is read again no more"


def test_the_sources_of_a_stack_are_found_in_its_state_however_numbers_are_written():
    query = {"kind": "query", "database": {"kind": "sqlite", "path": "/x"}, "query": "SELECT 1", "cursor": "n", "behind": 5.0}
    resources = [{"inputs": {"ingestion": {"source": query}}, "outputs": {"ingestion": {"source": {**query, "behind": 5}}}}]
    assert len({*ingested_rows.declared_sources(resources)}) == 1
    with pytest.raises(ValueError, match="a data set's source cannot be read"):
        [*ingested_rows.declared_sources([{"ingestion": {"source": {"kind": "stars"}}}])]


def test_where_it_is_not_known_how_far_a_source_was_read_it_is_said_and_nothing_goes(rows):
    rows.part("a")
    key = ingested.state_key("flights", ingested.digest_of_source(SOURCES[0]))
    rows.put(key, b'{"parts": [{}]}')
    with pytest.raises(PermanentError, match="does not say how far a source was read"):
        rows.prune()
    assert rows.store.exists(ingested.part_key("flights", "a" * 64))
