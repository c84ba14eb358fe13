"""What is Google's alone of object stores: who is let in, what is refused, and what other clients leave there."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from heliostat.spec.addresses import StoreAddress
from heliostat.systems import store_lifecycle
from heliostat.systems.errors import NoAccessError, PermanentError, RetryableError
from heliostat.systems.objects import ObjectMissingError, open_bucket, open_store
from heliostat.systems.storage import elsewhere, gcs
from heliostat.systems.storage.google_cloud import Tokens, is_googles, refusal
from tests.google_storage import Cloud, Failure, Stored


@pytest.fixture
def cloud(google_cloud: tuple[str, Cloud]) -> Cloud:
    found = google_cloud[1]
    found.failures.clear()
    found.requests.clear()
    return found


@pytest.fixture
def store(gs_address: StoreAddress, cloud: Cloud):
    cloud.requests.clear()
    return open_store(gs_address)


def test_of_eight_writers_at_once_exactly_one_wins(store):
    with ThreadPoolExecutor(8) as writers:
        won = list(writers.map(lambda number: store.put("entry", b"%d" % number, only_if_absent=True), range(8)))
    assert won.count(True) == 1
    assert store.get("entry") == b"%d" % won.index(True)


def test_a_conditional_write_whose_answer_was_lost_has_won(store, cloud):
    cloud.failures.append(Failure(503, "ServiceUnavailable", late=True))
    assert store.put("entry", b"mine", only_if_absent=True)
    assert store.get("entry") == b"mine"


def test_a_write_over_what_was_read_whose_answer_was_lost_has_won(store, cloud):
    store.put("entry", b"before")
    tag = store.read("entry").tag
    cloud.failures.append(Failure(503, "ServiceUnavailable", late=True))
    assert store.put_over("entry", b"mine", tag)
    assert store.get("entry") == b"mine"


def test_a_write_over_what_somebody_changed_while_the_server_was_busy_has_lost(store, cloud):
    store.put("entry", b"before")
    tag = store.read("entry").tag
    store.put("entry", b"theirs")
    cloud.failures.append(Failure(503, "ServiceUnavailable"))
    assert not store.put_over("entry", b"mine", tag)
    assert store.get("entry") == b"theirs"


def test_a_conditional_write_that_another_was_quicker_than_while_the_server_was_busy_has_lost(store, cloud):
    store.put("entry", b"theirs")
    cloud.failures.append(Failure(503, "ServiceUnavailable"))
    assert not store.put("entry", b"mine", only_if_absent=True)


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_passes_is_tried_again(store, cloud, status):
    cloud.failures.append(Failure(status, "Busy", times=2))
    assert store.put("a", b"1")
    cloud.failures.append(Failure(status, "Busy", times=2))
    assert [found.key for found in store.list()] == ["a"]


def test_what_does_not_pass_may_be_tried_again_later(store, cloud, monkeypatch):
    cloud.failures.append(Failure(503, "ServiceUnavailable", times=5))
    with pytest.raises(RetryableError, match=r"cannot write gs://bucket-.*/a: the store answered 503 ServiceUnavailable"):
        store.put("a", b"1")
    assert not cloud.failures, "five tries, and no more"


@pytest.mark.parametrize("call", [lambda store: store.put("a", b"1"), lambda store: list(store.list())])
def test_missing_rights_are_told_with_the_role_that_has_them(store, cloud, call):
    cloud.failures.append(Failure(403, "AccessDenied"))
    with pytest.raises(PermanentError, match=r"403 AccessDenied: .*roles/storage\.objectUser"):
        call(store)
    assert len(cloud.requests) == 1


@pytest.mark.parametrize(
    ("status", "body", "of_object", "kind", "told"),
    [
        (404, "<Error><Code>NoSuchKey</Code></Error>", True, ObjectMissingError, "no such object"),
        (404, "", True, ObjectMissingError, "no such object"),
        (404, "<Error><Code>NoSuchBucket</Code></Error>", True, PermanentError, "no bucket b; create it"),
        (404, "", False, PermanentError, "no bucket b; create it"),
        (401, "", True, PermanentError, "credentials are not accepted; name a key in GOOGLE_APPLICATION_CREDENTIALS"),
        (403, '{"error": {"message": "no \\"get\\" access"}}', False, PermanentError, "access.*roles/storage"),
        (
            400,
            "<Error><Code>Bad</Code><Message>m</Message><Details>why</Details></Error>",
            True,
            PermanentError,
            "400 Bad: why",
        ),
        (429, "<Error><Code>SlowDown</Code></Error>", True, RetryableError, "429 SlowDown"),
        (502, "<html>", True, RetryableError, "502"),
    ],
)
def test_each_refusal_is_named(status, body, of_object, kind, told):
    found = refusal("read gs://b/a", "b", status, body, of_object)
    assert type(found) is kind
    with pytest.raises(kind, match=told):
        raise found


def test_a_file_of_many_parts_goes_in_and_out(store, cloud, tmp_path, monkeypatch):
    monkeypatch.setattr(gcs, "_CHUNK", 1 << 20)
    content = bytes(range(256)) * (10 << 10)
    (tmp_path / "in").write_bytes(content)
    store.put_file("f", tmp_path / "in")
    assert sum("partNumber" in path for _, path, _ in cloud.requests) == 3
    store.get_file("f", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == content


@pytest.mark.parametrize("key", ["a b", "ü/%20", "a+b=c?d#e", "[x]", "a~b"])
def test_a_key_is_kept_to_the_letter(store, key):
    store.put(key, b"1")
    assert [found.key for found in store.list()] == [key]
    assert store.get(key) == b"1"
    store.delete(key)
    assert not store.exists(key)


def test_marks_that_others_make_of_folders_are_no_objects_and_go_with_the_store(gs_address, store, cloud):
    bucket = gs_address.uri.split("/")[2]
    for mark in ("some/", "some/prefix/", "some/prefix/trainings/", "some/prefix/a//b/"):
        cloud.buckets[bucket][mark] = Stored(b"", 1, 1.0)
    store.put("trainings/x", b"1")
    assert [found.key for found in store.list()] == ["trainings/x"]
    assert store_lifecycle.remove(gs_address) == store_lifecycle.Removed()
    assert bucket not in cloud.buckets


def test_a_bucket_that_is_not_there_is_said(google_cloud):
    absent = open_store(StoreAddress(uri="gs://absent-bucket", endpoint=google_cloud[0]))
    with pytest.raises(PermanentError, match="no bucket absent-bucket; create it"):
        absent.put("a", b"")
    with pytest.raises(PermanentError, match="no bucket absent-bucket; create it"):
        list(absent.list())
    assert not absent.exists("a")


def test_a_bucket_of_somebody_else_is_said(google_cloud, cloud):
    cloud.taken.add("of-another")
    with pytest.raises(PermanentError, match=r"storage\.objects\.list.*name another bucket"):
        store_lifecycle.ensure(StoreAddress(uri="gs://of-another", endpoint=google_cloud[0]))


def test_a_name_that_is_taken_meanwhile_is_said(google_cloud, cloud):
    cloud.buckets["just-made"] = {}
    with pytest.raises(PermanentError, match=r"name is taken.*choose another"):
        open_bucket(StoreAddress(uri="gs://just-made", endpoint=google_cloud[0])).create_bucket()


def test_a_bucket_that_is_made_is_closed_to_the_public_and_lies_where_the_config_says(google_cloud, cloud, monkeypatch):
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "project-1")
    address = StoreAddress(uri="gs://made-here", endpoint=google_cloud[0], region="EUROPE-WEST4")
    store_lifecycle.ensure(address)
    rights = {"uniformBucketLevelAccess": {"enabled": True}, "publicAccessPrevention": "enforced"}
    made = {"name": "made-here", "location": "EUROPE-WEST4", "iamConfiguration": rights, "project": "project-1"}
    assert cloud.made[-1] == made
    assert store_lifecycle.remove(address) == store_lifecycle.Removed()


def test_the_servers_clock_is_read(gs_address):
    assert abs(open_bucket(gs_address).look() - datetime.now(UTC)) < timedelta(minutes=5)


def test_a_server_that_does_not_answer_may_be_tried_again():
    store = open_store(StoreAddress(uri="gs://bucket", endpoint="http://127.0.0.1:9"))
    with pytest.raises(RetryableError, match=r"127\.0\.0\.1:9 does not answer \(connect\)"):
        store.get("a")
    with pytest.raises(RetryableError, match=r"127\.0\.0\.1:9 does not answer"):
        list(store.list())


def test_without_obstore_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore.exceptions", None)
    with pytest.raises(PermanentError, match=r"package obstore, which is missing; install heliostat\[gcp\]"):
        open_store(StoreAddress(uri="gs://bucket")).get("a")


def test_a_server_that_is_not_googles_gets_none_of_its_credentials(store, cloud, key_file):
    store.put("a", b"1")
    list(store.list())
    assert {authorization for _, _, authorization in cloud.requests} == {"Bearer anonymous"}
    assert not cloud.tokens


@pytest.mark.parametrize(
    ("url", "is_so"),
    [
        ("https://storage.googleapis.com", True),
        ("https://storage-mine.p.googleapis.com/", True),
        ("http://storage.googleapis.com", False),
        ("https://storage.googleapis.com.example.org", False),
        ("https://evilgoogleapis.com", False),
        ("http://127.0.0.1:4443", False),
    ],
)
def test_googles_own_servers_are_known_by_their_names(url, is_so):
    assert is_googles(url) is is_so


@pytest.fixture
def googles(google_cloud, cloud, monkeypatch):
    """The server in memory taken for one of Google's."""
    cloud.tokens = 0
    monkeypatch.setattr(gcs, "is_googles", lambda url: True)
    cloud.buckets["of-google"] = {}
    return StoreAddress(uri="gs://of-google/p", endpoint=google_cloud[0])


