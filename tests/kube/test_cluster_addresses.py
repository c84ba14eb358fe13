"""A secret and a proxy say in which cluster they are: one of a kubeconfig, or one that its cloud knows."""

from __future__ import annotations

import sys
import time
from types import ModuleType

import pytest
from api_server import Authority
from pydantic import ValidationError

from heliostat.spec.addresses import EksCluster, GkeCluster, KubernetesCluster, KubernetesProxy, KubernetesSecret
from heliostat.systems import kubernetes_access
from heliostat.systems.kubernetes_access import ClusterAccess, api_server

EKS = EksCluster(region="eu-central-1", name="ml")
OLD = {"kind": "kubernetes", "namespace": "ml", "name": "ray", "key": "token", "context": "prod"}


def test_an_address_as_states_have_it_is_read_and_written_as_it_was():
    found = KubernetesSecret.model_validate(OLD)
    assert found.model_dump(mode="json", by_alias=True, exclude_none=True) == OLD
    assert found.where == KubernetesCluster(context="prod")
    assert KubernetesProxy.model_validate({"kind": "kubernetes"}).where == KubernetesCluster()


@pytest.mark.parametrize("cluster", [EKS, GkeCluster(project="my-project", location="europe-west4", name="ml")])
def test_a_clouds_cluster_is_found_by_its_name(cluster):
    found = KubernetesProxy(cluster=cluster)
    assert found.where == cluster
    assert KubernetesProxy.model_validate(found.model_dump(mode="json", by_alias=True)) == found


def test_an_address_names_one_cluster():
    with pytest.raises(ValidationError, match="exclude each other"):
        KubernetesProxy(cluster=EKS, context="prod")


class Cloud(ModuleType):
    """What says of a cluster where it is, and makes tokens."""

    def __init__(self, authority: str) -> None:
        super().__init__("cloud")
        self.authority, self.asked, self.lasts = authority, 0, 900.0

    def access(self, cluster: EksCluster) -> ClusterAccess:
        self.asked += 1
        return ClusterAccess("https://eks.example/", self.authority, f"token-{self.asked}", time.time() + self.lasts)


@pytest.fixture
def cloud(monkeypatch, tmp_path):
    made = Cloud(Authority(tmp_path).file.read_text())
    monkeypatch.setitem(sys.modules, "cloud", made)
    monkeypatch.setattr(kubernetes_access, "_CLOUDS", {"eks": "cloud"})
    monkeypatch.setattr(kubernetes_access, "_known", {})
    return made


def test_a_token_is_used_until_it_is_about_to_end(cloud):
    server = api_server(EKS)
    assert (server.url, server.authorization(), server.authorization()) == (
        "https://eks.example",
        "Bearer token-1",
        "Bearer token-1",
    )
    assert api_server(EKS) is server
    cloud.lasts = 30.0
    again = api_server(EKS, server)
    assert again is not server
    assert (again.authorization(), again.authorization()) == ("Bearer token-3", "Bearer token-4")


def test_a_server_names_its_cluster_and_no_token(cloud):
    server = api_server(EKS)
    assert str(server) == "the Kubernetes API server of the cluster ml of EKS"
    assert "token-1" not in repr(cloud.access(EKS))
