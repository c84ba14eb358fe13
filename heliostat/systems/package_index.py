"""Package indexes that take uploads, by uv: its protocol is the one of PyPI, and of all that stand in for it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Final

from uv import find_uv_bin

from heliostat.spec.addresses import BasicVariables, TokenVariable
from heliostat.spec.packages import PackageIndex
from heliostat.systems.errors import NoAccessError, PermanentError, RetryableError

_TOKEN: Final = "UV_PUBLISH_TOKEN"  # noqa: S105 - a variable's name
_USERNAME: Final = "UV_PUBLISH_USERNAME"
_PASSWORD: Final = "UV_PUBLISH_PASSWORD"  # noqa: S105 - a variable's name
_SECONDS: Final = 600.0
_TAIL: Final = 1000
_AWAY: Final = ("error sending request", "connection refused", "timed out", "dns error", "server error", "(50")
_CLOSED: Final = re.compile(r"\b(401|403|unauthorized|forbidden)\b")
"""A status or its name as a word of its own: a digest in the text may well have the same digits."""


def publish(wheel: Path, index: PackageIndex) -> None:
    """Upload a wheel; nothing where the index lists the same one already.

    Raises:
        NoAccessError: the credential's environment variable is not set.
        PermanentError: it refuses the credential, or the wheel, as where it has another of that name.
        RetryableError: it does not answer.
    """
    command = [find_uv_bin(), "publish", "--no-config", "--no-progress", "--trusted-publishing", "never"]
    command += ["--keyring-provider", "disabled", "--publish-url", index.url]
    if index.check_url is not None:
        command += ["--check-url", index.check_url]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UV_PUBLISH_")} | _secrets(index)
    try:
        done = subprocess.run(  # noqa: S603 - its secrets go by the environment, which only this user sees
            [*command, str(wheel)],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RetryableError(f"{index.url} did not take {wheel.name} within {_SECONDS:g} s: run it again") from None
    if done.returncode:
        raise _error(index, wheel, done.stderr)


def _secrets(index: PackageIndex) -> dict[str, str]:
    match index.credential:
        case TokenVariable(variable=variable):
            return {_TOKEN: _of(variable, index)}
        case BasicVariables(username_variable=username, password_variable=password):
            return {_USERNAME: _of(username, index), _PASSWORD: _of(password, index)}
    # uv asks for a name where it has none, and an index that lets anybody in looks at neither.
    return {_USERNAME: "anonymous", _PASSWORD: ""}


def _of(variable: str, index: PackageIndex) -> str:
    value = os.environ.get(variable)
    if not value:
        raise NoAccessError(f"{variable} is not set, which {index.url} is entered with: set it in the environment of `up`")
    return value


def _error(index: PackageIndex, wheel: Path, said: str) -> PermanentError | RetryableError:
    text = said.strip()[-_TAIL:]
    for secret in _secrets(index).values():
        text = text.replace(secret, "***") if secret else text
    lower = text.lower()
    if _CLOSED.search(lower):
        return PermanentError(f"{index.url} lets nobody in with the credential that it was given: {text}")
    if any(each in lower for each in _AWAY):
        return RetryableError(f"{index.url} does not answer: {text}; run it again")
    return PermanentError(f"{index.url} refuses {wheel.name}: {text}")