@pytest.fixture
def key_file(google_cloud, cloud, tmp_path, monkeypatch) -> Path:
    """A service account's key, whose tokens the server in memory gives."""
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account", "project_id": "project-of-key", "private_key_id": "1", "private_key": key.decode(),
        "client_email": "robot@project-of-key.iam.gserviceaccount.com", "token_uri": f"{google_cloud[0]}/token",
    }  # fmt: skip
    path = tmp_path / "key.json"
    path.write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    cloud.tokens = 0
    return path


def test_a_token_is_fetched_once_and_sent_with_each_call(googles, cloud, key_file):
    store = open_store(googles)
    assert store.put("a", b"1", only_if_absent=True)
    assert store.get("a") == b"1"
    assert [found.key for found in store.list()] == ["a"]
    sent = {authorization for _, path, authorization in cloud.requests if path != "/token"}
    assert sent == {"Bearer token-1"}


def test_a_new_bucket_belongs_to_the_project_of_the_credentials(googles, cloud, key_file):
    store_lifecycle.ensure(StoreAddress(uri="gs://of-the-key", endpoint=googles.endpoint))
    assert cloud.made[-1]["project"] == "project-of-key"


def test_a_token_that_is_refused_for_good_says_what_to_change_and_shows_no_key(googles, cloud, key_file):
    cloud.failures.append(Failure(400, "invalid_grant"))
    with pytest.raises(PermanentError, match="cannot write gs://of-google/p/a: Google gives no token") as raised:
        open_store(googles).put("a", b"1")
    assert "PRIVATE" not in str(raised.value)


