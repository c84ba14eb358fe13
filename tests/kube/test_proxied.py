"""A service inside of a cluster is reached through its API server, with a token of its own beside the kubeconfig's."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from api_server import ApiServer, api_server
from service_behind import Asked, Service, service

from heliostat.spec.addresses import (
    Access,
    ControllerAddress,
    HttpAddress,
    KubernetesProxy,
    KubernetesSecret,
    RayAddress,
    TokenFile,
)
from heliostat.systems import http
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.mlflow_registry import Registry
from heliostat.systems.ray_capacity import read_version
from heliostat.systems.ray_jobs import RayJobs

__all__ = ["api_server", "service"]
URL = "http://head.ml.svc:8265"


@pytest.fixture
def proxy(api_server: ApiServer, service: Service) -> KubernetesProxy:
    api_server.services["ml", "head", 8265] = service.url
    return KubernetesProxy(kubeconfig=str(api_server.kubeconfig({"token": "ada-token"})))


@pytest.fixture
def token(tmp_path: Path) -> TokenFile:
    (tmp_path / "token").write_text("s3cret")
    return TokenFile(path=str(tmp_path / "token"))


@pytest.mark.parametrize("kind", [RayAddress, ControllerAddress])
async def test_a_services_own_token_travels_beside_the_kubeconfigs(
    api_server: ApiServer, service: Service, proxy: KubernetesProxy, token: TokenFile, kind: type[HttpAddress]
) -> None:
    async with http.open_client(kind(url=URL, credential=token, proxy=proxy)) as client:
        await client.get("/api")
    header = {RayAddress: "x-ray-authorization", ControllerAddress: "x-heliostat-authorization"}[kind]
    assert api_server.seen[-1][2]["authorization"] == "Bearer ada-token"
    assert service.seen[-1].headers[header] == "Bearer s3cret"
    assert "authorization" not in service.seen[-1].headers


async def test_a_client_certificate_leads_there_too(
    api_server: ApiServer, service: Service, proxy: KubernetesProxy, token: TokenFile
) -> None:
    certificate, key = api_server.authority.issue("grace")
    user = {"client-certificate": str(certificate), "client-key": str(key)}
    by_certificate = KubernetesProxy(kubeconfig=str(api_server.kubeconfig(user, "other")), context="test")
    async with http.open_client(RayAddress(url=URL, credential=token, proxy=by_certificate)) as client:
        assert (await client.get("/api")).status_code == 200
    assert api_server.seen[-1][0] == "grace"


@pytest.mark.parametrize("path", ["/", "/api/jobs/", "/api/v0/logs?node_id=a%2Fb&glob=*", "/a%20b/c?q=1&q=2"])
def test_paths_and_queries_arrive_as_they_were_written(service: Service, proxy: KubernetesProxy, path: str) -> None:
    with http.open_sync_client(HttpAddress(url=URL, proxy=proxy)) as client:
        assert client.get(path).json() == {"path": path}


def test_a_url_with_a_path_and_an_api_server_with_one_keep_theirs(
    api_server: ApiServer, service: Service, proxy: KubernetesProxy
) -> None:
    config = api_server.kubeconfig({"token": "ada-token"}, "below", server=f"{api_server.url}/k8s/c1/")
    behind = KubernetesProxy(kubeconfig=str(config))
    with http.open_sync_client(HttpAddress(url=f"{URL}/team", proxy=proxy)) as client:
        assert client.get("/runs").json() == {"path": "/team/runs"}
    with http.open_sync_client(HttpAddress(url=URL, proxy=behind)) as client, pytest.raises(PermanentError, match="404"):
        client.get("/")
    assert api_server.seen[-1][1] == "/k8s/c1/api/v1/namespaces/ml/services/http:head:8265/proxy/"


async def test_calls_of_each_kind_arrive_whole(service: Service, proxy: KubernetesProxy) -> None:
    async with http.open_client(RayAddress(url=URL, proxy=proxy)) as client:
        for method in ("GET", "POST", "PUT", "DELETE"):
            await client.request(method, "/x", json={"from": method})
    assert [(asked.method, asked.body) for asked in service.seen] == [
        (method, b'{"from":"%b"}' % method.encode()) for method in ("GET", "POST", "PUT", "DELETE")
    ]


async def test_who_asks_is_read_again_where_the_api_server_does_not_know_it(
    api_server: ApiServer, service: Service, proxy: KubernetesProxy
) -> None:
    address = RayAddress(url=URL, proxy=proxy)
    async with http.open_client(address) as client:
        for number in range(4):
            assert (await client.post("/", json=number)).status_code == 200
            api_server.tokens = {f"token-{number}": "ada"}
            api_server.kubeconfig({"token": f"token-{number}"})
    assert [asked.body for asked in service.seen] == [b"0", b"1", b"2", b"3"]
    api_server.tokens = {}
    with http.open_sync_client(address) as client, pytest.raises(PermanentError) as told:
        client.get("/")
    assert str(told.value) == (
        f"the Kubernetes API server {api_server.url} of the context test does not know who asks for the service head in the "
        "namespace ml (401): log in to the cluster, or name another context"
    )


@pytest.mark.parametrize("status", [401, 403, 404, 409, 500, 503])
async def test_what_the_service_itself_refuses_is_its_own_answer(
    service: Service, proxy: KubernetesProxy, status: int
) -> None:
    service.answer = lambda _: (status, {"detail": "mine"})
    async with http.open_client(RayAddress(url=URL, proxy=proxy)) as client:
        answer = await client.get("/")
    assert (answer.status_code, answer.json()) == (status, {"detail": "mine"})


async def test_a_refusal_of_the_service_that_is_compressed_is_read_all_the_same(
    service: Service, proxy: KubernetesProxy
) -> None:
    service.encoding, service.encode = "gzip", gzip.compress
    service.answer = lambda _: (404, {"detail": "mine"})
    async with http.open_client(RayAddress(url=URL, proxy=proxy)) as client:
        assert (await client.get("/")).json() == {"detail": "mine"}


async def test_ray_that_refuses_the_token_is_told_from_a_cluster_that_refuses_the_user(
    api_server: ApiServer, service: Service, proxy: KubernetesProxy
) -> None:
    service.answer = lambda _: (403, {})
    with pytest.raises(PermanentError, match=rf"Ray at {URL} refuses the token \(403\)"):
        await read_version(RayAddress(url=URL, proxy=proxy))
    api_server.forbidden.add("services/proxy")
    with pytest.raises(PermanentError, match=r'User "ada" cannot get resource "services/proxy" .*; let this user do that'):
        await read_version(RayAddress(url=URL, proxy=proxy))


async def test_mistakes_are_final_and_what_may_come_is_not(
    api_server: ApiServer, service: Service, proxy: KubernetesProxy
) -> None:
    async def told(url: str, kind: type[Exception]) -> str:
        with pytest.raises(kind) as found:
            async with RayJobs(RayAddress(url=url, proxy=proxy)) as jobs:
                await jobs.attempts("train")
        return str(found.value)

    missing = await told("http://other.ml.svc:8265", PermanentError)
    assert missing.endswith(
        'refuses the service other in the namespace ml (404): services "other" not found; make it, or correct the address'
    )
    assert 'no service port 80 found for service "head"' in await told("http://head.ml.svc", PermanentError)
    api_server.services["ml", "head", 8265] = "http://127.0.0.1:1"
    assert "error trying to reach service: dial tcp" in await told(URL, RetryableError)
    api_server.stop()
    away = await told(URL, RetryableError)
    assert "which leads to the service head in the namespace ml, does not answer" in away


async def test_a_service_that_was_just_made_is_asked_again_until_its_endpoints_are_there(
    api_server: ApiServer, service: Service, proxy: KubernetesProxy
) -> None:
    address = RayAddress(url=URL, proxy=proxy)
    api_server.unseen = 3
    async with http.open_client(address) as client:
        assert (await client.post("/", json=1)).status_code == 200
    api_server.unseen = 3
    with http.open_sync_client(address) as sync:
        assert sync.post("/", json=2).status_code == 200
    assert [asked.body for asked in service.seen] == [b"1", b"2"]


async def test_an_answer_is_passed_on_while_it_still_comes(service: Service, proxy: KubernetesProxy) -> None:
    go_on = threading.Event()

    def follow() -> Iterator[bytes]:
        yield b"first\n"
        go_on.wait(10)
        yield b"second\n"

    service.answer = lambda _: (200, follow())
    async with http.open_client(RayAddress(url=URL, proxy=proxy)) as client, client.stream("GET", "/logs") as answer:
        lines = answer.aiter_lines()
        assert (await anext(lines), go_on.is_set()) == ("first", False)
        go_on.set()
        assert await anext(lines) == "second"


def test_mlflow_is_reached_and_takes_no_credential(
    service: Service, proxy: KubernetesProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    service.answer = lambda asked: (200, "3.17.0")
    with Registry(URL, access=Access(proxy=proxy)) as registry:
        assert registry.server_version() == '"3.17.0"'
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "hush")
    with pytest.raises(PermanentError, match=r"keeps Authorization, .*: unset MLFLOW_TRACKING_TOKEN here") as told:
        Registry(URL, access=Access(proxy=proxy))
    assert "hush" not in str(told.value)


async def test_a_token_in_a_secret_and_a_service_behind_the_same_api_server_go_together(
    api_server: ApiServer, service: Service, proxy: KubernetesProxy
) -> None:
    api_server.secrets["ml", "ray"] = {"token": "s3cret"}
    secret = KubernetesSecret(namespace="ml", name="ray", key="token", kubeconfig=proxy.kubeconfig)

    def answer(asked: Asked) -> tuple[int, object]:
        return (200 if asked.headers.get("x-ray-authorization") == "Bearer s3cret" else 403), {"ray_version": "2.60.0"}

    service.answer = answer
    assert await read_version(RayAddress(url=URL, credential=secret, proxy=proxy)) == "2.60.0"


async def test_a_proxy_of_the_environment_is_not_told_what_is_on_loopback(
    proxy: KubernetesProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    async with http.open_client(RayAddress(url=URL, proxy=proxy)) as client:
        assert (await client.get("/")).status_code == 200


async def test_the_proxy_that_a_kubeconfig_names_is_on_the_way(api_server: ApiServer, service: Service) -> None:
    config = api_server.kubeconfig({"token": "ada-token"}, "by", **{"proxy-url": "http://127.0.0.1:1"})
    async with http.open_client(RayAddress(url=URL, proxy=KubernetesProxy(kubeconfig=str(config)))) as client:
        with pytest.raises(RetryableError, match="does not answer"):
            await client.get("/")
    assert not service.seen


def test_a_transport_that_is_given_is_the_way() -> None:
    address = RayAddress(url=URL, proxy=KubernetesProxy(context="prod"))
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text=str(request.url)))
    with http.open_sync_client(address, transport=transport) as client:
        assert client.get("/a").text == f"{URL}/a"
