"""An API server is found, and let in to, as kubectl does it."""

from __future__ import annotations

import logging
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_server import ApiServer, api_server, data

from heliostat.spec.addresses import KubernetesCluster, KubernetesSecret
from heliostat.systems.errors import NoAccessError, PermanentError, RetryableError
from heliostat.systems.kubernetes_secrets import read_secret

__all__ = ["api_server"]


@pytest.fixture(autouse=True)
def kept(api_server: ApiServer) -> None:
    api_server.secrets["ml", "ray"] = {"token": "s3cret"}


def read(**cluster: Any) -> str:
    return read_secret(KubernetesSecret(namespace="ml", name="ray", key="token", **cluster))


def plugin(folder: Path, *tokens: str, version: str = "v1", expires: str = "") -> dict[str, Any]:
    """A user of a plugin that gives these tokens, one after another, and then fails."""
    for number, token in enumerate(tokens):
        (folder / f"token-{number}").write_text(token)
    program = folder / "plugin.py"
    program.write_text(
        "import json, pathlib, sys\n"
        f"found = sorted(pathlib.Path({str(folder)!r}).glob('token-*'))\n"
        "if not found: sys.exit('the session is over: log in again')\n"
        "status = {'token': found[0].read_text()}\n"
        f"status |= {{'expirationTimestamp': {expires!r}}} if {expires!r} else {{}}\n"
        "found[0].unlink()\n"
        f"print(json.dumps({{'kind': 'ExecCredential', 'apiVersion': 'client.authentication.k8s.io/{version}', "
        "'status': status}))\n"
    )
    command = {"apiVersion": f"client.authentication.k8s.io/{version}", "command": sys.executable, "args": [str(program)]}
    return {"exec": {**command, "interactiveMode": "Never"}}


def test_a_client_certificate_lets_in(api_server: ApiServer) -> None:
    certificate, key = api_server.authority.issue("grace")
    files = api_server.kubeconfig({"client-certificate": str(certificate), "client-key": str(key)}, "files")
    inside = api_server.kubeconfig({"client-certificate-data": data(certificate), "client-key-data": data(key)}, "inside")
    assert read(kubeconfig=str(files)) == read(kubeconfig=str(inside)) == "s3cret"
    assert {(user, headers.get("authorization")) for user, _, headers in api_server.seen} == {("grace", None)}


