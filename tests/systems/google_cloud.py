"""Google Cloud as far as finding a GKE cluster goes: tokens for service accounts, and descriptions of clusters."""

from __future__ import annotations

import json
import time
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

AUTHORITY = "-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n"
NAME = "projects/acme-ml/locations/europe-west4/clusters/heliostat-prod"
PRIVATE_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)


class GoogleCloud:
    """One server for both; tokens are good once they were given, until somebody revokes them."""

    def __init__(self) -> None:
        cloud = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self._answer(*cloud.give_token(form))

            def do_GET(self) -> None:
                self._answer(*cloud.describe(self.path, self.headers.get("Authorization", "")))

            def _answer(self, status: int, body: Any) -> None:
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.clusters: dict[str, dict[str, Any]] = {}
        self.accounts = {"robot@acme-ml.iam.gserviceaccount.com"}
        self.tokens: set[str] = set()
        self.failing: tuple[int, Any] | None = None
        """What is answered in place of every description."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def give_token(self, form: dict[str, list[str]]) -> tuple[int, Any]:
        _, claims, _ = form["assertion"][0].split(".")
        who = json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        if who["iss"] not in self.accounts or who["aud"] != "https://oauth2.googleapis.com/token":
            return 400, {"error": "invalid_grant", "error_description": "Invalid grant: account not found"}
        assert who["exp"] > time.time()
        self.tokens.add(token := f"ya29.{len(self.tokens)}")
        return 200, {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}

    def describe(self, path: str, authorization: str) -> tuple[int, Any]:
        if self.failing:
            return self.failing
        if authorization.removeprefix("Bearer ") not in self.tokens:
            return 401, {"error": {"code": 401, "message": "Request had invalid authentication credentials."}}
        found = self.clusters.get(path.removeprefix("/v1/"))
        return (200, found) if found else (404, {"error": {"code": 404, "message": f"Not found: {path[4:]}."}})

    def make(
        self, status: str = "RUNNING", endpoint: str = "172.16.0.2", authority: bytes = AUTHORITY.encode(), name: str = NAME
    ) -> dict[str, Any]:
        self.clusters[name] = {
            "name": name.rpartition("/")[2],
            "status": status,
            "endpoint": endpoint,
            "masterAuth": {"clusterCaCertificate": b64encode(authority).decode()},
        }
        return self.clusters[name]

    def key_file(self, folder: Path, account: str = "robot@acme-ml.iam.gserviceaccount.com") -> Path:
        """A service account's key, as Google Cloud hands one out."""
        file = folder / "key.json"
        content = {
            "type": "service_account",
            "project_id": "acme-ml",
            "private_key_id": "1",
            "private_key": PRIVATE_KEY.decode(),
            "client_email": account,
            "token_uri": f"{self.url}/token",
        }
        file.write_text(json.dumps(content))
        return file


@pytest.fixture
def google_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GoogleCloud]:
    """Google Cloud, where the process is the service account `robot`."""
    cloud = GoogleCloud()
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(cloud.key_file(tmp_path)))
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER", f"{cloud.url}/")
    yield cloud
    cloud.stop()
