"""One client for every address: it lets itself in at each request, and trusts nobody whom it need not."""

from __future__ import annotations

import ssl
from base64 import b64decode
from pathlib import Path

import httpx
import pytest

from heliostat.spec.addresses import BasicVariables, Credential, HttpAddress, TokenFile, TokenVariable
from heliostat.systems import http
from heliostat.systems.errors import NoAccessError, PermanentError, RetryableError

URL = "http://ray"


class Api:
    """Remembers how each request was let in."""

    def __init__(self) -> None:
        self.seen: list[str | None] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request.headers.get("authorization"))
        return httpx.Response(200)


async def asked(credential: Credential | None, api: Api | None = None) -> str | None:
    api = api or Api()
    async with http.open_client(HttpAddress(url=URL, credential=credential), transport=httpx.MockTransport(api)) as client:
        await client.get("/")
    return api.seen[-1]


async def test_an_api_that_asks_for_nothing_is_told_nothing() -> None:
    assert await asked(None) is None
    assert http.read_token(HttpAddress(url=URL)) == ""


async def test_a_token_that_changes_is_read_again_by_the_client_that_is_open(tmp_path: Path) -> None:
    api, file = Api(), tmp_path / "token"
    file.write_text("old\n")
    address = HttpAddress(url=URL, credential=TokenFile(path=str(file)))
    async with http.open_client(address, transport=httpx.MockTransport(api)) as client:
        await client.get("/")
        file.write_text("new\n")
        await client.get("/")
    assert api.seen == ["Bearer old", "Bearer new"]


def test_a_client_that_is_not_asynchronous_lets_itself_in_too(tmp_path: Path) -> None:
    api, file = Api(), tmp_path / "token"
    file.write_text("t")
    address = HttpAddress(url=URL, credential=TokenFile(path=str(file)))
    with http.open_sync_client(address, transport=httpx.MockTransport(api)) as client:
        client.get("/")
    assert api.seen == ["Bearer t"]


async def test_a_token_that_is_not_there_yet_may_come(tmp_path: Path) -> None:
    file = tmp_path / "token"
    with pytest.raises(RetryableError, match=f"the token of http://ray cannot be read from {file}: No such file"):
        await asked(TokenFile(path=str(file)))
    file.write_text("\n")
    with pytest.raises(RetryableError, match="is empty"):
        await asked(TokenFile(path=str(file)))


async def test_a_token_in_a_variable_is_read_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TOKEN", "t")
    assert await asked(TokenVariable(variable="RAY_TOKEN")) == "Bearer t"
    assert http.read_token(HttpAddress(url=URL, credential=TokenVariable(variable="RAY_TOKEN"))) == "t"


async def test_a_variable_that_is_not_set_is_named_with_what_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_TOKEN", raising=False)
    with pytest.raises(NoAccessError, match="the token of http://ray is to be in the environment variable RAY_TOKEN"):
        await asked(TokenVariable(variable="RAY_TOKEN"))


async def test_a_name_and_a_password_go_by_basic_authentication(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAME", "ada")
    monkeypatch.setenv("WORD", "s:cret")
    credential = BasicVariables(username_variable="NAME", password_variable="WORD")
    kind, _, told = (await asked(credential) or "").partition(" ")
    assert (kind, b64decode(told)) == ("Basic", b"ada:s:cret")
    with pytest.raises(PermanentError, match="not for a token"):
        http.read_token(HttpAddress(url=URL, credential=credential))
    monkeypatch.delenv("WORD")
    with pytest.raises(PermanentError, match="WORD"):
        await asked(credential)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8265", "http://127.3.2.1", "http://[::1]:80", "http://localhost:5000"])
def test_no_proxy_is_told_the_token_of_this_machine(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    with http.open_sync_client(HttpAddress(url=url)) as client:
        assert not client.trust_env
        assert not client._mounts


@pytest.mark.parametrize("url", ["http://10.0.0.2:8265", "https://ray.example", "http://local-host"])
def test_elsewhere_a_proxy_is_used_as_everywhere(url: str) -> None:
    with http.open_sync_client(HttpAddress(url=url)) as client:
        assert client.trust_env


def test_whether_anybody_is_there_is_known_sooner_than_an_answer() -> None:
    near, far = HttpAddress(url="http://127.0.0.1:1"), HttpAddress(url="http://10.0.0.2")
    assert (http.timeout_of(near, 30).connect, http.timeout_of(far, 30).connect) == (2, 10)
    assert http.timeout_of(far, 5).connect == 5
    assert (http.timeout_of(near, None).read, http.timeout_of(near, None).connect) == (None, 2)


def test_a_client_of_plain_http_reads_no_certificates_and_would_trust_none() -> None:
    trusted = http._authorities("http://127.0.0.1:8265")
    assert isinstance(trusted, ssl.SSLContext)
    assert trusted.get_ca_certs() == []
    assert trusted.verify_mode == ssl.CERT_REQUIRED
    assert trusted.check_hostname


def test_a_client_of_https_trusts_whom_httpx_trusts() -> None:
    assert http._authorities("https://mlflow.example") is True
