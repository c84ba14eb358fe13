"""`heliostat logs`: what an application's replicas wrote, or a part of the platform."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say
from heliostat.cli.operators.completing import PARTS, loggable

if TYPE_CHECKING:
    from heliostat.systems.ray_logs import LogFile, RayLogs

_APPLICATION, _PART = "app/", "part/"


@click.command()
@click.argument("name", required=False, shell_complete=loggable)
@click.option("-n", "--lines", type=click.IntRange(min=1), default=100, show_default=True, help="Of each log, the last.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on, until Ctrl-C.")
@click.option("--all", "ended", is_flag=True, help="Also of replicas that have ended.")
@options.stack
@options.as_json
@options.everywhere
def logs(name: str | None, lines: int, follow: bool, ended: bool, stack: str | None, as_json: bool) -> None:
    """Show what an application's replicas print and log, and the tracebacks of requests that failed; or a part's log.

    NAME is an application, or one of the platform's parts: controller, haproxy, mlflow, ray. It may be left out where there is
    only one application. Where an application is named like a part, say which is meant: app/ray or part/ray. A request's id is
    in its answer (`x-request-id`) and in the log. With --json each line is an object with `log` and `line`.
    """
    part = _part(name, stack)
    if part is not None:
        _show_part(part, lines, follow, stack, as_json)
        return
    application = name.removeprefix(_APPLICATION) if name else None
    _show_application(application, lines, follow, ended, stack, as_json)


def _part(name: str | None, stack: str | None) -> str | None:
    """The part that is meant; None where an application is.

    Raises:
        UsageError: it may be either, or there is no such part.
    """
    from heliostat.cli.exits import UsageError
    from heliostat.cli.operators.deployed import deployed

    if name is None or name.startswith(_APPLICATION):
        return None
    part = name.removeprefix(_PART)
    if name != part and part not in PARTS:
        raise UsageError(f"{part!r} is no part; there are: {', '.join(PARTS)}")
    if part not in PARTS:
        return None
    if name == part and name in deployed(stack).applications:
        raise UsageError(f"{name!r} is a part and an application: say {_PART}{name} or {_APPLICATION}{name}")
    return part


def _show_part(part: str, lines: int, follow: bool, stack: str | None, as_json: bool) -> None:
    from heliostat.cli.operators import logs as reading
    from heliostat.cli.operators.deployed import with_platform

    found = reading.part_logs(with_platform(stack), part)
    if follow:

        def write(log: reading.PartLog, line: str) -> None:
            _write(log.name, line, as_json, alone=len(found) == 1)

        asyncio.run(reading.follow(found, lines, write))
        return
    for log in found:
        _write_all(log.name, str(log.path), reading.tail(log.path, lines), as_json)


def _show_application(
    application: str | None, lines: int, follow: bool, ended: bool, stack: str | None, as_json: bool
) -> None:
    from heliostat.cli.rollouts.access import status_of, with_controller
    from heliostat.cli.rollouts.locate import ray_of
    from heliostat.systems.errors import PermanentError
    from heliostat.systems.ray_logs import RayLogs

    name = application or with_controller(stack, lambda client: status_of(client, None, stack)).name
    address = ray_of(stack)

    async def show() -> None:
        async with RayLogs(address) as found:
            files = [file for file in await found.files(name) if file.runs or ended]
            if not files:
                raise PermanentError(f"no replica of {name!r} runs: `--all` shows the logs of those that have ended")
            await (_follow if follow else _show)(found, files, lines, as_json)

    asyncio.run(show())


async def _show(logs: RayLogs, files: list[LogFile], lines: int, as_json: bool) -> None:
    for file in files:
        title = f"{file.replica}{'' if file.runs else ' (ended)'}"
        _write_all(file.replica, title, (await logs.tail(file, lines)).rstrip("\n").split("\n"), as_json)


async def _follow(logs: RayLogs, files: list[LogFile], lines: int, as_json: bool) -> None:
    async def print_all(file: LogFile) -> None:
        async for line in logs.follow(file, lines):
            _write(file.replica, line, as_json, alone=len(files) == 1)

    await asyncio.gather(*(print_all(file) for file in files))


def _write_all(name: str, title: str, lines: list[str], as_json: bool) -> None:
    if not as_json:
        say.out("\n".join([f"==> {title} <==", *lines]))
        return
    for line in lines:
        _write(name, line, as_json, alone=False)


def _write(name: str, line: str, as_json: bool, *, alone: bool) -> None:
    if as_json:
        say.out(json.dumps({"log": name, "line": line}, ensure_ascii=False))
    else:
        say.out(line if alone else f"{name}: {line}")