def test_a_key_that_stands_in_the_kubeconfig_is_left_in_no_file(
    api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    certificate, key = api_server.authority.issue("grace")
    config = api_server.kubeconfig({"client-certificate-data": data(certificate), "client-key-data": data(key)})
    modes = []
    removed = tempfile.TemporaryDirectory.cleanup

    def look(folder: tempfile.TemporaryDirectory[str]) -> None:
        modes.extend(stat.S_IMODE(each.stat().st_mode) for each in Path(folder.name).iterdir())
        removed(folder)

    monkeypatch.setattr(tempfile.TemporaryDirectory, "__exit__", lambda self, *_: look(self))
    assert read(kubeconfig=str(config)) == "s3cret"
    assert modes and set(modes) == {0o600}, "nobody else reads it meanwhile"
    assert list(temporary.iterdir()) == []


def test_a_token_lets_in(api_server: ApiServer) -> None:
    assert read(kubeconfig=str(api_server.kubeconfig({"token": "ada-token"}))) == "s3cret"
    assert api_server.seen[-1][0] == "ada"


def test_a_file_of_a_token_is_read_again_where_what_it_held_is_refused(api_server: ApiServer, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("ada-token\n")
    config = str(api_server.kubeconfig({"tokenFile": str(file)}))
    assert read(kubeconfig=config) == "s3cret"
    api_server.tokens = {"newer": "ada"}
    file.write_text("newer\n")
    api_server.secrets["ml", "other"] = {"token": "another"}
    other = KubernetesSecret(namespace="ml", name="other", key="token", kubeconfig=config)
    assert read_secret(other) == "another"
    assert [user for user, _, _ in api_server.seen] == ["ada", "", "ada"], "it was let in at the second attempt"


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_a_plugin_lets_in_and_runs_once(api_server: ApiServer, tmp_path: Path, version: str) -> None:
    config = str(api_server.kubeconfig(plugin(tmp_path, "ada-token", version=version)))
    assert read(kubeconfig=config) == "s3cret"
    api_server.secrets["ml", "other"] = {"token": "another"}
    other = KubernetesSecret(namespace="ml", name="other", key="token", kubeconfig=config)
    assert read_secret(other) == "another", "the plugin would fail by now"


def test_a_token_of_a_plugin_that_expires_is_fetched_again_before_it_is_refused(api_server: ApiServer, tmp_path: Path) -> None:
    api_server.tokens["second"] = "ada"
    config = str(api_server.kubeconfig(plugin(tmp_path, "ada-token", "second", expires="2001-01-01T00:00:00Z")))
    assert read(kubeconfig=config) == "s3cret"
    assert api_server.seen[-1][2]["authorization"] == "Bearer second"


def test_a_plugin_that_fails_is_told_with_what_it_said_and_nothing_is_logged(
    api_server: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = str(api_server.kubeconfig(plugin(tmp_path)))
    wanted = r"lets nobody in: .*the session is over: log in again"
    with caplog.at_level(logging.DEBUG), pytest.raises(PermanentError, match=wanted):
        read(kubeconfig=config)
    assert not [record for record in caplog.records if record.name == "root"]


def test_where_nothing_is_named_it_is_KUBECONFIG_then_the_home_s_then_the_pod_s(
    api_server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NoAccessError, match=r"there is no kubeconfig: write ~/\.kube/config, or name one in KUBECONFIG"):
        read()
    _in_a_pod(api_server, monkeypatch)
    assert read() == "s3cret"
    assert api_server.seen[-1][0] == "pod"
    home = Path(os.environ["HOME"], ".kube", "config")
    home.parent.mkdir(parents=True)
    home.write_bytes(api_server.kubeconfig({"token": "ada-token"}).read_bytes())
    from heliostat.systems import kubernetes_config, kubernetes_secrets

    for module in (kubernetes_config, kubernetes_secrets):
        monkeypatch.setattr(module, "_known", {})
    assert read() == "s3cret"
    assert api_server.seen[-1][0] == "ada"
    api_server.tokens["named"] = "grace"
    monkeypatch.setenv("KUBECONFIG", str(api_server.kubeconfig({"token": "named"}, "other")))
    monkeypatch.setattr(kubernetes_secrets, "_known", {})
    assert read() == "s3cret"
    assert api_server.seen[-1][0] == "grace"


def _in_a_pod(api_server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from kubernetes.config import incluster_config

    folder = api_server.folder / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text("pod-token")
    (folder / "ca.crt").write_bytes(api_server.authority.file.read_bytes())
    api_server.tokens["pod-token"] = "pod"
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(folder / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(folder / "ca.crt"))
    address = httpx.URL(api_server.url)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", address.host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(address.port))


def test_several_kubeconfigs_are_one(api_server: ApiServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.write_text("current-context: test\n")
    monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path / 'missing'}:{api_server.kubeconfig({'token': 'ada-token'})}")
    assert read(context="test") == read() == "s3cret"


def test_a_process_stays_with_the_context_that_was_current_when_it_began(api_server: ApiServer) -> None:
    config = api_server.kubeconfig({"token": "ada-token"})
    assert read(kubeconfig=str(config)) == "s3cret"
    written = config.read_text().replace("ada-token", "newer")
    config.write_text(written.replace('"current-context": "test"', '"current-context": "elsewhere"'))
    api_server.tokens = {"newer": "ada"}
    other = KubernetesSecret(namespace="ml", name="other", key="token", kubeconfig=str(config))
    with pytest.raises(PermanentError, match=r'of the context test refuses .*"other" not found'):
        read_secret(other)


def test_a_context_that_is_not_there_is_told_with_those_that_are(api_server: ApiServer) -> None:
    config = api_server.kubeconfig({"token": "ada-token"})
    with pytest.raises(NoAccessError, match=r"object with name prod in .*\(there are the contexts test\)"):
        read(kubeconfig=str(config), context="prod")


def test_what_is_no_kubeconfig_is_told_and_not_shown(
    api_server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    with pytest.raises(NoAccessError, match=f"there is no kubeconfig {config}: write it, or name another"):
        read(kubeconfig=str(config))
    monkeypatch.setenv("KUBECONFIG", str(config))
    with pytest.raises(NoAccessError, match=f"there is no kubeconfig {config}, which KUBECONFIG names"):
        read()
    for wrong in ("users: [{token: hush\n", "users: 1\ncontexts: hush", "", "- hush"):
        config.write_text(wrong)
        with pytest.raises(PermanentError, match=f"the kubeconfig {config}") as told:
            read(kubeconfig=str(config))
        assert "hush" not in str(told.value)


def test_a_token_that_fits_in_no_header_is_told_and_not_shown(api_server: ApiServer) -> None:
    with pytest.raises(PermanentError, match="is not one line of ASCII") as told:
        read(kubeconfig=str(api_server.kubeconfig({"token": "hush\nhush"})))
    assert "hush" not in str(told.value)


def test_a_server_that_shows_another_authoritys_certificate_is_final(api_server: ApiServer, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = ApiServer(tmp_path / "other")
    try:
        config = api_server.kubeconfig({"token": "ada-token"}, **{"certificate-authority-data": data(other.authority.file)})
        with pytest.raises(PermanentError, match=r"is not trusted \(.*\): correct its certificate-authority"):
            read(kubeconfig=str(config))
    finally:
        other.stop()
    assert api_server.seen == [], "it is told no token"
    blind = api_server.kubeconfig({"token": "ada-token"}, "blind", **{"insecure-skip-tls-verify": True})
    assert read(kubeconfig=str(blind)) == "s3cret"


def test_a_certificate_of_another_name_is_taken_where_the_kubeconfig_says_so(api_server: ApiServer) -> None:
    by_name = api_server.url.replace("127.0.0.1", "localhost")
    config = api_server.kubeconfig({"token": "ada-token"}, server=by_name)
    with pytest.raises(PermanentError, match="is not trusted"):
        read(kubeconfig=str(config))
    named = api_server.kubeconfig({"token": "ada-token"}, "named", server=by_name, **{"tls-server-name": "127.0.0.1"})
    assert read(kubeconfig=str(named)) == "s3cret"


def test_a_server_that_is_away_may_come_back(api_server: ApiServer) -> None:
    config = str(api_server.kubeconfig({"token": "ada-token"}, server="https://127.0.0.1:1"))
    with pytest.raises(RetryableError, match=r"https://127\.0\.0\.1:1 of the context test, .* does not answer"):
        read(kubeconfig=config)


def test_without_kubernetes_own_client_the_extra_is_named(api_server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(PermanentError, match=r"package kubernetes, which is not installed: name heliostat\[kubernetes\]"):
        read()


def test_who_names_no_cluster_loads_no_client_of_it() -> None:
    import subprocess

    program = (
        "import sys; from heliostat.systems import http; from heliostat.spec.addresses import RayAddress;"
        "http.open_client(RayAddress(url='http://ray')); print('kubernetes' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_cluster_is_found_by_path_or_context_or_neither() -> None:
    assert KubernetesCluster() == KubernetesCluster(context=None, kubeconfig=None)
    for path in ("/etc/k", "~/.kube/x"):
        assert KubernetesCluster(kubeconfig=path).kubeconfig == path
    with pytest.raises(ValueError, match="pattern"):
        KubernetesCluster(kubeconfig="k")
