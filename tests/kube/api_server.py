"""An API server of Kubernetes as far as addresses need one: HTTPS, certificates and tokens, secrets, the proxy to services.

It answers as `kube-apiserver` does: its own errors are a `Status`, who asks is taken from a client certificate or from
`Authorization`, which it keeps, and every other header goes on to the service, `Host` too.
"""

from __future__ import annotations

import datetime
import http.client
import ipaddress
import json
import re
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from heliostat.systems import kubernetes_api, kubernetes_config, kubernetes_secrets

SERVICE = re.compile(r"/api/v1/namespaces/([^/]+)/services/(https?):([^/:]+):(\d+)/proxy(/.*)?")
SECRET = re.compile(r"/api/v1/namespaces/([^/]+)/secrets/([^/]+)")
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "authorization", "content-length"}


class Authority:
    """A certificate authority, and what it signs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
        signed = self._sign(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))
        self.file = folder / "ca.crt"
        self.file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> tuple[Path, Path]:
        """The files of a certificate for loopback, or for a user of that name, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        hosts = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        certificate, private = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        certificate.write_bytes(self._sign(subject, key, hosts).public_bytes(serialization.Encoding.PEM))
        plain = serialization.NoEncryption()
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        private.write_bytes(key.private_bytes(pem, pkcs8, plain))
        return certificate, private

    def _sign(self, subject: x509.Name, key: Any, extension: x509.ExtensionType) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        made = x509.CertificateBuilder(
            self._name, subject, key.public_key(), x509.random_serial_number(), now - day, now + day
        )
        return made.add_extension(extension, critical=False).sign(self._key, hashes.SHA256())


class ApiServer:
    """The server, what it keeps, and what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder)
        self.tokens = {"ada-token": "ada"}
        self.secrets: dict[tuple[str, str], dict[str, str]] = {}
        self.services: dict[tuple[str, str, int], str] = {}
        """URLs of what is behind each."""
        self.unseen = 0
        """How many more calls come before services have endpoints, as just after one was made."""
        self.forbidden: set[str] = set()
        """Resources that nobody may use."""
        self.objects: Callable[[str, str, str, bytes], tuple[int, object] | None] = lambda *_: None
        """What is answered, by method, path, query and body, to what is asked of other kinds; None where there is no such."""
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        """User, path and headers of each request."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.authority.file)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_cert_chain(*self.authority.issue("server"))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"server_of": self}))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def kubeconfig(self, user: dict[str, Any], name: str = "config", **cluster: Any) -> Path:
        """A kubeconfig of one context, `test`."""
        known = {"server": self.url, "certificate-authority-data": data(self.authority.file), **cluster}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "one", "cluster": known}],
            "users": [{"name": "me", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "one", "user": "me"}}],
        }
        path = self.folder / name
        path.write_text(json.dumps(content))
        return path

    def reads(self) -> int:
        """How often a secret was asked for."""
        return sum("/secrets/" in path for _, path, _ in self.seen)


def data(file: Path) -> str:
    """A file as it stands in a kubeconfig."""
    return b64encode(file.read_bytes()).decode()


class Handler(BaseHTTPRequestHandler):
    server_of: ApiServer
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        user = self._user()
        path = urlsplit(self.path).path
        self.server_of.seen.append((user or "", path, {name.lower(): value for name, value in self.headers.items()}))
        if user is None:
            self._status(401, "Unauthorized", "Unauthorized")
        elif found := SECRET.fullmatch(path):
            self._secret(user, found[1], found[2])
        elif found := SERVICE.fullmatch(path):
            self._service(user, found, body)
        elif answer := self.server_of.objects(self.command, path, urlsplit(self.path).query, body):
            self._json(*answer)
        else:
            self._status(404, "NotFound", "the server could not find the requested resource")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any

    def _user(self) -> str | None:
        certificate: Any = self.connection.getpeercert()  # type: ignore[attr-defined]
        if certificate:
            return str(dict(part[0] for part in certificate["subject"])["commonName"])
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return self.server_of.tokens.get(token) if scheme.lower() == "bearer" else None

    def _secret(self, user: str, namespace: str, name: str) -> None:
        if "secrets" in self.server_of.forbidden:
            what = f'secrets "{name}" is forbidden: User "{user}" cannot get resource "secrets" in API group ""'
            return self._status(403, "Forbidden", f'{what} in the namespace "{namespace}"')
        if (namespace, name) not in self.server_of.secrets:
            return self._status(404, "NotFound", f'secrets "{name}" not found')
        kept = {key: b64encode(value.encode()).decode() for key, value in self.server_of.secrets[namespace, name].items()}
        return self._json(200, {"kind": "Secret", "apiVersion": "v1", "data": kept})

    def _service(self, user: str, found: re.Match[str], body: bytes) -> None:
        namespace, scheme, name, port = found[1], found[2], found[3], int(found[4])
        if "services/proxy" in self.server_of.forbidden:
            what = f'services "{scheme}:{name}:{port}" is forbidden: User "{user}" cannot get resource "services/proxy"'
            return self._status(403, "Forbidden", f'{what} in API group "" in the namespace "{namespace}"')
        ports = {each[2]: url for each, url in self.server_of.services.items() if each[:2] == (namespace, name)}
        unseen, self.server_of.unseen = self.server_of.unseen, max(0, self.server_of.unseen - 1)
        if unseen or not ports:
            return self._status(404, "NotFound", f'services "{name}" not found')
        if port not in ports:
            return self._status(503, "ServiceUnavailable", f'no service port {port} found for service "{name}"')
        return self._forward(ports[port], found[5] or "/", body)

    def _forward(self, url: str, path: str, body: bytes) -> None:
        backend = urlsplit(url)
        query = urlsplit(self.path).query
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        headers |= {"X-Forwarded-For": "127.0.0.1", "Content-Length": str(len(body))}
        connection = http.client.HTTPConnection(str(backend.hostname), backend.port)
        try:
            connection.request(self.command, f"{path}?{query}" if query else path, body, headers)
            answer = connection.getresponse()
        except OSError as error:
            text = f"error trying to reach service: dial tcp {backend.netloc}: connect: {error.strerror}"
            return self._status(503, "ServiceUnavailable", text)
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while part := answer.read1(1 << 16):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")
        connection.close()
        return None

    def _status(self, code: int, reason: str, message: str) -> None:
        status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        self._json(code, {**status, "message": message, "reason": reason, "code": code})

    def _json(self, code: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def api_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """A cluster's API server, which nobody knows of yet: neither the environment nor what this process read before."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(kubernetes_config, "_known", {})
    monkeypatch.setattr(kubernetes_secrets, "_known", {})
    monkeypatch.setattr(kubernetes_api, "_PAUSE_SECONDS", 0.0)
    folder = tmp_path / "kubernetes"
    folder.mkdir()
    server = ApiServer(folder)
    yield server
    server.stop()
