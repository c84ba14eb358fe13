"""The applications that a stack declares, as its controller sees them."""

from __future__ import annotations

from heliostat.cli.rollouts.access import with_controller
from heliostat.cli.rollouts.locate import stacks_here
from heliostat.spec.rollouts import Status

_APPLICATION = "heliostat:index:Application"


def declared_applications(stack: str) -> frozenset[str]:
    """The names of those that a stack declares.

    Raises:
        NotFoundError: there is no such stack.
    """
    found = (each.get("outputs") or {} for each in stacks_here().resources(stack) if each["type"] == _APPLICATION)
    return frozenset(str(each["name"]) for each in found if each.get("name"))


def declared_statuses(stack: str) -> dict[str, Status]:
    """Those that a stack declares and its controller knows; of a controller, other stacks may have applications, too.

    Raises:
        NotFoundError: there is no such stack.
        PermanentError: it has no controller.
        RetryableError: the controller does not answer.
    """
    names = declared_applications(stack)
    there = with_controller(stack, lambda client: client.list()) if names else ()
    return {status.name: status for status in there if status.name in names}
