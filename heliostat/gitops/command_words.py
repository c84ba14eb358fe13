"""What a comment's first line orders. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from heliostat.gitops.settings import seconds_of

USUAL_SECONDS: Final = 3 * 86_400.0
LONGEST_SECONDS: Final = 90 * 86_400.0
"""An environment that nobody would look after stays for no longer by one comment."""
_FIRST: Final = re.compile(r"/(?:heliostat[ \t]+)?(approve|rollback|extend|down)(?:[ \t]+(.*))?")
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
    EXTEND = "extend"
    """Have the environment of the pull request's branch stay for longer."""
    DOWN = "down"
    """Take that environment down now."""

    @property
    def is_of_environment(self) -> bool:
        """Whether it is meant for the branch's environment, and not for an application."""
        return self in (Verb.EXTEND, Verb.DOWN)


@dataclass(frozen=True)
class Command:
    """What somebody ordered."""

    verb: Verb
    application: str | None = None
    """None: the only one that it can be meant for."""
    stack: str | None = None
    reason: str = ""
    seconds: float = 0.0
    """How long an environment is to stay; 0 of what tells no time."""

    def __str__(self) -> str:
        """As it is written."""
        if self.verb.is_of_environment:
            return f"/{self.verb}{f' for {self.seconds / 3600:g} hours' if self.seconds else ''}"
        where = f" in {self.stack}" if self.stack else ""
        return f"/{self.verb}{f' {self.application}' if self.application else ''}{where}"


@dataclass(frozen=True)
class Mistake:
    """A command that cannot be read."""

    text: str


def command_in(text: str) -> Command | Mistake | None:
    """The command of a comment, in its first line: `/approve [APPLICATION] [in STACK]`, `/extend [for 7d]`, `/heliostat down`.

    What follows in other lines is why. None of a comment that is no command.
    """
    lines = text.strip().splitlines()
    first = _FIRST.fullmatch(lines[0].rstrip()) if lines else None
    if first is None:
        return None
    verb, said, reason = Verb(first[1]), (first[2] or "").strip(), " ".join(" ".join(lines[1:]).split())[:500]
    if verb.is_of_environment:
        return _of_environment(verb, said, reason)
    rest = _REST.fullmatch(said)
    return Mistake(_USAGE.format(verb)) if rest is None else Command(verb, rest["application"], rest["stack"], reason)


def _of_environment(verb: Verb, said: str, reason: str) -> Command | Mistake:
    if verb is Verb.DOWN:
        return Mistake("write `/down` alone; why follows in lines of its own") if said else Command(verb, reason=reason)
    time = said.removeprefix("for").strip() if said.startswith("for ") else said
    seconds = seconds_of(time) if time else USUAL_SECONDS
    if seconds is None or seconds > LONGEST_SECONDS:
        return Mistake("write `/extend`, or `/extend for 7d`, of 90 days at most; why follows in lines of its own")
    return Command(verb, reason=reason, seconds=seconds)
