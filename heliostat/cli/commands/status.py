"""`heliostat status`: every part of a stack's platform, and what serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say

if TYPE_CHECKING:
    from heliostat.cli.operators.health import PlatformStatus
    from heliostat.cli.operators.monitors import MonitorStatus
    from heliostat.cli.operators.packages import Package
    from heliostat.cli.operators.serving import Application, ServedVersion


@click.command()
@options.stack
@options.as_json
@options.everywhere
def status(stack: str | None, as_json: bool) -> int:
    """Show every part of the platform, whether it is well, what serves on it, the newest packages, and what monitors found.

    Exit code 0 where every part is ok and every application answers its clients, 1 where one is or does not or nothing is up,
    6 where there is no such stack. Each part has 5 s to answer; all are asked at once.
    """
    import json

    from heliostat.cli.exits import Exit
    from heliostat.cli.operators.status import status_of

    found = status_of(stack)
    if as_json:
        say.out(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
    else:
        _show(found)
    return Exit.OK if found.is_well else Exit.FAILED


def _show(found: PlatformStatus) -> None:
    from heliostat.cli.operators.tables import Column, write

    on = f", on the platform of {found.owner}" if found.owner != found.stack else ""
    say.out(f"Stack {found.stack}{on}")
    if found.parts:
        heads = (Column("PART", whole=True), Column("HEALTH", whole=True), Column("VERSION", whole=True))
        rows = [(one.part, str(one.health), one.version, one.address, one.detail) for one in found.parts]
        say.out("")
        write((*heads, Column("ADDRESS"), Column("DETAIL")), rows)
        say.out("")
        _show_applications(found.applications)
    if found.packages:
        _show_packages(found.packages)
    if found.monitors:
        _show_monitors(found.monitors)
    if found.parts and found.advice:
        say.out("")
    for sentence in found.advice:
        say.told(sentence)


def _show_applications(applications: tuple[Application, ...] | None) -> None:
    from heliostat.cli.operators.tables import Column, write

    if applications is None:
        say.out("What serves is not known: the controller does not say.")
        return
    if not applications:
        say.out("No application yet.")
        return
    heads = ("APPLICATION", "VERSION", "ROLE", "WEIGHT", "REPLICAS", "SINCE")
    rows = [row for one in applications for row in _rows(one)]
    write([*(Column(head, whole=True) for head in heads[:5]), Column(heads[5]), Column("ROLLOUT")], rows)
    _show_queues(applications)


def _show_queues(applications: tuple[Application, ...]) -> None:
    from heliostat.cli.operators.serving import workers_of
    from heliostat.cli.operators.tables import Column, write

    queues = [(one.name, one.queue) for one in applications if one.queue is not None]
    if not queues:
        return
    say.out("")
    rows = [
        (name, str(depth.waiting), str(depth.running), str(depth.dead), _age(depth.oldest_seconds), workers_of(depth))
        for name, depth in queues
    ]
    heads = ("TASKS", "WAITING", "RUNNING", "DEAD", "OLDEST")
    write([*(Column(head, whole=True) for head in heads), Column("WORKERS")], rows)


def _age(seconds: float | None) -> str:
    from heliostat.cli.rollouts import messages

    return messages.NOTHING if seconds is None else messages.span(seconds)


def _show_packages(packages: tuple[Package, ...]) -> None:
    from heliostat.cli.operators.packages import HEADS, row
    from heliostat.cli.operators.tables import Column, write

    say.out("")
    write([*(Column(head, whole=True) for head in HEADS[:4]), *map(Column, HEADS[4:])], [row(one) for one in packages])


def _show_monitors(monitors: tuple[MonitorStatus, ...]) -> None:
    from heliostat.cli.operators.monitors import HEADS
    from heliostat.cli.operators.tables import Column, write

    say.out("")
    write([*(Column(head, whole=True) for head in HEADS[:4]), Column(HEADS[4])], [one.row for one in monitors])


def _rows(one: Application) -> list[tuple[str, ...]]:
    import time

    from heliostat.cli.rollouts import messages
    from heliostat.cli.rollouts.view import countdown

    rollout = ""
    if one.rollout is not None:
        parts = (f"{one.rollout.number}, {one.rollout.strategy.kind}: {messages.PHASES[one.rollout.phase]}",)
        rollout = ", ".join(filter(None, (*parts, countdown(one.rollout, time.time()))))
    if not one.versions:
        return [(one.name, messages.NOTHING, "", "", f"0/{one.desired_replicas or 0}", "", rollout)]
    return [_row(one, version, rollout if number == 0 else "") for number, version in enumerate(one.versions)]


def _row(one: Application, version: ServedVersion, rollout: str) -> tuple[str, ...]:
    from heliostat.cli.rollouts import messages

    replicas = messages.NOTHING if version.replicas is None else str(version.replicas)
    wanted = f"/{one.desired_replicas}" if one.desired_replicas is not None and version.role != "previous" else ""
    moment = messages.moment(version.since) if version.since is not None else ""
    return (one.name, version.label, version.role, messages.percent(version.weight), replicas + wanted, moment, rollout)
