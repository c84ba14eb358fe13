"""What a comment orders of the environment of its pull request's branch."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from heliostat.gitops.command_words import Command, Verb
from heliostat.gitops.markdown import code, text_of
from heliostat.gitops.ordering import PRECISION_SECONDS, NotMeantError
from heliostat.gitops.records import EnvironmentRecord
from heliostat.spec.branch_environments import EnvironmentOrder, EnvironmentVerb
from heliostat.spec.formatting import minute
from heliostat.systems.controller_api import ControllerClient

_VERBS: Final = {Verb.EXTEND: EnvironmentVerb.EXTEND, Verb.DOWN: EnvironmentVerb.DOWN}


class EnvironmentsAtHand(Protocol):
    """Branches' environments, and the controllers that they are on."""

    def find(self, branch: str) -> EnvironmentRecord | None:
        """The environment of a branch; None where it has none."""

    def client(self, record: EnvironmentRecord, login: str) -> ControllerClient:
        """The controller of its platform, asked on behalf of somebody."""

    def keep_until(self, record: EnvironmentRecord, moment: float) -> EnvironmentRecord:
        """Have it stay until then, Unix time."""

    def down(self, record: EnvironmentRecord) -> None:
        """Take it down, whole."""


async def order(
    command: Command, branch: str, at: float, reason: str, client: ControllerClient, there: EnvironmentsAtHand
) -> str:
    """Have the audit log told, and do it; what was done, as Markdown.

    `at` is when it was ordered, Unix time: a time that an environment is to stay counts from then, so that the same once more
    does nothing.

    Raises:
        NotMeantError: there is none any more, or another one was made since.
        ForbiddenError: who ordered it may not.
    """
    record = found(branch, there)
    if record.made > at + PRECISION_SECONDS:
        raise NotMeantError(f"{record.name} was made anew since that was written; look at it, and write it again")
    if record.leaving and command.verb is Verb.EXTEND:
        raise NotMeantError(f"{record.name} is being taken down; a push to the branch makes it anew")
    until = at + command.seconds if command.verb is Verb.EXTEND else None
    said = EnvironmentOrder(verb=_VERBS[command.verb], workloads=record.workloads, until=until, reason=reason)
    who = await client.order_environment(record.name, said)
    if until is None:
        await asyncio.to_thread(there.down, record)
        done = "is taken down; a push to the branch makes it anew"
    else:
        later = await asyncio.to_thread(there.keep_until, record, until)
        done = f"stays until {minute(later.expires)}, and for longer where it is used"
    return f"The environment {code(record.name)} {done}, by the word of {text_of(who.name)}."


def found(branch: str, there: EnvironmentsAtHand) -> EnvironmentRecord:
    """The environment of a branch.

    Raises:
        NotMeantError: it has none.
    """
    record = there.find(branch)
    if record is None:
        raise NotMeantError(f"the branch {branch} has no environment; a push to it makes one")
    return record
