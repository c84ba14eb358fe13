"""Holds the resources that an operation's flags name to those that there are."""

from __future__ import annotations

from collections.abc import Iterable

from heliostat.engine.planning.claims import Claims
from heliostat.engine.planning.operation import Operation


class Flagged:
    """What flags name, of an operation whose program's resources `claims` knows. A pattern may fit nothing."""

    def __init__(self, op: Operation, claims: Claims) -> None:
        self._op, self._claims = op, claims

    def require(self, flag: str, named: Iterable[str]) -> None:
        """Ends the operation where a flag names a resource that is nowhere."""
        missing = self._unknown(named)
        for urn in missing[:-1]:
            self._op.tell("error", f"{flag} '{urn}' could not be found in the stack.")
        if missing:
            raise self._op.fail(f"{flag} '{missing[-1]}' could not be found in the stack.")

    def warn_of_excludes(self, excludes: Iterable[str]) -> None:
        """Tells, once all that a program declares is known, what nobody had to leave alone."""
        for urn in self._unknown(excludes):
            self._op.tell("warning", f"--exclude names '{urn}', which could not be found in the stack.")

    def _unknown(self, named: Iterable[str]) -> list[str]:
        known = {one.urn for one in self._op.previous}
        return [one for one in named if "*" not in one and one not in known and not self._claims.is_seen(one)]
