"""`heliostat ci command`: does what a comment on a pull request orders, where whoever wrote it may."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say
from heliostat.cli.exits import Exit, UsageError

if TYPE_CHECKING:
    from heliostat.gitops.environments import Environments
    from heliostat.gitops.records import EnvironmentRecord
    from heliostat.systems.controller_api import ControllerClient
    from heliostat.systems.forges.events import CommentEvent


@dataclass(frozen=True)
class _StacksHere:
    """The stacks whose state is at hand."""

    names: Sequence[str]

    def applications(self, stack: str) -> frozenset[str]:
        from heliostat.cli.rollouts.applications import declared_applications

        return declared_applications(stack)

    def client(self, stack: str, login: str) -> ControllerClient:
        from heliostat.cli.rollouts.locate import controller_of
        from heliostat.systems.controller_api import ControllerClient

        return ControllerClient(controller_of(stack), on_behalf_of=login)


class _EnvironmentsHere:
    """Branches' environments, in the store of the stacks' state, which is looked for once a comment is about one."""

    @cached_property
    def _environments(self) -> Environments:
        from heliostat.cli.commands.env import environments_here
        from heliostat.systems.controller_api import TOKEN_VARIABLE

        # The token of this job passes on words, and declares nothing: what it orders is done with the stack's own.
        return environments_here(quiet=True, without=[TOKEN_VARIABLE])

    def find(self, branch: str) -> EnvironmentRecord | None:
        return self._environments.find(branch)

    def client(self, record: EnvironmentRecord, login: str) -> ControllerClient:
        return _StacksHere(()).client(record.platform, login)

    def keep_until(self, record: EnvironmentRecord, moment: float) -> EnvironmentRecord:
        return self._environments.keep_until(record, moment)

    def down(self, record: EnvironmentRecord) -> None:
        self._environments.down(record)


@click.command("command")
@click.option("--stack", "-s", "named", multiple=True, metavar="NAME", help="These stacks; by default the selected one.")
@click.option("--pull-request", "number", type=int, metavar="N", help="Its number; by default what the job was started for.")
@click.option("--comment", metavar="ID", help="The forge's id of the comment; by default what the job was started for.")
@options.as_json
@options.everywhere
def command(named: tuple[str, ...], number: int | None, comment: str | None, as_json: bool) -> int:
    """Do what a comment on a pull request orders, and answer it: `/approve` or `/rollback`, `[APPLICATION] [in STACK]`; or
    `/extend [for TIME]` or `/down`, for the environment of its branch.

    It counts from those alone whose login stands in the stack's `access` section, by their roles, and is in the audit log in
    their name. HELIOSTAT_TOKEN is a token with the role `relay`. The same comment once more does nothing.
    """
    from heliostat.cli.rollouts.locate import stacks_here
    from heliostat.gitops.commanding import Standing, answer
    from heliostat.systems.forges.here import open_forge, repository_here

    event = _event(number, comment)
    if event is None:
        return _told("nothing", "No comment on a pull request was written.", as_json)
    kind, stacks = repository_here(os.environ).kind, _StacksHere(named or (stacks_here().name(None),))
    outcome = asyncio.run(answer(open_forge(os.environ), kind, event.number, event.comment, stacks, _EnvironmentsHere()))
    _told(outcome.standing, outcome.told, as_json)
    return Exit.FAILED if outcome.standing is Standing.FAILED else Exit.OK


def _event(number: int | None, comment: str | None) -> CommentEvent | None:
    from heliostat.systems.forges.events import CommentEvent, comment_here

    if (number is None) != (comment is None):
        raise UsageError("--pull-request and --comment go together: a comment is one of a pull request")
    return CommentEvent(number, comment) if number is not None and comment is not None else comment_here(os.environ)


def _told(standing: str, text: str, as_json: bool) -> int:
    say.out(json.dumps({"standing": standing, "told": text}, indent=2) if as_json else text)
    return Exit.OK
