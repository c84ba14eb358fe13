"""Secrets that a Kubernetes cluster keeps, read where they are used and kept for moments in memory alone."""

from __future__ import annotations

import binascii
import threading
import time
from base64 import b64decode
from collections.abc import Mapping
from typing import Final

import httpx

from heliostat.spec.addresses import KubernetesSecret
from heliostat.systems.errors import NoAccessError, PermanentError, RetryableError
from heliostat.systems.kubernetes_api import RefusedError, to_api

_SECONDS: Final = 30.0
"""How long what a secret held is taken for what it holds."""
_AGAIN_SECONDS: Final = 2.0
"""How long all the same, where somebody refused it: whoever refuses everything is no reason to ask for more."""
_CALL_SECONDS: Final = 10.0
_known: dict[KubernetesSecret, tuple[str, float]] = {}
_lock = threading.Lock()


def read_secret(secret: KubernetesSecret, refused: str = "") -> str:
    """Read what a secret holds; it may be what it held half a minute ago, unless that was `refused`. This blocks.

    Raises:
        NoAccessError: there is no such secret.
        PermanentError: there is no such key, it is empty, or this user may not read it.
        RetryableError: the API server does not answer.
    """
    with _lock:
        value, until = _known.get(secret, ("", 0.0))
        now = time.monotonic()
        if now < until - (_SECONDS - _AGAIN_SECONDS if value == refused else 0.0):
            return value
        value = _value(secret, _fetch(secret))
        _known[secret] = (value, now + _SECONDS)
        return value


def _fetch(secret: KubernetesSecret) -> Mapping[str, str]:
    transport = to_api(secret.where, _named(secret))
    with httpx.Client(transport=transport, base_url="http://kubernetes", timeout=_CALL_SECONDS) as client:
        try:
            answer = client.get(f"/api/v1/namespaces/{secret.namespace}/secrets/{secret.name}").raise_for_status()
            return dict(answer.json().get("data") or {})
        except RefusedError as error:
            # A preview may come before whoever makes it.
            if error.status != httpx.codes.NOT_FOUND:
                raise
            raise NoAccessError(str(error)) from None
        except httpx.HTTPError as error:
            raise RetryableError(f"{_named(secret)} cannot be read: {error or type(error).__name__}") from None
        except (ValueError, TypeError, AttributeError):
            raise PermanentError(f"{_named(secret)} cannot be read: what answers is no Kubernetes API server") from None


def _value(secret: KubernetesSecret, data: Mapping[str, str]) -> str:
    if secret.key not in data:
        raise PermanentError(f"{_named(secret)} has no key {secret.key} (there are: {', '.join(sorted(data)) or 'none'})")
    try:
        value = b64decode(data[secret.key], validate=True).decode().strip()
    except (binascii.Error, ValueError, TypeError):
        raise PermanentError(f"the key {secret.key} of {_named(secret)} holds no text") from None
    # What does not fit into a header would stand in the error of whoever puts it there.
    if not value or not value.isascii() or not value.isprintable():
        wrong = "is not one line of ASCII" if value else "is empty"
        raise PermanentError(f"the key {secret.key} of {_named(secret)} {wrong}: write the token into it")
    return value


def _named(secret: KubernetesSecret) -> str:
    return f"the secret {secret.name} in the namespace {secret.namespace}"
