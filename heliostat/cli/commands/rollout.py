"""`heliostat rollout`: what is on its way, and a person's word on it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from heliostat.cli import options, say
from heliostat.cli.options import Group

if TYPE_CHECKING:
    from heliostat.spec.rollouts import ActionRequest, Sample, Status
    from heliostat.systems.controller_api import ControllerClient

F = TypeVar("F", bound=Callable[..., Any])


@click.group(cls=Group)
@options.everywhere
def rollout() -> None:
    """Watch rollouts, approve or abort them, report on them. APPLICATION may be left out where there is only one."""


_application = options.application
_number = click.option("--rollout", "number", type=click.IntRange(min=1), metavar="N", help="By default the newest.")


def _file(default: str | None, help: str) -> Callable[[F], F]:
    return click.option("-o", "--output", "file", type=click.Path(dir_okay=False), default=default, metavar="FILE", help=help)


@rollout.command("status")
@_application
@options.stack
@options.as_json
@options.everywhere
def status(application: str | None, stack: str | None, as_json: bool) -> None:
    """Show what serves and what is on its way."""
    from heliostat.cli.rollouts.access import status_of, with_controller
    from heliostat.cli.rollouts.watch import newest, show_once

    async def ask(client: ControllerClient) -> tuple[Status, Sample | None]:
        found = await status_of(client, application, stack)
        return found, None if as_json else await newest(client, found)

    found, sample = with_controller(stack, ask)
    if as_json:
        say.out(found.model_dump_json(indent=2))
    else:
        show_once(found, sample)


@rollout.command("watch")
@_application
@options.stack
@click.option("--wait", "to_the_end", is_flag=True, help="Stay until the old version is put away.")
@options.as_json
@options.everywhere
def watch(application: str | None, stack: str | None, to_the_end: bool, as_json: bool) -> int:
    """Follow a rollout to its result.

    Exit code 0 where it went through, 1 where it was rolled back. Ctrl-C ends the watching, not the rollout. With --json each
    change is a line: the application as `rollout status --json` shows it.
    """
    from heliostat.cli.rollouts.access import status_of, with_controller
    from heliostat.cli.rollouts.watch import watch as follow

    async def act(client: ControllerClient) -> int:
        return await follow(client, await status_of(client, application, stack), to_the_end=to_the_end, as_json=as_json)

    return with_controller(stack, act)


@rollout.command("approve")
@_application
@_number
@click.option("--step", "step", type=click.IntRange(min=1), metavar="N", help="From 1; by default the one that it is at.")
@click.option("--reason", default="", metavar="TEXT", help="Remember this with it.")
@options.stack
@options.as_json
@options.everywhere
def approve(
    application: str | None, number: int | None, step: int | None, reason: str, stack: str | None, as_json: bool
) -> None:
    """Let a rollout that waits for a person go on.

    Where --rollout or --step names another one than waits, as where somebody else was first, nothing is approved.
    """
    from heliostat.cli.rollouts.access import status_of, with_controller

    async def act(client: ControllerClient) -> str:
        read = await status_of(client, application, stack)
        word = _word(reason, number, read)
        at = step - 1 if step is not None else read.rollout.step if read.rollout is not None else None
        after = await client.approve(read.name, word.model_copy(update={"step": at}))
        if as_json:
            return after.model_dump_json(indent=2)
        return _told(read.name, word, f", step {at + 1}" if at is not None else "", "approved")

    say.out(with_controller(stack, act))


@rollout.command("abort")
@_application
@_number
@click.option("--reason", default="", metavar="TEXT", help="Why; it is remembered, and told to whoever declares it again.")
@options.stack
@options.as_json
@options.everywhere
def abort(application: str | None, number: int | None, reason: str, stack: str | None, as_json: bool) -> None:
    """Roll back what is on its way.

    It is not shipped again by itself.
    """
    from heliostat.cli.rollouts.access import status_of, with_controller

    async def act(client: ControllerClient) -> str:
        read = await status_of(client, application, stack)
        word = _word(reason, number, read)
        after = await client.abort(read.name, word)
        if as_json:
            return after.model_dump_json(indent=2)
        return _told(read.name, word, "", "aborted")

    say.out(with_controller(stack, act))


def _word(reason: str, number: int | None, read: Status) -> ActionRequest:
    """A word on what was read, and on nothing that came since."""
    from heliostat.spec.rollouts import ActionRequest
    from heliostat.systems.git import actor

    meant = number if number is not None else read.rollout.number if read.rollout is not None else None
    return ActionRequest(by=actor(os.environ), reason=reason, rollout=meant)


def _told(name: str, word: ActionRequest, step: str, what: str) -> str:
    return say.runnable(f"{name}: rollout {word.rollout}{step} {what}; `heliostat rollout watch {name}` follows it.")


@rollout.command("list")
@_application
@options.stack
@options.as_json
@options.everywhere
def listing(application: str | None, stack: str | None, as_json: bool) -> None:
    """List the rollouts so far, the newest first."""
    import time

    from heliostat.cli.rollouts.access import status_of, with_controller
    from heliostat.cli.rollouts.listing import as_table
    from heliostat.spec.rollouts import Rollout

    async def ask(client: ControllerClient) -> tuple[Rollout, ...]:
        return await client.rollouts((await status_of(client, application, stack)).name)

    found = with_controller(stack, ask)
    if as_json:
        from pydantic import TypeAdapter

        say.out(TypeAdapter(tuple[Rollout, ...]).dump_json(found, indent=2).decode())
    else:
        say.out(as_table(found, time.time()) if found else "No rollout yet.")


@rollout.command("report")
@_application
@_number
@_file(default=None, help="By default `rollout-APPLICATION-N.html`; `-` is standard output; `X.svg` is one time line alone.")
@options.stack
@options.as_json
@options.everywhere
def report(application: str | None, number: int | None, file: str | None, stack: str | None, as_json: bool) -> None:
    """Write an HTML page about a rollout.

    One file that needs no network: what happened, with weights, rates and latencies over time. With --json, what the page is
    made of: the controller's record and the ledger's entries.
    """
    import time

    from heliostat.cli.rollouts import records
    from heliostat.cli.rollouts.access import with_controller
    from heliostat.cli.rollouts.files import write
    from heliostat.cli.rollouts.report import page

    record = with_controller(stack, lambda client: records.record_of(client, application, number, stack))
    if file is not None and file.endswith(".svg"):
        from heliostat.cli.rollouts.drawing import draw

        write(draw(record), file)
        return
    entries, notes = records.entries_of(stack, record)
    for note in notes:
        say.told(f"warning: {note}")
    if as_json:
        write(records.as_json(record, entries), file or "-")
        return
    write(page(record, entries, time.time()), file or f"rollout-{record.application}-{record.rollout.number}.html")


@rollout.command("dashboard")
@_file(default="-", help="By default standard output.")
@options.everywhere
def dashboard(file: str) -> None:
    """Write a Grafana dashboard.

    JSON to import, over the metrics that the controller gives Prometheus.
    """
    from heliostat.cli.rollouts.files import write
    from heliostat.platforms.grafana import as_json

    write(as_json(), file)
