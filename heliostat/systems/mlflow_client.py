"""One tracking server of MLflow, by REST: importing mlflow itself takes 3 s and brings pandas along."""

from __future__ import annotations

import os
from typing import Any, Final, Self

import httpx

from heliostat.spec.addresses import Access, BasicVariables, HttpAddress, TokenVariable, variables_of
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.http import open_sync_client, reason

_TOKEN: Final = "MLFLOW_TRACKING_TOKEN"  # noqa: S105 - a variable's name
_USERNAME: Final = "MLFLOW_TRACKING_USERNAME"
_PASSWORD: Final = "MLFLOW_TRACKING_PASSWORD"  # noqa: S105 - a variable's name
TRACKING_VARIABLES: Final = (_TOKEN, _USERNAME, _PASSWORD)
_SECONDS: Final = 60.0


def address_of(tracking_uri: str, access: Access | None = None) -> HttpAddress:
    """The address of a tracking server, with the credential that is named, or that MLflow's own client would use here.

    Raises:
        PermanentError: it is behind an API server, and there is a credential.
    """
    credential, proxy = (access.credential, access.proxy) if access else (None, None)
    if credential is None and os.environ.get(_USERNAME) and os.environ.get(_PASSWORD):
        credential = BasicVariables(username_variable=_USERNAME, password_variable=_PASSWORD)
    elif credential is None and os.environ.get(_TOKEN):
        credential = TokenVariable(variable=_TOKEN)
    if credential is not None and proxy is not None:
        raise PermanentError(
            f"MLflow at {tracking_uri} is reached through an API server, which keeps Authorization, and MLflow reads no other "
            f"header: unset {', '.join(variables_of(credential))} here, or name a URL that is reached without the proxy"
        )
    return HttpAddress(url=tracking_uri, credential=credential, proxy=proxy)


class MlflowClient:
    """One tracking server. Use as a context manager; not for several threads at once.

    Raises PermanentError or RetryableError from every call. Who is let in is said by the `access`, else by the variables that
    MLflow's own client reads: MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, which win.
    """

    def __init__(
        self,
        tracking_uri: str,
        transport: httpx.BaseTransport | None = None,
        seconds: float = _SECONDS,
        access: Access | None = None,
    ) -> None:
        self._uri = tracking_uri.rstrip("/")
        self._client = open_sync_client(address_of(self._uri, access), seconds, transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    # The server

    def server_version(self) -> str:
        """The version of MLflow that answers."""
        return self._send("GET", "/version").text.strip()

    def require_database(self) -> None:
        """Ask for what only the database knows."""
        self._call("GET", "experiments/get", absent_is_none=True, params={"experiment_id": "0"})

    def _post(self, path: str, **body: Any) -> dict[str, Any]:
        return self._call("POST", path, json=body) or {}

    def _call(self, method: str, path: str, absent_is_none: bool = False, **arguments: Any) -> dict[str, Any] | None:
        response = self._send(method, f"/api/2.0/mlflow/{path}", absent_is_none, **arguments)
        return None if response.status_code == 404 else response.json()

    def _send(self, method: str, path: str, absent_is_fine: bool = False, **arguments: Any) -> httpx.Response:
        try:
            response = self._client.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise RetryableError(f"MLflow does not answer at {self._uri}: {reason(error)}; is it up?") from None
        if response.status_code == 404 and absent_is_fine:
            return response
        if response.status_code >= 400:
            kind = RetryableError if response.status_code >= 500 or response.status_code == 429 else PermanentError
            text = response.text.strip()[:1000]
            raise kind(f"MLflow at {self._uri} answered {response.status_code} to {method} {path}: {text}")
        return response
