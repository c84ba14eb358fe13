import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from heliostat.spec.addresses import StoreAddress
from heliostat.systems import store_lifecycle
from heliostat.systems.errors import DiskFullError, NoAccessError, PermanentError, RetryableError
from heliostat.systems.objects import change, open_store
from heliostat.testing.conformance import ObjectStoreConformance


class TestDirectory(ObjectStoreConformance):
    @pytest.fixture
    def store(self, tmp_path):
        address = StoreAddress(uri=f"file://{tmp_path}/my%20objects")
        store_lifecycle.ensure(address)
        return open_store(address)


class TestBucket(ObjectStoreConformance):
    @pytest.fixture
    def store(self, s3_address):
        return open_store(s3_address)


class TestGoogleBucket(ObjectStoreConformance):
    @pytest.fixture
    def store(self, gs_address):
        return open_store(gs_address)


@pytest.fixture(params=["file", "s3", "gs"])
def address(request, tmp_path):
    if request.param == "file":
        return StoreAddress(uri=f"file://{tmp_path}/my%20objects")
    return request.getfixturevalue(f"{request.param}_address")


@pytest.fixture
def store(address):
    store_lifecycle.ensure(address)
    return open_store(address)


def test_processes_that_change_a_file_at_once_lose_no_word(tmp_path):
    store = open_store(StoreAddress(uri=f"file://{tmp_path}/o"))
    store.put("words", b"")
    with ThreadPoolExecutor(4) as writers:  # a lock is of an open file: threads are to each other what processes are
        list(writers.map(lambda word: change(store, "words", lambda before: before + word), [b"a", b"b", b"c", b"d"] * 5))
    assert sorted(store.get("words")) == sorted(b"abcd" * 5)


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

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match="free some space"):
        store.put("a", b"new")
    monkeypatch.undo()
    assert store.get("a") == b"old"
    assert list(Path(tmp_path).rglob("partial/*")) == []


def test_a_bucket_that_is_not_there_is_said(s3_endpoint, s3_credentials):
    with pytest.raises(PermanentError, match="no bucket absent-bucket"):
        open_store(StoreAddress(uri="s3://absent-bucket", endpoint=s3_endpoint)).put("a", b"")


@pytest.mark.parametrize(
    ("profile", "told"), [(None, "no AWS credentials; set AWS_PROFILE"), ("absent", "correct AWS_PROFILE")]
)
def test_a_bucket_that_nobody_has_credentials_for_is_said(s3_endpoint, tmp_path, monkeypatch, profile, told):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    if profile:
        monkeypatch.setenv("AWS_PROFILE", profile)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(NoAccessError, match=told):
        open_store(StoreAddress(uri="s3://bucket", endpoint=s3_endpoint)).get("a")


def test_a_store_that_does_not_answer_may_be_tried_again(s3_credentials, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(RetryableError, match=r"127\.0\.0\.1:9"):
        open_store(StoreAddress(uri="s3://bucket", endpoint="http://127.0.0.1:9")).get("a")


def test_a_page_is_served_as_one_and_other_objects_are_bytes(s3_address):
    store = open_store(s3_address)
    kinds = []
    for key in ("simple/index.html", "a/wheel.whl"):
        store.put(key, b"x")
        kinds.append(store.client.head_object(Bucket=store.bucket, Key=store.prefix + key)["ContentType"])
    assert kinds == ["text/html", "binary/octet-stream"]


def test_a_page_is_kept_as_it_is_in_every_store(store):
    store.put("simple/index.html", b"<html>")
    assert store.get("simple/index.html") == b"<html>"
