"""Where a Kubernetes cluster's API server is and who asks it, as kubectl finds both.

The kubeconfig is read by Kubernetes' own client: certificates, tokens, files of tokens, plugins and service accounts are its.
"""

from __future__ import annotations

import logging
import os
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from heliostat.spec.addresses import KubernetesCluster
from heliostat.systems.errors import NoAccessError, PermanentError, RetryableError

_AMBIENT: Final = "~/.kube/config"
_lock = threading.Lock()
_known: dict[tuple[str | None, str | None, str | None], ApiServer] = {}


class ApiServer:
    """One API server, and this user's credential for it, as they were read at one moment."""

    def __init__(self, context: str | None, configuration: Any, tls: ssl.SSLContext | None) -> None:
        self.context = context
        """Of the kubeconfig; None where a pod's service account is what there is."""
        self.url: str = configuration.host.rstrip("/")
        self.tls = tls
        """None of one that speaks plain HTTP, as `kubectl proxy` does."""
        self.server_name: str | None = configuration.tls_server_name
        """Of its certificate, where that is not the URL's host."""
        self.proxy: str | None = configuration.proxy
        """The proxy on the way to it that the kubeconfig names."""
        self._configuration = configuration

    def __str__(self) -> str:
        return f"the Kubernetes API server {self.url}" + (f" of the context {self.context}" if self.context else "")

    def authorization(self) -> str:
        """Make the value of `Authorization`; empty where a certificate says who asks.

        A token that expires is fetched again in time, by the kubeconfig's plugin: this may block.

        Raises:
            RetryableError: it cannot be fetched again.
            PermanentError: it does not fit into a header.
        """
        with _lock, _complaints():
            try:
                found = (self._configuration.get_api_key_with_prefix("BearerToken") or "").strip()
            except Exception as error:  # whatever a plugin, an identity provider or a file that is gone may raise
                raise RetryableError(f"the credential for {self} cannot be fetched again: {error}") from None
        if not found.isascii() or (found and not found.isprintable()):
            raise PermanentError(f"the token for {self} is not one line of ASCII")
        return found


def api_server(cluster: KubernetesCluster, refused: ApiServer | None = None) -> ApiServer:
    """Find the API server of a cluster: the one that is known, unless it `refused` who asks; then all is read anew.

    This blocks: files are read, and a plugin may run.

    Raises:
        NoAccessError: the kubeconfig is not there, or has no such context.
        PermanentError: Kubernetes' client is not installed, or the kubeconfig is wrong.
    """
    key = (cluster.context, cluster.kubeconfig, os.environ.get("KUBECONFIG"))
    with _lock:
        found = _known.get(key)
        if found is None or found is refused:
            # Whoever makes another context the current one meanwhile does not mean this process.
            found = _known[key] = _read(cluster, cluster.context or (found.context if found else None))
        return found


def _read(cluster: KubernetesCluster, context: str | None) -> ApiServer:
    try:
        import yaml
        from kubernetes import client, config
    except ImportError:
        raise PermanentError(
            "an address in Kubernetes needs the package kubernetes, which is not installed: name heliostat[kubernetes] in the "
            "requirements"
        ) from None
    configuration = client.Configuration()
    configuration.proxy = None  # that of the environment is httpx's to find
    files = _files(cluster)
    # Keys that stand in the kubeconfig itself are written to files for as long as it takes to load them.
    with tempfile.TemporaryDirectory(prefix="heliostat-") as folder, _complaints() as complaints:
        try:
            if files is None:
                config.load_incluster_config(configuration)
            else:
                context = context or config.list_kube_config_contexts(files)[1]["name"]
                config.load_kube_config(files, context, configuration, persist_config=False, temp_file_path=folder)
            tls = _tls(configuration) if configuration.host.startswith("https:") else None
        except config.ConfigException as error:
            others = _contexts(config, files, context)
            kind = NoAccessError if others else PermanentError
            raise kind(f"{_named(files)} cannot be used: {error}{others}") from None
        except yaml.YAMLError as error:
            # Not its text, which may show a line.
            line = getattr(getattr(error, "problem_mark", None), "line", None)
            raise PermanentError(f"{_named(files)} is no YAML" + ("" if line is None else f": line {line + 1}")) from None
        except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise PermanentError(f"{_named(files)} cannot be used: {type(error).__name__}: {error}") from None
    if complaints and not (configuration.api_key or configuration.cert_file):
        raise PermanentError(f"{_named(files)} lets nobody in: {'; '.join(complaints)}")
    return ApiServer(context, configuration, tls)


def _files(cluster: KubernetesCluster) -> str | None:
    """The kubeconfig, or several as KUBECONFIG names them; None where the pod's service account is what there is.

    Raises:
        NoAccessError: nothing is there.
    """
    named = cluster.kubeconfig or os.environ.get("KUBECONFIG") or ""
    files = named or _AMBIENT
    if any(Path(each).expanduser().is_file() for each in files.split(os.pathsep) if each):
        return files
    if named:
        source = "" if cluster.kubeconfig else ", which KUBECONFIG names"
        raise NoAccessError(f"there is no kubeconfig {named}{source}: write it, or name another")
    if os.environ.get("KUBERNETES_SERVICE_HOST") and cluster.context is None:
        return None
    raise NoAccessError(f"there is no kubeconfig: write {_AMBIENT}, or name one in KUBECONFIG")


def _named(files: str | None) -> str:
    return "the pod's service account" if files is None else f"the kubeconfig {files}"


def _contexts(config: Any, files: str | None, wanted: str | None) -> str:
    """Say which contexts there are, where the wanted one is none of them."""
    if files is None:
        return ""
    try:
        names = [each["name"] for each in config.list_kube_config_contexts(files)[0]]
    except (config.ConfigException, OSError, ValueError, TypeError, KeyError):
        return ""
    return "" if wanted in names else f" (there are the contexts {', '.join(names) or 'none'})"


def _tls(configuration: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    # From Python 3.13 on this is asked for, and certificate authorities of older clusters do not keep to it.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, configuration.key_file)
    return context


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What Kubernetes' client only logs, at the root: that a plugin failed, and why."""
    told: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        if record.module != "kube_config":
            return True
        told.append(record.getMessage())
        return False

    root = logging.getLogger()
    root.addFilter(keep)
    try:
        yield told
    finally:
        root.removeFilter(keep)
