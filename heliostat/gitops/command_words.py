"""What a comment's first line orders. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_FIRST: Final = re.compile(r"/(?:heliostat[ \t]+)?(approve|rollback)(?:[ \t]+(.*))?")
_REST: Final = re.compile(
    r"(?:(?!in(?:\s|$))(?P<application>[a-z][a-z0-9-]{0,39}))?(?:(?:^|\s+)in\s+(?P<stack>[\w./-]{1,100}))?"
)
_USAGE: Final = (
    "write `/{} APPLICATION in STACK`; either may be left out where there is only one; why follows in lines of its own"
)


class Verb(StrEnum):
    """What may be ordered."""

    APPROVE = "approve"
    """Let the rollout that waits for a person go on."""
    ROLLBACK = "rollback"
    """Roll back what is on its way, or serve again what served before."""


@dataclass(frozen=True)
class Command:
    """What somebody ordered."""

    verb: Verb
    application: str | None = None
    """None: the only one that it can be meant for."""
    stack: str | None = None
    reason: str = ""

    def __str__(self) -> str:
        """As it is written."""
        where = f" in {self.stack}" if self.stack else ""
        return f"/{self.verb}{f' {self.application}' if self.application else ''}{where}"


@dataclass(frozen=True)
class Mistake:
    """A command that cannot be read."""

    text: str


def command_in(text: str) -> Command | Mistake | None:
    """The command of a comment: `/approve [APPLICATION] [in STACK]`, or `/heliostat approve …`, in its first line.

    What follows in other lines is why. None of a comment that is no command.
    """
    lines = text.strip().splitlines()
    first = _FIRST.fullmatch(lines[0].rstrip()) if lines else None
    if first is None:
        return None
    rest = _REST.fullmatch((first[2] or "").strip())
    verb = Verb(first[1])
    if rest is None:
        return Mistake(_USAGE.format(verb))
    return Command(verb, rest["application"], rest["stack"], " ".join(" ".join(lines[1:]).split())[:500])
