"""The secrets that addresses name, read where they are used."""

from __future__ import annotations

import os
from pathlib import Path

from heliostat.spec.addresses import BasicVariables, KubernetesSecret, TokenFile, TokenVariable
from heliostat.systems.errors import NoAccessError, PermanentError, RetryableError


def read_text(credential: TokenFile | TokenVariable | KubernetesSecret, url: str, refused: str = "") -> str:
    """The secret for `url`. One of Kubernetes that held what was `refused` is read again.

    Raises:
        RetryableError: its file cannot be read, or what keeps its secret does not answer.
        NoAccessError: its variable is not set, or there is no way to what keeps its secret.
        PermanentError: this process cannot have it.
    """
    if isinstance(credential, TokenVariable):
        return read_variable(credential.variable, "token", url)
    if isinstance(credential, KubernetesSecret):
        # Brings a client of Kubernetes along.
        from heliostat.systems.kubernetes_secrets import read_secret

        try:
            return read_secret(credential, refused)
        except (PermanentError, RetryableError) as error:
            raise type(error)(f"the token of {url}: {error}") from None
    try:
        token = Path(credential.path).read_text().strip()
    except OSError as error:
        raise RetryableError(
            f"the token of {url} cannot be read from {credential.path}: {error.strerror}; is it up, on this machine?"
        ) from None
    if not token:
        raise RetryableError(f"the token of {url} is not written yet: {credential.path} is empty")
    return token


def read_pair(credential: BasicVariables, url: str) -> tuple[str, str]:
    """The name and the password for `url`.

    Raises:
        NoAccessError: a variable is not set.
    """
    return (
        read_variable(credential.username_variable, "credential", url),
        read_variable(credential.password_variable, "credential", url),
    )


def read_variable(name: str, what: str, url: str) -> str:
    """What an environment variable holds.

    Raises:
        NoAccessError: it is not set.
    """
    value = os.environ.get(name, "").strip()
    if not value:
        raise NoAccessError(f"the {what} of {url} is to be in the environment variable {name}: set it here")
    return value
