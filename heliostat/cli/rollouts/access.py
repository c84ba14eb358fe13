"""How the commands reach a controller: which application is meant, who speaks, and one call from begin to end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from heliostat.cli.rollouts.applications import declared_applications
from heliostat.cli.rollouts.locate import controller_of, stacks_here
from heliostat.engine.stackerrors import NotFoundError
from heliostat.spec.rollouts import Status
from heliostat.systems.controller_api import ControllerClient
from heliostat.systems.errors import PermanentError

T = TypeVar("T")


def with_controller(stack: str | None, act: Callable[[ControllerClient], Awaitable[T]]) -> T:
    """Does `act` with a client of the stack's controller."""
    address = controller_of(stack)

    async def speak() -> T:
        async with ControllerClient(address) as client:
            return await act(client)

    return asyncio.run(speak())


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


async def status_of(client: ControllerClient, application: str | None, stack: str | None) -> Status:
    """The application that is meant; without a name, the only one: of the stack, where it declares any that are there.

    A controller has those of all stacks on its platform, branches' environments with them.

    Raises:
        PermanentError: there is none of that name, or several to choose from; the text lists them.
    """
    if application is not None:
        status = await client.read(application)
        if status is not None:
            return status
    there = await client.list()
    names = [status.name for status in there]
    name = chosen(application, names if application is not None else own(stack, names))
    return next(status for status in there if status.name == name)


def own(stack: str | None, there: Sequence[str]) -> list[str]:
    """Those of some applications that a stack declares; all of them where it declares none, as one that was destroyed."""
    if len(there) < 2:
        return [*there]
    try:
        declared = declared_applications(stacks_here().name(stack))
    except NotFoundError:
        return [*there]
    return [name for name in there if name in declared] or [*there]


def chosen(application: str | None, there: Sequence[str]) -> str:
    """The application that is meant, of those that there are; raises PermanentError where that cannot be told."""
    listed = ", ".join(sorted(there)) or "none"
    if application is not None and application not in there:
        raise PermanentError(f"there is no application {application!r}; there are: {listed}")
    if application is not None:
        return application
    if not there:
        raise PermanentError("there is no application yet: declare one, and bring it up with `heliostat up`")
    if len(there) > 1:
        raise PermanentError(f"there are several applications: name one of {listed}")
    return there[0]
