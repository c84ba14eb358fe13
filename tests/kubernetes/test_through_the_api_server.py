"""Addresses in a cluster against a real API server, as its administrator, with no images.

The services are one that leads to the API server itself, which everybody may ask for its version, and ones that nothing is
behind.
"""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from heliostat.spec.addresses import HttpAddress, KubernetesCluster, KubernetesProxy, KubernetesSecret
from heliostat.systems import http, kubernetes_secrets
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.kubernetes_api import to_api
from heliostat.systems.kubernetes_secrets import read_secret
from tests.kubernetes.cluster import Cluster

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]


class Space:
    """A namespace of its own in the cluster, and calls of the cluster's API."""

    def __init__(self, kubeconfig: str, namespace: str) -> None:
        self.kubeconfig, self.namespace = kubeconfig, namespace
        transport = to_api(KubernetesCluster(kubeconfig=kubeconfig), "the test's own objects")
        self._client = httpx.Client(transport=transport, base_url="http://kubernetes", timeout=30)

    def call(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        content: dict[str, Any] = self._client.request(method, path, json=body or None).raise_for_status().json()
        return content

    def make(self, kind: str, name: str, api: str = "api/v1", **content: Any) -> dict[str, Any]:
        return self.call("POST", f"/{api}/namespaces/{self.namespace}/{kind}", metadata={"name": name}, **content)

    def behind_it(self) -> str:
        """The URL of a service that leads to the API server.

        Its proxy goes to what Endpoints say is a pod, so there is one that no scheduler takes, with the API server's address.
        """
        found = self.call("GET", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes")
        address, port = found["endpoints"][0]["addresses"][0], found["ports"][0]["port"]
        container = {"name": "none", "image": "node.invalid/none"}
        self.make("serviceaccounts", "nobody")
        self.make("pods", "itself", spec={"schedulerName": "none", "serviceAccountName": "nobody", "containers": [container]})
        pod = f"/api/v1/namespaces/{self.namespace}/pods/itself/status"
        status = {"podIP": address, "podIPs": [{"ip": address}]}
        patch = {"Content-Type": "application/merge-patch+json"}
        self._client.patch(pod, content=json.dumps({"status": status}), headers=patch).raise_for_status()
        target = {"kind": "Pod", "namespace": self.namespace, "name": "itself"}
        subset = {"addresses": [{"ip": address, "targetRef": target}], "ports": [{"port": port}]}
        self.make("services", "itself", spec={"ports": [{"port": 443}]})
        self.make("endpoints", "itself", subsets=[subset])
        return f"https://itself.{self.namespace}.svc"

    def secret(self, method: str, token: str) -> None:
        data = {"token": b64encode(token.encode()).decode()}
        name = "/ray" if method == "PUT" else ""
        self.call(method, f"/api/v1/namespaces/{self.namespace}/secrets{name}", metadata={"name": "ray"}, data=data)

    def user(self, folder: Path) -> str:
        """The kubeconfig of a service account that may do nothing yet."""
        self.make("serviceaccounts", "guest")
        path = f"/api/v1/namespaces/{self.namespace}/serviceaccounts/guest/token"
        token = self.call("POST", path, spec={"expirationSeconds": 3600})["status"]["token"]
        from heliostat.systems.kubernetes_config import api_server

        known = self.call("GET", "/api/v1/namespaces/kube-system/configmaps/kube-root-ca.crt")["data"]["ca.crt"]
        cluster = {
            "server": api_server(KubernetesCluster(kubeconfig=self.kubeconfig)).url,
            "certificate-authority-data": b64encode(known.encode()).decode(),
        }
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "guest",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "guest", "context": {"cluster": "c", "user": "u"}}],
        }
        path_of_it = folder / "guest"
        path_of_it.write_text(json.dumps(config))
        return str(path_of_it)

    def let(self, resources: list[str], verbs: list[str]) -> None:
        """Let that service account do something."""
        api = "apis/rbac.authorization.k8s.io/v1"
        self.make("roles", "guest", api, rules=[{"apiGroups": [""], "resources": resources, "verbs": verbs}])
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "guest"}
        subject = {"kind": "ServiceAccount", "name": "guest", "namespace": self.namespace}
        self.make("rolebindings", "guest", api, roleRef=role, subjects=[subject])


