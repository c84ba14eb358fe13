"""The way to a GKE cluster's API: what Google Cloud says of the cluster, and a token of whoever asks.

Credentials are found as all of Google's clients find them: GOOGLE_APPLICATION_CREDENTIALS, what `gcloud auth
application-default login` left, or the identity of the pod or machine.
"""

from __future__ import annotations

import base64
import binascii
import math
import os
from collections.abc import Mapping
from datetime import UTC
from typing import Any, Final
from urllib.parse import quote

import httpx

from heliostat.spec.addresses import GkeCluster
from heliostat.systems.errors import NoAccessError, PermanentError, RetryableError
from heliostat.systems.kubernetes_access import ClusterAccess

_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
_ENDPOINT: Final = "https://container.googleapis.com/"
_ENDPOINT_VARIABLE: Final = "CLOUDSDK_API_ENDPOINT_OVERRIDES_CONTAINER"
"""As gcloud names another endpoint, e.g. one inside of a network."""
_SECONDS: Final = 30.0
_COMING: Final = ("PROVISIONING", "STATUS_UNSPECIFIED")
_GOING: Final = ("STOPPING", "ERROR")


def access(cluster: GkeCluster) -> ClusterAccess:
    """Find a cluster's API server, and make a token for it that lives for up to an hour. This blocks.

    Raises:
        NoAccessError: nobody is logged in.
        PermanentError: google-auth is not installed, or the cluster is not there or not to be seen.
        RetryableError: Google Cloud does not answer, or the cluster is not ready.
    """
    token, expires = _token()
    server, authority = api_of(cluster, _described(cluster, token))
    return ClusterAccess(server, authority, token, expires)


def api_of(cluster: GkeCluster, described: Mapping[str, Any]) -> tuple[str, str]:
    """The URL of a cluster's API server and its authority's certificate, PEM, as Google Cloud describes both.

    Raises:
        PermanentError: the cluster is going, or failed.
        RetryableError: it is not there yet.
    """
    status, endpoint = described.get("status", "STATUS_UNSPECIFIED"), described.get("endpoint")
    if status in _GOING:
        raise PermanentError(f"{_named(cluster)} is {status}: {described.get('statusMessage') or 'make it again'}")
    authority = described.get("masterAuth", {}).get("clusterCaCertificate")
    if status in _COMING or not endpoint or not authority:
        raise RetryableError(f"{_named(cluster)} has no API server yet: it is {status}")
    try:
        return f"https://{endpoint}", base64.b64decode(authority, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        raise PermanentError(f"the certificate of {_named(cluster)} is not what Google Cloud's interface says") from None


def _token() -> tuple[str, float]:
    try:
        import google.auth
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError, TransportError
        from google.auth.transport.requests import Request
    except ImportError:
        raise PermanentError(
            "an address in GKE needs the package google-auth, which is not installed: name heliostat[gcp] in the requirements"
        ) from None
    try:
        credentials, _ = google.auth.default(scopes=[_SCOPE])
        credentials.refresh(Request())  # type: ignore[no-untyped-call]
    except DefaultCredentialsError as error:
        raise NoAccessError(
            f"there are no credentials of Google Cloud: {_first_line(error).split('. ')[0]}; run `gcloud auth "
            "application-default login`, or name a file in GOOGLE_APPLICATION_CREDENTIALS"
        ) from None
    except TransportError as error:
        raise RetryableError(f"Google's tokens cannot be fetched: {_first_line(error)}") from None
    except RefreshError as error:
        kind = RetryableError if error.retryable else PermanentError
        raise kind(f"Google refuses a token: {_first_line(error)}; log in again") from None
    except (GoogleAuthError, OSError, ValueError) as error:
        raise PermanentError(f"the credentials of Google Cloud cannot be used: {_first_line(error)}") from None
    # google-auth's times are UTC and do not say so.
    expiry = credentials.expiry
    return str(credentials.token), expiry.replace(tzinfo=UTC).timestamp() if expiry else math.inf


def _described(cluster: GkeCluster, token: str) -> Mapping[str, Any]:
    parts = (quote(each, safe="") for each in (cluster.project, cluster.location, cluster.name))
    path = "v1/projects/{}/locations/{}/clusters/{}".format(*parts)
    base = (os.environ.get(_ENDPOINT_VARIABLE) or _ENDPOINT).rstrip("/")
    try:
        answer = httpx.get(f"{base}/{path}", headers={"Authorization": f"Bearer {token}"}, timeout=_SECONDS)
    except httpx.HTTPError as error:
        raise RetryableError(f"{base} does not say where {_named(cluster)} is: {error or type(error).__name__}") from None
    if answer.is_success:
        return _json(answer)
    raise _refusal(cluster, answer)


def _refusal(cluster: GkeCluster, answer: httpx.Response) -> Exception:
    """The error that an answer is."""
    error = _json(answer).get("error")
    told = error.get("message") if isinstance(error, Mapping) else None
    text = f"Google Cloud does not describe {_named(cluster)} ({answer.status_code}): {told or answer.reason_phrase}"
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        return RetryableError(text)
    fix = {
        401: "log in again",
        403: "give who asks roles/container.clusterViewer in the project, and switch on container.googleapis.com there",
        404: "make it, or correct the address",
    }.get(answer.status_code, "correct the address")
    return PermanentError(f"{text}; {fix}")


def _json(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}


def _first_line(error: Exception) -> str:
    """What Google says, without the response that it adds, in which a credential may stand."""
    text = str(error.args[0] if error.args else error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _named(cluster: GkeCluster) -> str:
    return f"the GKE cluster {cluster.name} in {cluster.location} of the project {cluster.project}"
