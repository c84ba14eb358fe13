"""What every object store has to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectMissingError, ObjectStore, change


class ObjectStoreConformance:
    """Inherit it, and give `store`."""

    @pytest.fixture
    def store(self) -> ObjectStore:
        """An empty store."""
        raise NotImplementedError

    def test_an_object_comes_back_as_it_was_put(self, store: ObjectStore) -> None:
        assert store.put("a/b", b"one")
        assert store.get("a/b") == b"one"
        assert store.exists("a/b")
        assert not store.exists("a")

    def test_the_first_of_two_writers_wins_where_only_the_first_may(self, store: ObjectStore) -> None:
        assert store.put("n", b"one", only_if_absent=True)
        assert not store.put("n", b"two", only_if_absent=True)
        assert store.get("n") == b"one"
        assert store.put("n", b"three")
        assert store.get("n") == b"three"

    def test_an_object_is_put_over_the_one_that_was_read_and_over_no_other(self, store: ObjectStore) -> None:
        store.put("a/n", b"one")
        first = store.read("a/n")
        assert first.content == b"one"
        assert store.put_over("a/n", b"two", first.tag)
        assert not store.put_over("a/n", b"three", first.tag)
        second = store.read("a/n")
        assert second.content == b"two"
        store.put("a/n", b"four")
        assert not store.put_over("a/n", b"five", second.tag)
        store.delete("a/n")
        assert not store.put_over("a/n", b"six", second.tag)
        assert not store.exists("a/n")
        with pytest.raises(ObjectMissingError, match="a/n"):
            store.read("a/n")

    def test_of_two_who_change_an_object_at_once_neither_loses_its_word(self, store: ObjectStore) -> None:
        store.put("words", b"")
        others = [b"b", b"c"]

        def made_of(before: bytes) -> bytes:
            if others:
                store.put("words", before + others.pop(0))
            return before + b"a"

        assert change(store, "words", made_of) == b"bca"
        assert store.get("words") == b"bca"
        stale = store.read("words").tag
        assert change(store, "words", lambda before: before) == b"bca"
        assert store.read("words").tag == stale, "nothing is written where nothing changes"

    def test_files_go_in_and_out(self, store: ObjectStore, tmp_path: Path) -> None:
        (tmp_path / "in").write_bytes(b"x" * 100_000)
        store.put_file("f", tmp_path / "in")
        store.get_file("f", tmp_path / "new folder" / "out")
        assert (tmp_path / "new folder" / "out").read_bytes() == b"x" * 100_000

    def test_a_listing_is_in_the_order_of_the_keys_and_shows_nothing_of_its_own(self, store: ObjectStore) -> None:
        for key in ("b/2", "a-b", "a/1", "a/0/z", "ba"):
            store.put(key, b"123")
        assert [found.key for found in store.list()] == ["a-b", "a/0/z", "a/1", "b/2", "ba"]
        assert [(found.key, found.size) for found in store.list("a/")] == [("a/0/z", 3), ("a/1", 3)]
        assert list(store.list("nothing/here")) == []

    def test_a_missing_object_has_an_error_of_its_own(self, store: ObjectStore, tmp_path: Path) -> None:
        with pytest.raises(ObjectMissingError, match="nowhere"):
            store.get("nowhere")
        with pytest.raises(ObjectMissingError, match="nowhere"):
            store.get_file("nowhere", tmp_path / "x")
        assert not (tmp_path / "x").exists()

    def test_a_deleted_object_is_gone_and_deleting_it_again_is_a_success(self, store: ObjectStore) -> None:
        store.put("a", b"1")
        store.delete("a")
        store.delete("a")
        assert not store.exists("a")

    @pytest.mark.parametrize("key", ["", "/a", "a//b", "../a", "a/../b", "a/", "a\0"])
    def test_a_key_that_leaves_the_store_is_refused(self, store: ObjectStore, key: str) -> None:
        with pytest.raises(PermanentError, match="no key of an object"):
            store.put(key, b"")

    def test_the_uri_of_an_object_ends_with_its_key(self, store: ObjectStore) -> None:
        assert store.uri("a/b") == f"{store.uri('a')}/b"
