"""What a controller works on may be inside of a Kubernetes cluster; the preview tells all that is wrong with the way there."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import pytest
from api_server import ApiServer, api_server
from service_behind import Asked, Service, service

from heliostat.provider.underlying import unanswered
from heliostat.spec.addresses import Access, KubernetesProxy, KubernetesSecret, RayAddress, StoreAddress
from heliostat.spec.platform_resources import ControllerInputs
from heliostat.systems.errors import PermanentError

__all__ = ["api_server", "service"]


@pytest.fixture
def inputs(api_server: ApiServer, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ControllerInputs:
    """Of a controller for Ray and MLflow that run in one cluster, as all of it is right."""
    for name in ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME"):
        monkeypatch.delenv(name, raising=False)
    config = str(api_server.kubeconfig({"token": "ada-token"}))
    api_server.secrets["ml", "tokens"] = {"ray": "s3cret", "api": "hush"}
    api_server.services |= {("ml", "head", 8265): service.url, ("ml", "mlflow", 5000): service.url}

    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.path == "/api/version":
            return 200, {"ray_version": importlib.metadata.version("ray")}
        if asked.path.startswith("/api/") and "mlflow" not in asked.path:
            let_in = asked.headers.get("x-ray-authorization") == "Bearer s3cret"
            return (200, {"data": {"result": {"result": []}}}) if let_in else (403, {})
        return 200, {}

    service.answer = answer
    proxy = KubernetesProxy(kubeconfig=config)

    def secret(key: str) -> KubernetesSecret:
        return KubernetesSecret(namespace="ml", name="tokens", key=key, kubeconfig=config)

    return ControllerInputs(
        directory=str(tmp_path),
        ray=RayAddress(url="http://head.ml.svc:8265", credential=secret("ray"), proxy=proxy),
        store=StoreAddress(uri=tmp_path.as_uri()),
        tracking_uri="http://mlflow.ml.svc:5000",
        tracking_access=Access(proxy=proxy),
        credential=secret("api"),
    )


async def test_where_all_is_there_nothing_is_said(inputs: ControllerInputs, service: Service) -> None:
    assert await unanswered(inputs) == []
    paths = {asked.path.partition("?")[0] for asked in service.seen}
    assert paths >= {
        "/api/version",
        "/api/v0/nodes",
        "/api/serve/applications/",
        "/version",
        "/api/2.0/mlflow/experiments/get",
    }
    told = {asked.headers.get("x-ray-authorization") for asked in service.seen if asked.path.startswith("/version")}
    assert told == {None}, "MLflow is not told Ray's token"


async def test_all_mistakes_are_told_at_once_and_each_once(inputs: ControllerInputs, api_server: ApiServer) -> None:
    api_server.secrets["ml", "tokens"] = {"other": "hush"}
    api_server.services = {("ml", "mlflow", 5001): "http://127.0.0.1:1"}
    with pytest.raises(PermanentError) as found:
        await unanswered(inputs)
    for mistake in (
        'services "head" not found',
        "the token of http://head.ml.svc:8265: the secret tokens in the namespace ml has no key ray",
        'no service port 5000 found for service "mlflow"',
        "the token of http://127.0.0.1: the secret tokens in the namespace ml has no key api (there are: other)",
    ):
        assert str(found.value).count(mistake) == 1, mistake
    assert "hush" not in str(found.value)


async def test_a_user_who_may_not_and_a_context_that_is_not_there_are_told(
    inputs: ControllerInputs, api_server: ApiServer
) -> None:
    api_server.forbidden |= {"secrets", "services/proxy"}
    with pytest.raises(PermanentError) as found:
        await unanswered(inputs)
    for resource in ("secrets", "services/proxy"):
        assert f'User "ada" cannot get resource "{resource}"' in str(found.value)
    api_server.forbidden.remove("secrets")
    with pytest.raises(PermanentError) as found:
        await unanswered(inputs)
    assert str(found.value).count('services "http:head:8265" is forbidden') == 1, "Ray is asked for two things"
    elsewhere = Access(proxy=KubernetesProxy(kubeconfig=inputs.ray.proxy and inputs.ray.proxy.kubeconfig, context="prod"))
    with pytest.raises(PermanentError, match=r"object with name prod in .*\(there are the contexts test\)"):
        await unanswered(inputs.model_copy(update={"tracking_access": elsewhere}))


async def test_what_is_away_for_now_is_said_and_stops_nothing(inputs: ControllerInputs, api_server: ApiServer) -> None:
    api_server.services = dict.fromkeys(api_server.services, "http://127.0.0.1:1")
    ray, mlflow = await unanswered(inputs)
    assert ray.endswith("connect: Connection refused")
    assert "does not reach the service mlflow in the namespace ml (503)" in mlflow


async def test_a_token_of_the_controllers_own_is_looked_for_where_it_is_kept(
    inputs: ControllerInputs, api_server: ApiServer
) -> None:
    api_server.secrets["ml", "tokens"] = {"ray": "s3cret"}
    with pytest.raises(PermanentError) as found:
        await unanswered(inputs)
    assert str(found.value).endswith("has no key api (there are: ray)")
