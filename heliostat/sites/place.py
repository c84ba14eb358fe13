"""The folder of a site: its token, the key of its digests, and the packages that it has."""

from __future__ import annotations

import os
import re
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Final

from heliostat.systems.errors import PermanentError

TOKEN_VARIABLE: Final = "HELIOSTAT_SITE_TOKEN"  # noqa: S105 - a variable's name
_TOKEN: Final = "token"  # noqa: S105 - a file's name
_KEY: Final = "digest-key"
_NAME: Final = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")


class SitePlace:
    """One site's folder.

    Raises:
        PermanentError: the name is no site's.
    """

    def __init__(self, folder: Path, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise PermanentError(f"{name!r} is no name of a site: lower case, digits and dashes, 40 characters at most")
        self.name, self.folder = name, folder

    @property
    def packages(self) -> Path:
        """Where the wheels are."""
        return self.folder / "packages"

    def make_token(self, anew: bool = False) -> str:
        """The SHA-256 of the site's token, which is made where there is none yet, or `anew`."""
        if anew or not (self.folder / _TOKEN).exists():
            self._write(_TOKEN, secrets.token_urlsafe(32).encode())
        return hash_of(self._read(_TOKEN).decode().strip())

    def token(self) -> str:
        """The site's token, from the variable HELIOSTAT_SITE_TOKEN or its file.

        Raises:
            PermanentError: there is none, or others can read its file.
        """
        if given := os.environ.get(TOKEN_VARIABLE):
            return given.strip()
        if not (self.folder / _TOKEN).exists():
            raise PermanentError(f"{self.name} has no token in {self.folder}: `heliostat site token {self.name}` makes one")
        return self._read(_TOKEN).decode().strip()

    def digest_key(self) -> bytes:
        """What digests of rows are keyed with, so that nobody can try which rows have one."""
        if not (self.folder / _KEY).exists():
            self._write(_KEY, os.urandom(32))
        return self._read(_KEY)

    def _write(self, name: str, content: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = self.folder / f".{name}.{os.getpid()}"
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
        partial.replace(self.folder / name)

    def _read(self, name: str) -> bytes:
        path = self.folder / name
        if path.stat().st_mode & 0o077:
            raise PermanentError(f"{path} can be read by others: `chmod 600 {path}`")
        return path.read_bytes()


def hash_of(token: str) -> str:
    """What a stack's config knows of a token."""
    return sha256(token.encode()).hexdigest()