def test_a_token_server_that_is_busy_may_be_tried_again_later(googles, cloud, key_file):
    cloud.failures.append(Failure(503, "Busy", times=20))
    with pytest.raises(RetryableError, match="Google gives no token"):
        open_store(googles).put("a", b"1")
    cloud.failures.clear()


def test_without_credentials_each_place_for_them_is_named(googles, tmp_path, monkeypatch):
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    for call in (lambda store: store.put("a", b"1"), lambda store: list(store.list())):
        with pytest.raises(NoAccessError, match=r"no Google Cloud credentials.*GOOGLE_APPLICATION_CREDENTIALS.*gcloud auth"):
            call(open_store(googles))


def test_a_key_file_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nowhere.json"))
    with pytest.raises(PermanentError, match=r"nowhere\.json"):
        Tokens()()


@pytest.mark.parametrize(
    ("endpoint", "variables"),
    [
        (None, {}),
        ("http://127.0.0.1:4443/", {"STORAGE_EMULATOR_HOST": "http://127.0.0.1:4443"}),
        ("https://storage-mine.p.googleapis.com", {"API_ENDPOINT_OVERRIDE": "https://storage-mine.p.googleapis.com"}),
    ],
)
def test_mlflow_and_ray_are_told_of_another_server(endpoint, variables):
    assert elsewhere.client_variables(endpoint) == variables


def test_clients_that_mlflow_and_ray_lack_are_named(monkeypatch):
    monkeypatch.setattr(elsewhere, "find_spec", lambda module: None if module == "google.cloud.storage" else object())
    assert "google-cloud-storage is missing: install heliostat[gcp]" in elsewhere.missing_clients()
    monkeypatch.setattr(elsewhere, "find_spec", lambda module: object())
    assert elsewhere.missing_clients() is None
