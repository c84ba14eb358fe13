"""Which application a command on a pull request is meant for, and what its controller is told."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from heliostat.gitops.command_words import Command, Verb
from heliostat.spec.rollouts import ActionRequest, Phase, RollbackRequest, Rollout, Status
from heliostat.systems.controller_api import ENDS, ControllerClient
from heliostat.systems.errors import PermanentError

_SETTLED: Final = frozenset({*ENDS, Phase.RETAINING, Phase.RETIRING})
"""All traffic is on what serves: there is nothing to abort any more."""
PRECISION_SECONDS: Final = 1.0
"""Forges tell whole seconds."""


class NotMeantError(PermanentError):
    """A command is meant for nothing that there is, or for something that has changed since it was written."""


@dataclass(frozen=True)
class Place:
    """An application as a stack's controller sees it."""

    stack: str
    status: Status

    def __str__(self) -> str:
        """As a command names it."""
        return f"{self.status.name} in {self.stack}"


@dataclass(frozen=True)
class Word:
    """What somebody wrote, and when: it is meant for what was there then."""

    verb: Verb
    at: float
    """Unix time, seconds."""
    reason: str


def candidates(command: Command, places: Sequence[Place]) -> Place:
    """The one application that a command can be meant for: an approval's is one that waits for a person.

    Raises:
        NotMeantError: there is none, or there are several; the text says which.
    """
    named = [each for each in places if command.application in (None, each.status.name)]
    if not named:
        there = ", ".join(map(str, places)) or "none"
        none = f"no application {command.application}" if command.application else "no application"
        raise NotMeantError(f"there is {none} that you may see; you may see: {there}")
    fitting = [each for each in named if _waits(each.status)] if command.verb is Verb.APPROVE else named
    if not fitting:
        raise NotMeantError(f"nothing waits for an approval: {'; '.join(_standing(each) for each in named)}")
    if len(fitting) > 1:
        written = ", ".join(f"/{command.verb} {each}" for each in fitting)
        raise NotMeantError(f"it may be meant for several; write one of: {written}")
    return fitting[0]


async def order(client: ControllerClient, place: Place, word: Word) -> str:
    """Order it, held to what was read; what was done, in words.

    Raises:
        NotMeantError: it has changed since the word was written, so that the word was given for something else.
        ConflictError: it has changed since it was read.
        ForbiddenError: who gave the word may not.
    """
    name, rollout = place.status.name, place.status.rollout
    if rollout is None:
        raise NotMeantError(f"{name}: nothing was rolled out yet")
    since = since_when(rollout, word.verb)
    if word.at + PRECISION_SECONDS < since:
        raise NotMeantError(
            f"{name} has changed since that was written: {_standing(place)} since "
            f"{time.strftime('%H:%M:%S', time.gmtime(since))} UTC; look at it, and write it again"
        )
    held = ActionRequest(by="", reason=word.reason, rollout=rollout.number)
    if word.verb is Verb.APPROVE:
        await client.approve(name, held.model_copy(update={"step": rollout.step}))
        return f"step {rollout.step + 1} of rollout {rollout.number} to {rollout.to_version} is approved"
    if rollout.phase not in _SETTLED:
        await client.abort(name, held)
        return f"rollout {rollout.number} to {rollout.to_version} is rolled back to {rollout.from_version or 'nothing'}"
    target = await client.way_back(name)
    await client.rollback(name, RollbackRequest(by="", expected=target.fingerprint, reason=word.reason))
    return f"it goes back from {rollout.to_version} to {target.desired.version.label}"


def since_when(rollout: Rollout, verb: Verb) -> float:
    """From when on a word may be meant for what a rollout is at; so a word that comes twice is good for one thing.

    An approval is for a step that waited; a rollback for a rollout that had begun, or for its end, where what it brought is
    gone already.
    """
    if verb is Verb.APPROVE:
        return max((each.at for each in rollout.events if each.phase is Phase.WAITING), default=rollout.started_at)
    if rollout.phase in (Phase.FAILED, Phase.SUPERSEDED) and rollout.ended_at is not None:
        return rollout.ended_at
    return rollout.started_at


def _waits(status: Status) -> bool:
    return status.rollout is not None and status.rollout.phase is Phase.WAITING


def _standing(place: Place) -> str:
    rollout = place.status.rollout
    what = f"rollout {rollout.number} to {rollout.to_version} is {rollout.phase.value}" if rollout else "nothing is rolled out"
    return f"{place}: {what}"
