"""An address says where a secret is found, never the secret, and is read as it was written before."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from heliostat.spec.addresses import (
    Access,
    BasicVariables,
    ControllerAddress,
    HttpAddress,
    KubernetesProxy,
    KubernetesSecret,
    RayAddress,
    Service,
    TokenFile,
    TokenVariable,
    service_of,
)
from heliostat.spec.platforms.ray import ControllerPlace, ExistingTracking

URL = "http://10.0.0.2:8265"


@pytest.mark.parametrize("key", ["tokenFile", "token_file"])
def test_the_path_of_a_tokens_file_that_older_states_hold_is_read(key: str) -> None:
    for kind in (RayAddress, ControllerAddress):
        assert kind.model_validate({"url": URL, key: "/t"}) == kind(url=URL, credential=TokenFile(path="/t"))


def test_an_older_address_without_a_token_has_none() -> None:
    assert RayAddress.model_validate({"url": URL, "tokenFile": None}) == RayAddress(url=URL)


@pytest.mark.parametrize(
    ("credential", "said"),
    [
        (TokenFile(path="/t"), {"kind": "file", "path": "/t"}),
        (TokenVariable(variable="T"), {"kind": "environment", "variable": "T"}),
        (
            BasicVariables(username_variable="N", password_variable="P"),
            {"kind": "basic", "usernameVariable": "N", "passwordVariable": "P"},
        ),
        (
            KubernetesSecret(namespace="ml", name="ray", key="token", context="prod", kubeconfig="~/.kube/prod"),
            {"kind": "kubernetes", "namespace": "ml", "name": "ray", "key": "token"}
            | {"context": "prod", "kubeconfig": "~/.kube/prod"},
        ),
    ],
)
def test_each_credential_is_written_with_its_kind_and_read_again(credential: Any, said: dict[str, str]) -> None:
    address = HttpAddress(url=URL, credential=credential)
    written = address.model_dump(mode="json", by_alias=True, exclude_none=True)
    assert written == {"url": URL, "credential": said}
    assert HttpAddress.model_validate(written) == address


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "ray:8265"},
        {"url": "ftp://ray"},
        {"url": "http://ada:secret@ray"},
        {"url": "http://ray?token=secret"},
        {"url": URL, "credential": {"kind": "file", "path": "token"}},
        {"url": URL, "credential": {"kind": "environment", "variable": "MY TOKEN"}},
        {"url": URL, "credential": {"kind": "guess"}},
        {"url": URL, "credential": {"kind": "environment"}},
        {"url": URL, "credential": {"kind": "kubernetes", "namespace": "ml", "name": "ray"}},
        {"url": URL, "credential": {"kind": "kubernetes", "namespace": "ML", "name": "ray", "key": "token"}},
        {"url": URL, "credential": {"kind": "kubernetes", "namespace": "ml", "name": "ray", "key": "a/b"}},
        {"url": URL, "proxy": {"kind": "kubernetes"}},
        {"url": "http://head.ml.svc:8265", "proxy": {"kind": "ssh"}},
        {"url": URL, "password": "secret"},
    ],
)
def test_what_is_no_address_or_holds_a_secret_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HttpAddress.model_validate(wrong)


@pytest.mark.parametrize("url", ["http://ray:8265", "https://mlflow.example/team", "http://[::1]:80"])
def test_urls_of_all_kinds_are_taken(url: str) -> None:
    assert HttpAddress(url=url).url == url


@pytest.mark.parametrize(
    ("url", "service"),
    [
        ("http://head.ml.svc:8265", Service("ml", "head", "http", 8265)),
        ("http://head.ml.svc.cluster.local:8265/team", Service("ml", "head", "http", 8265)),
        ("http://head.ml", Service("ml", "head", "http", 80)),
        ("https://mlflow.ml.svc", Service("ml", "mlflow", "https", 443)),
    ],
)
def test_a_service_is_named_as_inside_of_its_cluster(url: str, service: Service) -> None:
    assert service_of(url) == service
    assert RayAddress(url=url, proxy=KubernetesProxy()).url == url


@pytest.mark.parametrize("url", ["http://head:8265", "http://10.0.0.2:8265", "http://head.ml.example.org", "http://[::1]:80"])
def test_what_names_no_service_is_reached_through_no_api_server(url: str) -> None:
    for wrong in (
        lambda: RayAddress(url=url, proxy=KubernetesProxy()),
        lambda: ExistingTracking(uri=url, proxy=KubernetesProxy()),
    ):
        with pytest.raises(
            ValidationError, match=r"names no service of a Kubernetes cluster: .* http://NAME\.NAMESPACE\.svc:PORT"
        ):
            wrong()


def test_through_an_api_server_travels_what_can() -> None:
    url, proxy, token, basic = (
        "http://head.ml.svc",
        KubernetesProxy(),
        TokenVariable(variable="T"),
        BasicVariables(username_variable="N", password_variable="P"),
    )
    for kind in (RayAddress, ControllerAddress):
        assert kind(url=url, credential=token, proxy=proxy).credential == token
        with pytest.raises(ValidationError, match="no name and password get through"):
            kind(url=url, credential=basic, proxy=proxy)
    for wrong in (lambda: HttpAddress(url=url, credential=token, proxy=proxy), lambda: Access(credential=token, proxy=proxy)):
        with pytest.raises(ValidationError, match="no credential gets through"):
            wrong()


def test_all_that_does_not_get_through_is_told_at_once() -> None:
    with pytest.raises(ValidationError, match=r"no credential gets through .*; http://mlflow:5000 names no service"):
        ExistingTracking(uri="http://mlflow:5000", credential=TokenVariable(variable="T"), proxy=KubernetesProxy())


def test_how_mlflow_is_reached_from_outside_is_said_where_it_is_otherwise_than_inside() -> None:
    url = "http://mlflow.ml.svc:5000"
    assert ExistingTracking(uri=url).access is None
    assert ExistingTracking(uri=url, proxy=KubernetesProxy()).access == Access(proxy=KubernetesProxy())


def test_a_controllers_token_is_in_a_variable_whose_kind_need_not_be_named_or_in_a_secret() -> None:
    secret = {"kind": "kubernetes", "namespace": "ml", "name": "api", "key": "token"}
    for said, meant in (
        ({"variable": "T"}, TokenVariable(variable="T")),
        ({"kind": "environment", "variable": "T"}, TokenVariable(variable="T")),
        (secret, KubernetesSecret(namespace="ml", name="api", key="token")),
    ):
        assert ControllerPlace.model_validate({"credential": said}).credential == meant
    for wrong in ({"kind": "file", "path": "/t"}, {"kind": 1}):
        with pytest.raises(ValidationError):
            ControllerPlace.model_validate({"credential": wrong})
