"""`heliostat rollback`: serve again what served before, or an entry of the ledger."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say

if TYPE_CHECKING:
    from heliostat.spec.rollouts import Desired, Status
    from heliostat.systems.controller_api import ControllerClient


@dataclass(frozen=True)
class _Goal:
    """What a rollback goes back to."""

    where: str
    """In words."""
    desired: Desired
    expected: str | None = None
    """Its fingerprint, where the controller chose it: it holds the controller to it."""


@click.command()
@options.application
@click.option("--to", type=click.IntRange(min=1), metavar="N", help="An entry of the ledger; by default what served before.")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is remembered, and told to whoever declares it again.")
@click.option("--detach", is_flag=True, help="Do not watch it to its end.")
@click.option("--pr", "pull_request", is_flag=True, help="Then open a pull request that pins what it went back to.")
@options.yes
@options.stack
@options.everywhere
def rollback(
    application: str | None, to: int | None, reason: str, detach: bool, pull_request: bool, yes: bool, stack: str | None
) -> int:
    """Go back to the exact code, data, model and config that served before.

    What is rolled away from is not shipped again by the next `up`. APPLICATION may be left out where there is only one. With
    --pr the model's version is pinned by a pull request; code that went back with it is for `git revert`.
    """
    from heliostat.cli.exits import Exit
    from heliostat.cli.rollouts.access import status_of, with_controller
    from heliostat.cli.rollouts.watch import watch

    before = with_controller(stack, lambda client: status_of(client, application, stack))
    goal = _chosen(before.name, stack) if to is None else _named(before.name, to, stack)
    _agree(before, goal, yes)

    async def act(client: ControllerClient) -> int:
        from heliostat.spec.rollouts import RollbackRequest
        from heliostat.systems.git import actor

        wish = RollbackRequest(by=actor(os.environ), to=to, expected=goal.expected, reason=reason)
        status = await client.rollback(before.name, wish)
        if detach:
            say.out(say.runnable(f"{status.name}: going back; `heliostat rollout watch {status.name}` follows it."))
            return Exit.OK
        return await watch(client, status)

    code = with_controller(stack, act)
    if code == Exit.OK and pull_request:
        return _open_pin(before.name, goal, reason, stack)
    return code


def _open_pin(name: str, goal: _Goal, reason: str, stack: str | None) -> int:
    """Have the repository say what serves: else the next change of anything would bring back what was rolled away from."""
    from heliostat.cli.commands.promote import open_pin
    from heliostat.cli.rollouts.locate import platform_of, stacks_here
    from heliostat.gitops.promotion import Pin

    stacks = stacks_here()
    own = stacks.name(stack)
    version = goal.desired.version.model_uri
    title = f"Go back to {version.removeprefix('models:/')} in {own.rpartition('/')[2]}"
    why = f"{name} was rolled back to {goal.where}. {reason}".strip()
    short = own.rpartition("/")[2]
    pin = Pin(name, short, version, f"rollback/{name}-in-{short}", title, why)
    return open_pin(pin, platform_of(stacks, own)[1], "origin", None, False)


def _chosen(name: str, stack: str | None) -> _Goal:
    """The controller's choice: it knows what is still warm, also while the object store is away."""
    from heliostat.cli.rollouts import messages
    from heliostat.cli.rollouts.access import with_controller

    found = with_controller(stack, lambda client: client.way_back(name))
    where = "what served before"
    if found.entry is not None and found.at is not None:
        where = f"entry {found.entry} of {messages.moment(found.at)}"
    return _Goal(f"{where}, whose replicas still run" if found.warm else where, found.desired, found.fingerprint)


def _named(name: str, number: int, stack: str | None) -> _Goal:
    """What an entry of the ledger says."""
    from heliostat.cli.rollouts import goals, messages
    from heliostat.cli.rollouts.locate import store_of
    from heliostat.systems.objects import open_store

    entry, desired = goals.goal_of(open_store(store_of(stack)), name, number)
    return _Goal(f"entry {entry.number} of {messages.moment(entry.at)}", desired)


def _agree(status: Status, goal: _Goal, yes: bool) -> None:
    """Shows what it goes back to, and asks."""
    from heliostat.cli.exits import DeclinedError, UsageError
    from heliostat.cli.rollouts import ledger
    from heliostat.cli.rollouts.listing import pairs
    from heliostat.cli.session import is_interactive

    now = status.serving.label if status.serving else "nothing"
    say.out(f"{status.name}: {now} serves. It goes back to {goal.where}:")
    say.out(pairs(ledger.exact(goal.desired), "  "))
    if yes:
        return
    if not is_interactive():
        raise UsageError("--yes must be passed in to proceed when running in non-interactive mode")
    if not click.confirm(f"Roll {status.name} back to {goal.desired.version.label}?"):
        raise DeclinedError("confirmation declined, nothing was rolled back")
