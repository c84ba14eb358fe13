"""Does what a comment on a pull request orders, in the name of who wrote it, and says under it what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from heliostat.gitops import environment_orders
from heliostat.gitops.command_words import Command, Mistake, command_in
from heliostat.gitops.environment_orders import EnvironmentsAtHand
from heliostat.gitops.environments import ProtectedError
from heliostat.gitops.markdown import code, text_of
from heliostat.gitops.ordering import NotMeantError, Place, Word, candidates, order
from heliostat.systems.controller_api import ConflictError, ControllerClient
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.forges import Comment, Forge, PullRequest
from heliostat.systems.governance_calls import ForbiddenError

_MARK: Final = "<!-- heliostat: the answer to the command in comment {}; {} -->"
_BEGUN, _DONE = "begun", "done"


class Standing(StrEnum):
    """What came of a comment."""

    NOTHING = "nothing"
    """It orders nothing, or is gone."""
    ANSWERED = "answered"
    """It was answered before: a webhook that is delivered twice."""
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    """Something did not answer; the same once more goes on."""


@dataclass(frozen=True)
class Outcome:
    """What came of a comment, and what was answered."""

    standing: Standing
    told: str


class Stacks(Protocol):
    """The stacks that commands are for."""

    @property
    def names(self) -> Sequence[str]:
        """What they are called."""

    def applications(self, stack: str) -> frozenset[str]:
        """Those that a stack declares."""

    def client(self, stack: str, login: str) -> ControllerClient:
        """Its controller, asked on behalf of somebody."""


async def answer(
    forge: Forge, kind: str, number: int, comment: str, stacks: Stacks, environments: EnvironmentsAtHand
) -> Outcome:
    """Do what comment `comment` on pull request `number` orders, once, and answer it by one comment.

    The comment is read where it stands: one that is deleted counts for nothing, and one that was edited is refused, as on some
    forges others may edit it. Who ordered it is who the forge says has written it, at a forge of this `kind`.

    Raises:
        PermanentError: the forge refuses.
        RetryableError: it does not answer.
    """
    there = forge.comments(number)
    at = next((index for index, each in enumerate(there) if each.id == comment), None)
    if at is None:
        return Outcome(Standing.NOTHING, f"comment {comment} is not on pull request {number} any more: it counts for nothing")
    found, command = there[at], command_in(there[at].text)
    if command is None:
        return Outcome(Standing.NOTHING, f"comment {comment} is no command")
    own = forge.own_login
    before = next((each for each in there[at + 1 :] if each.author == own and _marked(each, comment)), None)
    if before is not None and before.text.startswith(_MARK.format(comment, _DONE)):
        return Outcome(Standing.ANSWERED, f"comment {comment} was answered before")
    pull = forge.pull_request(number)
    why = _refusal(command, found, pull)
    if why or isinstance(command, Mistake):
        outcome = Outcome(Standing.REFUSED, f"{why} Nothing was done.")
    else:
        if before is None:
            # Said before it is done: whoever is cut off in between goes on with this answer.
            before = forge.add_comment(number, f"{_MARK.format(comment, _BEGUN)}\n{code(str(command))} is on its way.")
        outcome = await _done(command, found, pull, kind, stacks, environments)
    mark = _MARK.format(comment, _BEGUN if outcome.standing is Standing.FAILED else _DONE)
    text = f"{mark}\n{outcome.told}"
    if before is None or not forge.edit_comment(number, before.id, text):
        forge.add_comment(number, text)
    return outcome


def _refusal(command: Command | Mistake, found: Comment, pull: PullRequest) -> str:
    """Why a command does not count, whoever wrote it; empty where it does."""
    if pull.from_fork:
        return "Commands do not count on a pull request from a fork."
    if found.edited:
        return "This comment was edited, so it does not count as a command: write a new one."
    return f"{command.text[:1].upper()}{command.text[1:]}." if isinstance(command, Mistake) else ""


async def _done(
    command: Command, found: Comment, pull: PullRequest, kind: str, stacks: Stacks, environments: EnvironmentsAtHand
) -> Outcome:
    login, reason = f"{kind}:{found.author}", " ".join(each for each in (command.reason, _where(found, pull)) if each)
    try:
        if command.verb.is_of_environment:
            return Outcome(Standing.DONE, await _to_environment(command, found.at, reason, pull.head, login, environments))
        word = Word(command.verb, found.at, reason)
        return Outcome(Standing.DONE, await _carried_out(command, word, login, stacks))
    except (NotMeantError, ConflictError, ForbiddenError, ProtectedError) as error:
        return Outcome(Standing.REFUSED, f"Nothing was done: {text_of(str(error))}.")
    except (RetryableError, PermanentError) as error:
        # The job's own trouble, as a token that is not set: the command waits for the job to be run again.
        return Outcome(Standing.FAILED, f"It could not be done: {text_of(str(error))}. Run the job again.")


async def _to_environment(command: Command, at: float, reason: str, branch: str, login: str, there: EnvironmentsAtHand) -> str:
    async with there.client(environment_orders.found(branch, there), login) as client:
        await _known(client)
        return await environment_orders.order(command, branch, at, reason, client, there)


async def _carried_out(command: Command, word: Word, login: str, stacks: Stacks) -> str:
    """Find what is meant in the stacks, and order it; what was done, in words."""
    if command.stack is not None and command.stack not in stacks.names:
        raise NotMeantError(f"commands are for {', '.join(stacks.names)}, and not for {command.stack}")
    places: list[Place] = []
    for stack in [command.stack] if command.stack else stacks.names:
        async with stacks.client(stack, login) as client:
            await _known(client)
            own = stacks.applications(stack)
            places += [Place(stack, status) for status in await client.list() if status.name in own]
    place = candidates(command, places)
    async with stacks.client(place.stack, login) as client:
        who = await client.whoami()
        told = await order(client, place, word)
    return f"{code(place.status.name)} in {code(place.stack)}: {text_of(told)}, by the word of {text_of(who.name)}."


async def _known(client: ControllerClient) -> None:
    """See that the controller tells people from whoever passes on their words.

    Raises:
        ForbiddenError: nobody has the login, or this process may not pass on words.
        PermanentError: it is older, and would do it in the name of this process.
    """
    if not (await client.whoami()).relayed_by:
        raise PermanentError("the controller is of an older release, which does not know logins: run `heliostat up` first")


def _marked(each: Comment, comment: str) -> bool:
    return any(each.text.startswith(_MARK.format(comment, state)) for state in (_BEGUN, _DONE))


def _where(found: Comment, pull: PullRequest) -> str:
    return found.url or f"{pull.url}#note_{found.id}"
