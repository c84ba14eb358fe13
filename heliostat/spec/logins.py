"""Logins: what people are called on forges."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, NamedTuple, Self

from pydantic import Field

ForgeKind = Literal["github", "gitlab", "gitea"]
"""Which forge; `gitea` is Forgejo, too."""
_NAME: Final = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}"
LoginName = Annotated[str, Field(pattern=f"^{_NAME}$")]
"""What somebody is called there, without an @."""
ON_BEHALF_OF: Final = "x-heliostat-on-behalf-of"
"""The header of a call to the controller that is made for somebody else; its value is their login, as `github:ada`."""
_WRITTEN: Final = re.compile(rf"(github|gitlab|gitea):({_NAME})")


class Login(NamedTuple):
    """A login, as it is compared: forges take capitals and small letters for the same."""

    kind: str
    name: str

    @classmethod
    def of(cls, kind: str, name: str) -> Self:
        """The login that is written so."""
        return cls(kind, name.lower())

    def __str__(self) -> str:
        """As `github:ada`."""
        return f"{self.kind}:{self.name}"


def login_of(text: str) -> Login | None:
    """A login that is written as `github:ada`; None of what is none, as a bot with brackets in its name."""
    found = _WRITTEN.fullmatch(text)
    return Login.of(found[1], found[2]) if found else None
