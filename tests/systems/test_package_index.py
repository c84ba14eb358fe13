"""Uploads to a real index server; skipped where pypiserver is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from traffic_plane import free_port

from heliostat.spec.packages import PackageIndex
from heliostat.systems import package_index
from heliostat.systems.errors import NoAccessError, PermanentError, RetryableError

pytest.importorskip("uv")
pytest.importorskip("pypiserver")
pytest.importorskip("passlib")

METADATA = "Metadata-Version: 2.1\nName: owls-model\nVersion: 3.0\n"
PASSWORD = "a-l0ng-secret"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An index that lets one user upload, and everybody read."""
    from passlib.apache import HtpasswdFile

    folder = tmp_path_factory.mktemp("index")
    (folder / "packages").mkdir()
    users = HtpasswdFile(str(folder / "users"), new=True)
    users.set_password("ada", PASSWORD)
    users.save()
    port = free_port()
    command = [sys.executable, "-m", "pypiserver", "run", "-p", str(port), "-i", "127.0.0.1", "-P", str(folder / "users")]
    process = subprocess.Popen(
        [*command, "-a", "update", "--server", "wsgiref", str(folder / "packages")], stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _await(url)
        yield url
    finally:
        process.terminate()
        process.wait()


def _await(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{url}/health", timeout=5)
            return
        except httpx.TransportError:
            assert time.monotonic() < deadline, "the index does not answer"
            time.sleep(0.1)


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "owls_model-3.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("owls_model-3.0.dist-info/METADATA", METADATA)
        archive.writestr("owls_model-3.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("owls_model-3.0.dist-info/RECORD", "")
    return path


def index(server: str, **changes: object) -> PackageIndex:
    credential = {"kind": "basic", "usernameVariable": "INDEX_USER", "passwordVariable": "INDEX_PASSWORD"}
    return PackageIndex.model_validate(
        {"url": f"{server}/", "checkUrl": f"{server}/simple/", "credential": credential, **changes}
    )


def test_a_wheel_is_uploaded_once_with_a_credential_of_the_environment(
    server: str, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = index(server)
    with pytest.raises(NoAccessError, match="INDEX_USER is not set"):
        package_index.publish(wheel, given)
    monkeypatch.setenv("INDEX_USER", "ada")
    monkeypatch.setenv("INDEX_PASSWORD", "wrong-" + PASSWORD)
    with pytest.raises(PermanentError, match="lets nobody in") as refused:
        package_index.publish(wheel, given)
    assert PASSWORD not in str(refused.value)
    monkeypatch.setenv("INDEX_PASSWORD", PASSWORD)
    for _ in range(2):
        package_index.publish(wheel, given)
    assert wheel.name in httpx.get(f"{server}/simple/owls-model/").text
    with wheel.open("ab") as file:
        file.write(b"x")
    with pytest.raises(PermanentError, match="refuses"):
        package_index.publish(wheel, given)


def test_an_index_that_does_not_answer_may_be_tried_again(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(RetryableError, match="does not answer"):
        package_index.publish(wheel, index(f"http://127.0.0.1:{free_port()}", checkUrl=None, credential=None))
    assert "UV_PUBLISH_PASSWORD" not in os.environ


def test_digits_of_a_digest_are_no_status(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INDEX_USER", "ada")
    monkeypatch.setenv("INDEX_PASSWORD", PASSWORD)
    said = f"error: Local file and index file do not match. Remote:\n sha256=401{57 * 'd'}9403"
    assert "refuses" in str(package_index._error(index("http://127.0.0.1:1"), wheel, said))
    assert "lets nobody in" in str(package_index._error(index("http://127.0.0.1:1"), wheel, "status code 403 Forbidden"))
