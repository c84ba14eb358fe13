from pathlib import Path

import pytest

from heliostat.spec.resources import StoreAddress
from heliostat.systems import objects, store_lifecycle
from heliostat.systems.errors import DiskFullError, PermanentError, RetryableError
from heliostat.systems.objects import ObjectMissingError, open_store


@pytest.fixture(params=["file", "s3"])
def address(request, tmp_path):
    if request.param == "file":
        return StoreAddress(uri=f"file://{tmp_path}/my%20objects")
    return request.getfixturevalue("s3_address")


@pytest.fixture
def store(address):
    store_lifecycle.ensure(address)
    return open_store(address)


def test_an_object_comes_back_as_it_was_put(store):
    assert store.put("a/b", b"one")
    assert store.get("a/b") == b"one"
    assert store.exists("a/b")
    assert not store.exists("a")


def test_the_first_of_two_writers_wins_where_only_the_first_may(store):
    assert store.put("n", b"one", only_if_absent=True)
    assert not store.put("n", b"two", only_if_absent=True)
    assert store.get("n") == b"one"
    assert store.put("n", b"three")
    assert store.get("n") == b"three"


def test_files_go_in_and_out(store, tmp_path):
    (tmp_path / "in").write_bytes(b"x" * 100_000)
    store.put_file("f", tmp_path / "in")
    store.get_file("f", tmp_path / "new folder" / "out")
    assert (tmp_path / "new folder" / "out").read_bytes() == b"x" * 100_000


def test_a_listing_is_in_the_order_of_the_keys_and_shows_nothing_of_its_own(store):
    for key in ("b/2", "a-b", "a/1", "a/0/z", "b"[:1] + "a"):
        store.put(key, b"123")
    assert [found.key for found in store.list()] == ["a-b", "a/0/z", "a/1", "b/2", "ba"]
    assert [(found.key, found.size) for found in store.list("a/")] == [("a/0/z", 3), ("a/1", 3)]
    assert list(store.list("nothing/here")) == []


def test_a_missing_object_has_an_error_of_its_own(store, tmp_path):
    with pytest.raises(ObjectMissingError, match="nowhere"):
        store.get("nowhere")
    with pytest.raises(ObjectMissingError, match="nowhere"):
        store.get_file("nowhere", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_a_deleted_object_is_gone_and_deleting_it_again_is_a_success(store):
    store.put("a", b"1")
    store.delete("a")
    store.delete("a")
    assert not store.exists("a")


@pytest.mark.parametrize("key", ["", "/a", "a//b", "../a", "a/../b", "a/", "a\0"])
def test_a_key_that_leaves_the_store_is_refused(store, key):
    with pytest.raises(PermanentError, match="no key of an object"):
        store.put(key, b"")


def test_the_uri_of_an_object_begins_with_the_stores(store, address):
    assert store.uri("a/b") == f"{address.uri}/a/b"


def test_removing_a_store_removes_all_of_it(store, address):
    store.put("a/b", b"1")
    nothing = store_lifecycle.Removed()
    assert store_lifecycle.remove(address) == nothing
    assert not store_lifecycle.exists(address)
    assert store_lifecycle.remove(address) == nothing


def test_ensuring_a_store_twice_keeps_what_is_in_it(store, address):
    store.put("a/b", b"1")
    store_lifecycle.ensure(address)
    assert store.get("a/b") == b"1"


def test_a_folder_that_held_other_things_is_never_removed(tmp_path):
    folder = tmp_path / "holiday"
    folder.mkdir()
    (folder / "photo").write_text("dear")
    address = StoreAddress(uri=f"file://{folder}")
    store_lifecycle.ensure(address)
    kept = store_lifecycle.remove(address).kept
    assert kept
    assert "held other things" in kept
    assert (folder / "photo").exists()


def test_a_bucket_with_things_outside_the_prefix_is_kept(s3_endpoint, s3_credentials):
    address = StoreAddress(uri="s3://shared-bucket/mine", endpoint=s3_endpoint)
    store_lifecycle.ensure(address)
    open_store(address).put("a", b"1")
    other = open_store(StoreAddress(uri="s3://shared-bucket/mine-not", endpoint=s3_endpoint))
    other.put("a", b"1")
    assert "holds other things" in (store_lifecycle.remove(address).kept or "")
    assert other.exists("a")
    assert not open_store(address).exists("a")


def test_the_home_folder_cannot_become_a_store(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(PermanentError, match="name a folder of its own"):
        store_lifecycle.ensure(StoreAddress(uri=f"file://{tmp_path}"))


def test_a_full_disk_leaves_the_old_object_and_says_what_to_do(tmp_path, monkeypatch):
    store = open_store(StoreAddress(uri=f"file://{tmp_path}/o"))
    store.put("a", b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(objects.os, "fsync", full)
    with pytest.raises(DiskFullError, match="free some space"):
        store.put("a", b"new")
    monkeypatch.undo()
    assert store.get("a") == b"old"
    assert list(Path(tmp_path).rglob("partial/*")) == []


def test_a_bucket_that_is_not_there_is_said(s3_endpoint, s3_credentials):
    with pytest.raises(PermanentError, match="no bucket absent-bucket"):
        open_store(StoreAddress(uri="s3://absent-bucket", endpoint=s3_endpoint)).put("a", b"")


def test_a_store_that_does_not_answer_may_be_tried_again(s3_credentials, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(RetryableError, match=r"127\.0\.0\.1:9"):
        open_store(StoreAddress(uri="s3://bucket", endpoint="http://127.0.0.1:9")).get("a")