@pytest.fixture
def space(cluster: Cluster) -> Iterator[Space]:
    found = Space(str(cluster.kubeconfig), f"heliostat-{os.urandom(4).hex()}")
    found.call("POST", "/api/v1/namespaces", metadata={"name": found.namespace})
    try:
        yield found
    finally:
        found.call("DELETE", f"/api/v1/namespaces/{found.namespace}")


def test_a_secret_is_read_and_read_again(space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_secrets, "_AGAIN_SECONDS", 0.0)
    secret = KubernetesSecret(namespace=space.namespace, name="ray", key="token", kubeconfig=space.kubeconfig)
    with pytest.raises(PermanentError, match=r'\(404\): secrets "ray" not found; make it'):
        read_secret(secret)
    space.secret("POST", "first")
    assert read_secret(secret) == "first"
    space.secret("PUT", "second")
    assert (read_secret(secret), read_secret(secret, refused="first")) == ("first", "second")
    with pytest.raises(PermanentError, match=r"has no key password \(there are: token\)"):
        read_secret(secret.model_copy(update={"key": "password"}))


async def test_a_service_is_reached_and_who_asks_does_not_travel_there(space: Space) -> None:
    address = HttpAddress(url=space.behind_it(), proxy=KubernetesProxy(kubeconfig=space.kubeconfig))
    async with http.open_client(address) as client:
        assert (await client.get("/version")).json()["gitVersion"].startswith("v1.")
        # The second of the two API servers on the way says so, of nobody.
        with pytest.raises(PermanentError, match="system:anonymous"):
            await client.get("/api/v1/nodes")
    with http.open_sync_client(address) as client:
        assert client.get("/version").status_code == 200


def test_services_that_are_not_there_are_final_and_pods_may_come(space: Space) -> None:
    space.make("services", "empty", spec={"ports": [{"port": 80}], "selector": {"nobody": "is-this"}})

    def ask(name: str, port: int) -> None:
        address = HttpAddress(
            url=f"http://{name}.{space.namespace}.svc:{port}", proxy=KubernetesProxy(kubeconfig=space.kubeconfig)
        )
        with http.open_sync_client(address) as client:
            client.get("/")

    with pytest.raises(PermanentError, match='services "missing" not found'):
        ask("missing", 80)
    with pytest.raises(PermanentError, match=r'no service port "?81"? found for service "empty"'):
        ask("empty", 81)
    with pytest.raises(RetryableError, match='no endpoints available for service "empty"'):
        ask("empty", 80)


def test_a_user_is_told_what_to_be_let_do_and_then_does_it(space: Space, tmp_path: Path) -> None:
    guest = space.user(tmp_path)
    space.secret("POST", "first")
    space.make("services", "empty", spec={"ports": [{"port": 80}], "selector": {"nobody": "is-this"}})
    secret = KubernetesSecret(namespace=space.namespace, name="ray", key="token", kubeconfig=guest)
    address = HttpAddress(url=f"http://empty.{space.namespace}.svc", proxy=KubernetesProxy(kubeconfig=guest))
    with http.open_sync_client(address) as client:
        with pytest.raises(PermanentError, match=r'cannot get resource "secrets" .*; let this user do that'):
            read_secret(secret)
        with pytest.raises(PermanentError, match=r'cannot get resource "services/proxy" .*; let this user do that'):
            client.get("/")
        space.let(["secrets", "services/proxy"], ["get"])
        assert read_secret(secret) == "first"
        with pytest.raises(RetryableError, match="no endpoints available"):
            client.get("/")
        with pytest.raises(PermanentError, match='cannot create resource "services/proxy"'):
            client.post("/")
