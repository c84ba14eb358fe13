"""Where a GKE cluster's API is, and who may use it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from api_server import ApiServer, api_server
from google_cloud import AUTHORITY, GoogleCloud, google_cloud

from heliostat.spec.addresses import GkeCluster, KubernetesSecret
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.gke import access
from heliostat.systems.kubernetes_secrets import read_secret

__all__ = ["api_server", "google_cloud"]
CLUSTER = GkeCluster(project="acme-ml", location="europe-west4", name="heliostat-prod")


def secret_of(name: str) -> KubernetesSecret:
    return KubernetesSecret(namespace="ml", name=name, key="token", cluster=CLUSTER)


def test_a_cluster_is_found_with_a_token_that_lives_an_hour(google_cloud: GoogleCloud) -> None:
    google_cloud.make()
    found = access(CLUSTER)
    assert (found.server, found.ca_pem) == ("https://172.16.0.2", AUTHORITY)
    assert found.token in google_cloud.tokens
    assert 3500 < found.expires - time.time() <= 3600


def test_a_cluster_that_was_made_anew_is_found_where_it_is_now(google_cloud: GoogleCloud) -> None:
    google_cloud.make()["endpoint"] = "172.16.0.3"
    assert access(CLUSTER).server == "https://172.16.0.3"
    google_cloud.make()
    assert access(CLUSTER).server == "https://172.16.0.2"


def test_a_secret_of_a_cluster_is_read_by_the_cluster_s_name_and_asked_for_anew_where_its_token_is_refused(
    google_cloud: GoogleCloud, api_server: ApiServer
) -> None:
    google_cloud.make(endpoint=api_server.url.removeprefix("https://"), authority=api_server.authority.file.read_bytes())
    api_server.secrets = {("ml", name): {"token": f"token of {name}"} for name in ("ray", "controller")}
    api_server.tokens = {"ya29.0": "robot"}
    assert read_secret(secret_of("ray")) == "token of ray"
    api_server.tokens = {"ya29.1": "robot"}
    assert read_secret(secret_of("controller")) == "token of controller"
    assert [user for user, _, _ in api_server.seen] == ["robot", "", "robot"]


def test_a_cluster_that_is_not_there_is_final_and_named(google_cloud: GoogleCloud) -> None:
    with pytest.raises(PermanentError, match=r"GKE cluster heliostat-prod in europe-west4 .* \(404\): Not found.*make it"):
        access(CLUSTER)


@pytest.mark.parametrize("status", ["RUNNING", "RECONCILING", "DEGRADED"])
def test_a_cluster_that_is_being_changed_answers_all_the_same(google_cloud: GoogleCloud, status: str) -> None:
    google_cloud.make(status=status)
    assert access(CLUSTER).server == "https://172.16.0.2"


@pytest.mark.parametrize(
    ("status", "kind"), [("PROVISIONING", RetryableError), ("STOPPING", PermanentError), ("ERROR", PermanentError)]
)
def test_a_cluster_that_is_coming_is_waited_for_and_one_that_goes_is_not(
    google_cloud: GoogleCloud, status: str, kind: type[Exception]
) -> None:
    google_cloud.make(status=status)
    with pytest.raises(kind, match=status):
        access(CLUSTER)


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        (401, PermanentError, "log in again"),
        (403, PermanentError, "container.clusterViewer"),
        (429, RetryableError, "429"),
        (503, RetryableError, "backend"),
    ],
)
def test_an_answer_says_whether_to_ask_again_and_what_to_do(
    google_cloud: GoogleCloud, status: int, kind: type[Exception], told: str
) -> None:
    google_cloud.failing = status, {"error": {"code": status, "message": "the backend says no"}}
    with pytest.raises(kind, match=told):
        access(CLUSTER)


def test_an_answer_that_is_no_json_is_told_by_its_status(google_cloud: GoogleCloud) -> None:
    google_cloud.failing = 502, b"<html>"
    with pytest.raises(RetryableError, match=r"\(502\): Bad Gateway"):
        access(CLUSTER)


def test_google_cloud_that_does_not_answer_is_asked_again_later(
    google_cloud: GoogleCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER", "http://127.0.0.1:9")
    with pytest.raises(RetryableError, match="does not say where the GKE cluster heliostat-prod"):
        access(CLUSTER)


def test_an_account_that_is_gone_is_final_and_its_key_is_not_shown(google_cloud: GoogleCloud) -> None:
    google_cloud.accounts.clear()
    with pytest.raises(PermanentError, match="account not found; log in again") as refused:
        access(CLUSTER)
    assert "PRIVATE KEY" not in str(refused.value)


@pytest.mark.parametrize("content", ["", "{}", '{"type": "service_account"}'])
def test_credentials_that_are_none_are_told_and_not_shown(
    google_cloud: GoogleCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    file = tmp_path / "other.json"
    file.write_text(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    with pytest.raises(PermanentError, match=r"GOOGLE_APPLICATION_CREDENTIALS|cannot be used"):
        access(CLUSTER)


def test_a_file_of_credentials_that_is_not_there_is_named(google_cloud: GoogleCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
    with pytest.raises(PermanentError, match=r"/nowhere/key\.json"):
        access(CLUSTER)


def test_without_google_s_library_the_extra_is_named(google_cloud: GoogleCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.auth", None)
    with pytest.raises(PermanentError, match=r"heliostat\[gcp\]"):
        access(CLUSTER)
