"""A token that a Kubernetes secret holds is read where it is used, kept for moments, and shown nowhere."""

from __future__ import annotations

import pytest
from api_server import ApiServer, api_server
from service_behind import Asked, Service, service

from heliostat.spec.addresses import HttpAddress, KubernetesSecret, RayAddress
from heliostat.systems import http, kubernetes_secrets
from heliostat.systems.errors import NoAccessError, PermanentError, RetryableError
from heliostat.systems.kubernetes_secrets import read_secret

__all__ = ["api_server", "service"]


@pytest.fixture
def secret(api_server: ApiServer) -> KubernetesSecret:
    api_server.secrets["ml", "ray"] = {"token": "s3cret\n"}
    config = api_server.kubeconfig({"token": "ada-token"})
    return KubernetesSecret(namespace="ml", name="ray", key="token", kubeconfig=str(config))


def guarded(service: Service, token: str, status: int = 401) -> None:
    """Have the service let nobody in who has another token."""

    def answer(asked: Asked) -> tuple[int, object]:
        return (200, {}) if asked.headers.get("authorization") == f"Bearer {token}" else (status, {"detail": "no"})

    service.answer = answer


async def test_each_request_is_let_in_and_the_secret_is_read_once(
    api_server: ApiServer, secret: KubernetesSecret, service: Service
) -> None:
    address = RayAddress(url=service.url, credential=secret)
    guarded(service, "s3cret")
    async with http.open_client(address) as client:
        assert [(await client.get("/")).status_code for _ in range(3)] == [200, 200, 200]
    with http.open_sync_client(address) as client:
        assert client.get("/").status_code == 200
    assert http.read_token(address) == "s3cret"
    assert api_server.reads() == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_a_secret_that_changed_is_read_again_where_what_it_held_is_refused(
    api_server: ApiServer, secret: KubernetesSecret, service: Service, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_secrets, "_AGAIN_SECONDS", 0.0)
    address = HttpAddress(url=service.url, credential=secret)
    guarded(service, "s3cret", status)
    async with http.open_client(address) as client:
        await client.get("/")
        api_server.secrets["ml", "ray"] = {"token": "newer"}
        guarded(service, "newer", status)
        assert (await client.post("/", json={"a": 1})).status_code == 200
    assert [asked.body for asked in service.seen[-2:]] == [b'{"a":1}', b'{"a":1}'], "the second attempt is whole"
    api_server.secrets["ml", "ray"] = {"token": "newest"}
    guarded(service, "newest", status)
    with http.open_sync_client(address) as client:
        assert client.get("/").status_code == 200


async def test_whoever_refuses_everything_is_no_reason_to_read_it_again_and_again(
    api_server: ApiServer, secret: KubernetesSecret, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes_secrets, "_AGAIN_SECONDS", 25.0)  # this machine may be slow
    guarded(service, "another")
    async with http.open_client(HttpAddress(url=service.url, credential=secret)) as client:
        assert {(await client.get("/")).status_code for _ in range(5)} == {401}
    assert (api_server.reads(), len(service.seen)) == (1, 5)


def test_what_it_held_is_forgotten_after_a_while(
    api_server: ApiServer, secret: KubernetesSecret, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_secret(secret) == "s3cret"
    api_server.secrets["ml", "ray"] = {"token": "newer"}
    assert read_secret(secret) == "s3cret"
    monkeypatch.setattr(kubernetes_secrets, "_known", {secret: ("s3cret", 0.0)})
    assert read_secret(secret) == "newer"


def test_what_is_wrong_with_a_secret_is_final_and_says_what_to_do(api_server: ApiServer, secret: KubernetesSecret) -> None:
    address = HttpAddress(url="http://ray", credential=secret)

    def told() -> str:
        with pytest.raises(PermanentError) as found:
            http.read_token(address)
        return str(found.value)

    api_server.secrets["ml", "ray"] = {"password": "hush", "user": "hush"}
    assert told() == (
        "the token of http://ray: the secret ray in the namespace ml has no key token (there are: password, user)"
    )
    for wrong, why in (("", "is empty"), ("hush\nhush", "is not one line of ASCII"), ("hüsh", "is not one line of ASCII")):
        api_server.secrets["ml", "ray"] = {"token": wrong}
        assert told().endswith(f"the key token of the secret ray in the namespace ml {why}: write the token into it")
        assert "sh" not in told().rpartition(why)[0].removeprefix("the token of http://ray")
    api_server.secrets.clear()
    with pytest.raises(NoAccessError):
        http.read_token(address)  # which a preview takes for what comes later
    assert told().endswith(
        'refuses the secret ray in the namespace ml (404): secrets "ray" not found; make it, or correct the address'
    )
    api_server.forbidden.add("secrets")
    assert 'User "ada" cannot get resource "secrets"' in told()
    assert told().endswith("; let this user do that")
    api_server.tokens.clear()
    assert "does not know who asks for the secret ray in the namespace ml (401): log in" in told()


def test_what_answers_and_is_no_api_server_is_told(secret: KubernetesSecret, api_server: ApiServer, service: Service) -> None:
    config = api_server.kubeconfig({"token": "ada-token"}, "other", server=service.url)
    elsewhere = secret.model_copy(update={"kubeconfig": str(config)})
    service.answer = lambda _: (200, ["no", "secret"])
    with pytest.raises(PermanentError, match="what answers is no Kubernetes API server"):
        read_secret(elsewhere)
    service.answer = lambda _: (500, {"kind": "Status", "apiVersion": "v1", "message": "etcdserver: request timed out"})
    with pytest.raises(RetryableError, match=r"does not reach the secret .* \(500\): etcdserver: request timed out"):
        read_secret(elsewhere)


async def test_an_address_shows_where_its_token_is_and_never_the_token(
    secret: KubernetesSecret, service: Service, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    address = HttpAddress(url=service.url, credential=secret)
    with caplog.at_level("DEBUG"):
        async with http.open_client(address) as client:
            await client.get("/")
    assert service.seen[-1].headers["authorization"] == "Bearer s3cret"
    told = (address.model_dump_json(), repr(address), repr(client), caplog.text, *capfd.readouterr())
    assert not [text for text in told if "s3cret" in text or "ada-token" in text]
