import errno
import os
import sys

import pytest

from heliostat.engine.stackerrors import StackError, StorageError
from heliostat.engine.state import bucket as buckets
from heliostat.engine.state import bucket_gcs
from heliostat.engine.state.bucket import FileBucket, open_bucket


@pytest.fixture
def file_bucket(tmp_path):
    return FileBucket(tmp_path / "root", f"file://{tmp_path}/root")


@pytest.fixture
def s3_bucket(s3_endpoint, s3_credentials):
    import boto3

    client = boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1")
    client.create_bucket(Bucket="states")
    yield open_bucket(f"s3://states/some/prefix?endpoint={s3_endpoint}&region=us-east-1&s3ForcePathStyle=true")
    for found in client.list_objects_v2(Bucket="states").get("Contents", []):
        client.delete_object(Bucket="states", Key=found["Key"])


@pytest.fixture
def gcs_bucket(google_cloud, monkeypatch):
    url, cloud = google_cloud
    cloud.buckets["states"] = {}
    cloud.failures.clear()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
    return open_bucket("gs://states?prefix=some/prefix/")


@pytest.fixture(params=["file_bucket", "s3_bucket", "gcs_bucket"])
def bucket(request):
    return request.getfixturevalue(request.param)


def test_what_is_written_is_read_listed_copied_and_deleted(bucket):
    assert bucket.read("a/b.json") is None
    assert bucket.list("a") == []
    bucket.write("a/b.json", b"one")
    bucket.copy("a/b.json", "a/c/d.json")
    assert bucket.read("a/c/d.json") == b"one"
    assert bucket.list("a") == ["a/b.json", "a/c/d.json"]
    bucket.delete("a/b.json")
    bucket.delete("a/b.json")
    assert bucket.list("a") == ["a/c/d.json"]
    assert "c/d.json" in bucket.describe("a/c/d.json")


def test_the_content_before_is_kept_where_that_is_asked_for(bucket):
    bucket.write("s.json", b"one", keep="s.json.bak")
    assert bucket.read("s.json.bak") is None
    bucket.write("s.json", b"two", keep="s.json.bak")
    bucket.write("s.json", b"three", keep="s.json.bak")
    assert (bucket.read("s.json"), bucket.read("s.json.bak")) == (b"three", b"two")


def test_a_folder_whose_name_begins_alike_is_not_listed(bucket):
    bucket.write("stacks/dev/1.json", b"")
    bucket.write("stacks/dev2/1.json", b"")
    assert bucket.list("stacks/dev") == ["stacks/dev/1.json"]


def test_a_full_disk_is_told_and_loses_nothing(file_bucket, monkeypatch):
    file_bucket.write("s.json", b"one", keep="s.json.bak")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(buckets.os, "fsync", full)
    with pytest.raises(StorageError, match=r"s\.json: No space left on device\. The disk is full"):
        file_bucket.write("s.json", b"two", keep="s.json.bak")
    monkeypatch.undo()
    assert file_bucket.read("s.json") == b"one"
    assert [p.name for p in file_bucket.root.iterdir()] == ["s.json"]


def test_a_file_system_without_links_keeps_the_content_before_all_the_same(file_bucket, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(buckets.os, "link", refuse)
    file_bucket.write("s.json", b"one", keep="s.json.bak")
    file_bucket.write("s.json", b"two", keep="s.json.bak")
    assert file_bucket.read("s.json.bak") == b"one"


def test_the_backup_never_shares_its_content_with_the_file(file_bucket):
    for text in (b"one", b"two"):
        file_bucket.write("s.json", text, keep="s.json.bak")
    with (file_bucket.root / "s.json").open("ab") as file:
        file.write(b" edited by hand")
    assert file_bucket.read("s.json.bak") == b"one"


def test_half_written_files_and_those_of_the_cli_are_not_listed(file_bucket):
    file_bucket.write("d/s.json", b"")
    (file_bucket.root / "d/s.json.attrs").write_text("{}")
    (file_bucket.root / "d/.s.json.x.tmp").write_text("")
    assert file_bucket.list("d") == ["d/s.json"]


def test_other_places_are_refused_without_showing_credentials():
    with pytest.raises(StackError, match="official Pulumi CLI") as caught:
        open_bucket("postgres://user:geheim@host/db?sslmode=off")
    assert "geheim" not in str(caught.value)
    with pytest.raises(StackError, match=r"unknown parameters.*regoin"):
        open_bucket("s3://states?regoin=x")
    with pytest.raises(StackError, match="names no bucket"):
        open_bucket("s3://")


def test_a_home_directory_and_a_relative_path_are_understood(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert open_bucket("file://~").root == tmp_path
    assert open_bucket("file://~/x").root == tmp_path / "x"
    assert open_bucket("file://./y?no_tmp_dir=true").root == tmp_path / "y"


def test_an_s3_bucket_that_is_not_there_is_told_by_its_name(s3_endpoint, s3_credentials):
    missing = open_bucket(f"s3://nowhere?endpoint={s3_endpoint}&region=us-east-1&s3ForcePathStyle=true")
    with pytest.raises(StorageError, match=r"s3://nowhere/a\.json"):
        missing.write("a.json", b"")


def test_a_prefix_of_googles_is_named_either_way(gcs_bucket):
    gcs_bucket.write("a", b"1")
    assert open_bucket("gs://states/some/prefix").read("a") == b"1"
    assert gcs_bucket.describe("a") == "gs://states/some/prefix/a"


def test_a_bucket_of_googles_that_is_not_there_is_told(gcs_bucket):
    absent = open_bucket("gs://absent")
    for call in (lambda: absent.read("a"), lambda: absent.write("a", b""), lambda: absent.list("a")):
        with pytest.raises(StorageError, match="NoSuchBucket"):
            call()


@pytest.mark.parametrize(("url", "told"), [("gs://", "names no bucket"), ("gs://b?region=x", "region; known is prefix")])
def test_a_url_of_googles_that_is_wrong_is_refused(url, told):
    with pytest.raises(StackError, match=told):
        open_bucket(url)


def test_without_obstore_the_official_cli_is_named_for_googles(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(StackError, match=r"heliostat\[gcp\].*official Pulumi CLI"):
        open_bucket("gs://states")


def test_a_key_that_is_none_is_refused_without_being_shown(monkeypatch):
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv("GOOGLE_CREDENTIALS", '{"private_key": "sesame"}')
    with pytest.raises(StackError, match="credentials for gs:// are refused") as raised:
        open_bucket("gs://states")
    assert "sesame" not in str(raised.value)


@pytest.mark.parametrize(
    ("environment", "settings"),
    [
        ({}, {}),
        (
            {"STORAGE_EMULATOR_HOST": "h:1", "GOOGLE_CREDENTIALS": "{}"},
            {"base_url": "http://h:1", "bearer_token": "anonymous"},
        ),
        ({"GOOGLE_OAUTH_ACCESS_TOKEN": "t", "GOOGLE_CREDENTIALS": "{}"}, {"bearer_token": "t"}),
        ({"GOOGLE_CREDENTIALS": "{}"}, {"service_account_key": "{}"}),
    ],
)
def test_googles_credentials_are_those_of_the_environment(environment, settings):
    assert bucket_gcs._settings(environment) == settings
