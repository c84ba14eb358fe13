"""Clients of Google's buckets that are not ours, as pyarrow, Ray and MLflow are given them, on a server of its JSON API."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from traffic_plane import free_port

from heliostat.spec.addresses import StoreAddress
from heliostat.systems import store_lifecycle
from heliostat.systems.objects import arrow_location, open_bucket, open_store
from heliostat.systems.storage import elsewhere

SERVER = os.environ.get("HELIOSTAT_FAKE_GCS_SERVER") or shutil.which("fake-gcs-server")

pytestmark = pytest.mark.skipif(
    not SERVER,
    reason="needs fake-gcs-server (Go module github.com/fsouza/fake-gcs-server) on PATH or in HELIOSTAT_FAKE_GCS_SERVER",
)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    assert SERVER
    host = f"127.0.0.1:{free_port()}"
    url = f"http://{host}"
    command = [SERVER, "-scheme", "http", "-host", "127.0.0.1", "-port", host.rpartition(":")[2], "-backend", "memory"]
    process = subprocess.Popen(
        [*command, "-public-host", host, "-external-url", url], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=50)) as client:
            client.get(f"{url}/storage/v1/b", timeout=30)
        yield url
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def address(endpoint: str) -> StoreAddress:
    """A store whose bucket is there; this server takes no objects by the XML API, so the store's mark cannot be written."""
    address = StoreAddress(uri=f"gs://bucket-{time.time_ns()}/some/prefix", endpoint=endpoint)
    bucket = open_bucket(address)
    assert bucket is not None
    bucket.create_bucket()
    return address


def put(address: StoreAddress, key: str, data: bytes) -> None:
    bucket, _, prefix = address.uri.removeprefix("gs://").partition("/")
    query = {"uploadType": "media", "name": f"{prefix}/{key}"}
    httpx.post(f"{address.endpoint}/upload/storage/v1/b/{bucket}/o", params=query, content=data).raise_for_status()


def test_a_bucket_is_made_found_and_removed(address):
    assert store_lifecycle.exists(address)
    bucket = open_bucket(address)
    bucket.delete_bucket()
    assert not store_lifecycle.exists(address)


def test_objects_are_read_listed_and_removed(address):
    for number in range(3):
        put(address, f"a/{number}", b"%d" % number)
    store = open_bucket(address)
    assert store.get("a/1") == b"1"
    assert [(found.key, found.size) for found in store.list("a/")] == [("a/0", 1), ("a/1", 1), ("a/2", 1)]
    store.delete("a/0")
    store.delete("a/0")
    assert not store.exists("a/0")
    store.clear(keep="a/2")
    assert [found.key for found in store.list()] == ["a/2"]
    assert store.holds_others("a/1")
    assert not store.holds_others("a/2")


def test_checkpoints_of_a_training_lie_in_the_store_and_go_with_it(address):
    path, filesystem = arrow_location(address, "trainings/flights")
    filesystem.create_dir(f"{path}/run")
    with filesystem.open_output_stream(f"{path}/run/checkpoint") as file:
        file.write(b"weights")
    store = open_bucket(address)
    assert store.get("trainings/flights/run/checkpoint") == b"weights"
    assert [found.key for found in store.list()] == ["trainings/flights/run/checkpoint"]
    store.clear(keep="ledger/")
    assert not store.holds_others("any"), "marks of folders are nothing of anybody's"
    store.delete_bucket()
    assert not store_lifecycle.exists(address)


@pytest.fixture
def told(address: StoreAddress, monkeypatch: pytest.MonkeyPatch) -> Any:
    """google-cloud-storage, told of the server as nodes are."""
    library = pytest.importorskip("google.cloud.storage", reason="needs google-cloud-storage, as the nodes do")
    for name, value in elsewhere.client_variables(address.endpoint).items():
        monkeypatch.setenv(name, value)
    return library


def test_ray_fetches_code_from_the_store(address, told, tmp_path):
    from ray._private.runtime_env.protocol import Protocol

    put(address, "code/1.zip", b"package")
    Protocol.GS.download_remote_uri(open_store(address).uri("code/1.zip"), str(tmp_path / "1.zip"))
    assert (tmp_path / "1.zip").read_bytes() == b"package"


def test_mlflow_keeps_artifacts_in_the_store(address, told, tmp_path: Path):
    from mlflow.store.artifact.gcs_artifact_repo import GCSArtifactRepository

    (tmp_path / "model").write_bytes(b"model")
    repository = GCSArtifactRepository(f"{address.uri}/mlflow/1")
    repository.log_artifact(str(tmp_path / "model"))
    assert open_store(address).get("mlflow/1/model") == b"model"
    assert Path(repository.download_artifacts("model")).read_bytes() == b"model"
