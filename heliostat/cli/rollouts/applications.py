"""The applications that a stack declares."""

from __future__ import annotations

from heliostat.cli.rollouts.locate import stacks_here

_APPLICATION = "heliostat:index:Application"


def declared_applications(stack: str) -> frozenset[str]:
    """The names of those that a stack declares.

    Raises:
        NotFoundError: there is no such stack.
    """
    found = (each.get("outputs") or {} for each in stacks_here().resources(stack) if each["type"] == _APPLICATION)
    return frozenset(str(each["name"]) for each in found if each.get("name"))
