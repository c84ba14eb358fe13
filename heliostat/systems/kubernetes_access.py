"""Which API server a cluster's address leads to, and what lets this user in: a kubeconfig, or a cloud's credentials."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Final, Protocol, cast

from heliostat.spec.addresses import ClusterAddress, EksCluster, GkeCluster, KubernetesCluster
from heliostat.systems import kubernetes_config

_CLOUDS: Final = {"eks": "heliostat.systems.eks", "gke": "heliostat.systems.gke"}
"""Modules whose `access(address)` gives a `ClusterAccess`; each needs the library of its cloud."""
_EARLY_SECONDS: Final = 60.0
"""How long before its end a token is made anew."""


@dataclass(frozen=True)
class ClusterAccess:
    """What a cloud says of a cluster of its own, and a token for it."""

    server: str
    """The API server's URL."""
    ca_pem: str
    """The certificate of its authority, PEM."""
    token: str = field(repr=False)
    """A bearer token."""
    expires: float | None
    """When the token is of no use any more, in seconds since 1970; None where nobody says."""


class ApiServer(Protocol):
    """One API server, and this user's credential for it, as they were read at one moment."""

    url: str
    tls: ssl.SSLContext | None
    """None of one that speaks plain HTTP, as `kubectl proxy` does."""
    server_name: str | None
    """Of its certificate, where that is not the URL's host."""
    proxy: str | None
    """The proxy on the way to it that a kubeconfig names."""

    def authorization(self) -> str:
        """Make the value of `Authorization`; empty where a certificate says who asks."""


class CloudApiServer:
    """The API server of a cloud's cluster."""

    def __init__(self, address: EksCluster | GkeCluster, access: Callable[[], ClusterAccess]) -> None:
        self._access, self._lock = access, threading.Lock()
        self._known = access()
        self._named = f"{address.name} of {address.kind.upper()}"
        self.url = self._known.server.rstrip("/")
        self.tls: ssl.SSLContext | None = ssl.create_default_context(cadata=self._known.ca_pem)
        self.server_name: str | None = None
        self.proxy: str | None = None

    def __str__(self) -> str:
        return f"the Kubernetes API server of the cluster {self._named}"

    def authorization(self) -> str:
        """Make the value of `Authorization`, with another token where this one is about to end. This may block."""
        with self._lock:
            if self._known.expires is not None and time.time() > self._known.expires - _EARLY_SECONDS:
                self._known = self._access()
            return f"Bearer {self._known.token}"


_known: dict[EksCluster | GkeCluster, CloudApiServer] = {}
_lock = threading.Lock()


def api_server(cluster: ClusterAddress, refused: ApiServer | None = None) -> ApiServer:
    """Find the API server of a cluster: the one that is known, unless it `refused` who asks; then all is asked for anew.

    This blocks: files are read, a plugin may run, a cloud is asked.

    Raises:
        PermanentError: there is no such cluster, a library is missing, or nobody is let in.
        RetryableError: the cloud does not answer.
    """
    if isinstance(cluster, KubernetesCluster):
        own = refused if isinstance(refused, kubernetes_config.ApiServer) else None
        return kubernetes_config.api_server(cluster, own)
    with _lock:
        found = _known.get(cluster)
        if found is None or found is refused:
            found = _known[cluster] = CloudApiServer(cluster, _access_of(cluster))
        return found


def _access_of(cluster: EksCluster | GkeCluster) -> Callable[[], ClusterAccess]:
    access = cast("Callable[[EksCluster | GkeCluster], ClusterAccess]", import_module(_CLOUDS[cluster.kind]).access)
    return lambda: access(cluster)
