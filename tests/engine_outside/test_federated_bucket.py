"""State at gs:// with the identity that a CI system gives a job: no key, a token that is exchanged."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from heliostat.engine.stackerrors import StackError
from heliostat.engine.state import bucket_gcs

ACCOUNT = "/v1/projects/-/serviceAccounts/plan@acme-ml.iam.gserviceaccount.com:generateAccessToken"


class Exchange(BaseHTTPRequestHandler):
    """Google's token service and that of its accounts, as far as they are asked here."""

    asked: list[dict[str, Any]]

    def do_POST(self) -> None:
        told = self.rfile.read(int(self.headers["content-length"])).decode()
        if self.path == ACCOUNT:
            self.asked.append(json.loads(told) | {"with": self.headers["authorization"]})
            self._answer({"accessToken": "of the account", "expireTime": "2100-01-01T00:00:00Z"})
        else:
            self.asked.append(parse_qs(told))
            self._answer({"access_token": "exchanged", "expires_in": 3600, "token_type": "Bearer", "issued_token_type": "x"})

    def _answer(self, answer: dict[str, Any]) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What the service is asked; the environment has a job's identity for it."""
    asked: list[dict[str, Any]] = []
    server = HTTPServer(("127.0.0.1", 0), type("_Exchange", (Exchange,), {"asked": asked}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "token").write_text("of the job")
    described = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/ci/providers/gitlab",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"http://127.0.0.1:{server.server_port}/v1/token",
        "credential_source": {"file": str(tmp_path / "token")},
    }
    (tmp_path / "credentials.json").write_text(json.dumps(described))
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_OAUTH_ACCESS_TOKEN", "GOOGLE_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "credentials.json"))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "acme-ml")
    yield asked
    server.shutdown()
    server.server_close()


def test_the_job_s_token_is_exchanged_for_one_of_google_s(exchange: list[dict[str, Any]]):
    client = bucket_gcs._client("states")
    provider = client.credential_provider
    assert provider is not None
    assert provider()["token"] == "exchanged"
    assert exchange[0]["subject_token"] == ["of the job"]


def test_the_token_of_the_service_account_is_asked_for_with_a_scope(exchange: list[dict[str, Any]], tmp_path: Path):
    described = json.loads((tmp_path / "credentials.json").read_text())
    described["service_account_impersonation_url"] = described["token_url"].removesuffix("/v1/token") + ACCOUNT
    (tmp_path / "credentials.json").write_text(json.dumps(described))
    provider = bucket_gcs._client("states").credential_provider
    assert provider is not None
    assert provider()["token"] == "of the account"
    asked = exchange[-1]
    assert asked["with"] == "Bearer exchanged"
    assert asked["scope"] == ["https://www.googleapis.com/auth/cloud-platform"], "Google refuses a request without one"


def test_a_key_goes_before_it_and_a_file_of_another_kind_is_obstore_s(
    exchange: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GOOGLE_OAUTH_ACCESS_TOKEN", "said")
    assert bucket_gcs._client("states").credential_provider is None
    monkeypatch.delenv("GOOGLE_OAUTH_ACCESS_TOKEN")
    (tmp_path / "credentials.json").write_text("{")
    with pytest.raises(StackError, match="are refused"):
        bucket_gcs._client("states")
    assert exchange == []
