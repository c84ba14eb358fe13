"""`heliostat tasks`: the queue of an application's tasks, and those that failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say

if TYPE_CHECKING:
    from heliostat.spec.task_queue import QueueDepth, TaskView
    from heliostat.systems.controller_api import ControllerClient

_TASK = click.argument("task", metavar="ID")
_APPLICATION = click.argument("application")


@click.group(cls=options.Group)
@options.everywhere
def tasks() -> None:
    """Show what waits in an application's queue, and what failed; have it tried again, or cancel it."""


@tasks.command("list")
@options.application
@click.option("--limit", type=click.IntRange(min=1, max=1000), default=50, show_default=True, metavar="N", help="The last N.")
@options.stack
@options.as_json
@options.everywhere
def list_(application: str | None, limit: int, stack: str | None, as_json: bool) -> None:
    """Show how many tasks wait and run, and the dead letters, the newest first.

    APPLICATION may be left out where there is only one.
    """
    from heliostat.cli.rollouts.access import status_of, with_controller

    async def ask(client: ControllerClient) -> tuple[str, QueueDepth, tuple[TaskView, ...]]:
        name = (await status_of(client, application, stack)).name
        depth = await client.queue(name)
        if depth is None:
            from heliostat.systems.errors import PermanentError

            raise PermanentError(f"{name} takes no tasks: declare serving.queue")
        return name, depth, await client.dead_letters(name, limit)

    name, depth, dead = with_controller(stack, ask)
    if as_json:
        _as_json({"application": name, "queue": depth.model_dump(mode="json"), "dead": [_plain(task) for task in dead]})
        return
    from heliostat.cli.operators.serving import count_of

    say.out(f"{name}: {depth.waiting} wait, {depth.running} run, {depth.dead} dead letters")
    for each in depth.workers:
        say.out(f"workers of {each.version}: {count_of(each)}" + (f" ({each.reason})" if each.reason else ""))
    if not dead:
        return
    from heliostat.cli.operators.tables import Column, write
    from heliostat.cli.rollouts import messages

    rows = [
        (task.id, messages.moment(task.ended_at or 0.0), str(task.attempts), task.version, task.error or "") for task in dead
    ]
    say.out("")
    write([*(Column(head, whole=True) for head in ("ID", "FAILED", "ATTEMPTS", "VERSION")), Column("ERROR")], rows)


@tasks.command()
@_APPLICATION
@_TASK
@options.stack
@options.as_json
@options.everywhere
def show(application: str, task: str, stack: str | None, as_json: bool) -> None:
    """Show a task with its payload and how it stands."""
    import base64

    from heliostat.cli.rollouts import messages
    from heliostat.cli.rollouts.access import with_controller
    from heliostat.systems.errors import PermanentError

    found = with_controller(stack, lambda client: client.task(application, task))
    if found is None:
        raise PermanentError(f"{application} has no task {task}, or not any more")
    if as_json:
        _as_json(_plain(found))
        return
    rows = {
        "id": found.id,
        "status": found.status,
        "attempts": str(found.attempts),
        "version": found.version,
        "submitted": messages.moment(found.submitted_at),
        "deadline": messages.moment(found.deadline),
        "ended": messages.moment(found.ended_at) if found.ended_at is not None else "",
        "error": found.error or "",
        "webhook": f"{found.webhook.url}: {found.webhook.note or 'not called yet'}" if found.webhook else "",
        "payload": base64.b64decode(found.payload or "").decode(errors="replace"),
        "result": base64.b64decode(found.result or "").decode(errors="replace"),
    }
    for label, text in rows.items():
        if text:
            say.out(f"{label:<10} {text}")


@tasks.command()
@_APPLICATION
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "every", is_flag=True, help="Every dead letter, 1,000 at most.")
@options.stack
@options.everywhere
def retry(application: str, ids: tuple[str, ...], every: bool, stack: str | None) -> int:
    """Have dead letters tried again as if they were new. Exit code 1 where one could not be."""
    from heliostat.cli.exits import Exit
    from heliostat.cli.rollouts.access import with_controller
    from heliostat.systems.errors import PermanentError

    if every == bool(ids):
        raise click.UsageError("name the tasks, or say --all")

    async def act(client: ControllerClient) -> int:
        wanted = [task.id for task in await client.dead_letters(application, 1000)] if every else list(ids)
        failed = 0
        for task in wanted:
            try:
                await client.retry_task(application, task)
                say.out(f"{task} waits again")
            except PermanentError as error:
                failed += 1
                say.told(f"✗ {task}: {error}")
        if not wanted:
            say.out(f"{application} has no dead letters")
        return failed

    return Exit.FAILED if with_controller(stack, act) else Exit.OK


@tasks.command()
@_APPLICATION
@_TASK
@options.stack
@options.everywhere
def cancel(application: str, task: str, stack: str | None) -> None:
    """End a task that has not ended; what works on it finishes, and answers nothing."""
    from heliostat.cli.rollouts.access import with_controller

    found = with_controller(stack, lambda client: client.cancel_task(application, task))
    say.out(f"{found.id} is {found.status}")


def _plain(task: TaskView) -> dict[str, object]:
    return task.model_dump(mode="json", exclude_none=True)


def _as_json(value: object) -> None:
    import json

    say.out(json.dumps(value, indent=2, ensure_ascii=False))
