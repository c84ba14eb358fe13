"""`heliostat logs`: what an application's replicas wrote."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say

if TYPE_CHECKING:
    from heliostat.systems.ray_logs import LogFile, RayLogs


@click.command()
@click.argument("application", required=False)
@click.option("-n", "--lines", type=click.IntRange(min=1), default=100, show_default=True, help="Of each replica, the last.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on, until Ctrl-C.")
@click.option("--all", "ended", is_flag=True, help="Also of replicas that have ended.")
@options.stack
@options.everywhere
def logs(application: str | None, lines: int, follow: bool, ended: bool, stack: str | None) -> None:
    """Show what an application's replicas print and log, and the tracebacks of requests that failed.

    APPLICATION may be left out where there is only one. A request's id is in its answer (`x-request-id`) and in the log.
    """
    from heliostat.cli.rollouts.access import status_of, with_controller
    from heliostat.cli.rollouts.place import ray_of
    from heliostat.systems.errors import PermanentError
    from heliostat.systems.ray_logs import RayLogs

    name = application or with_controller(stack, lambda client: status_of(client, None)).name
    address = ray_of(stack)

    async def show() -> None:
        async with RayLogs(address) as found:
            files = [file for file in await found.files(name) if file.runs or ended]
            if not files:
                raise PermanentError(f"no replica of {name!r} runs: `--all` shows the logs of those that have ended")
            await (_follow if follow else _show)(found, files, lines)

    asyncio.run(show())


async def _show(logs: RayLogs, files: list[LogFile], lines: int) -> None:
    for file in files:
        say.out(f"==> {file.replica}{'' if file.runs else ' (ended)'} <==")
        say.out((await logs.tail(file, lines)).rstrip("\n"))


async def _follow(logs: RayLogs, files: list[LogFile], lines: int) -> None:
    async def print_all(file: LogFile) -> None:
        async for line in logs.follow(file, lines):
            say.out(line if len(files) == 1 else f"{file.replica}: {line}")

    await asyncio.gather(*(print_all(file) for file in files))
