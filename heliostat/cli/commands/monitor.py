"""`heliostat monitor`: what monitors found, a look now, and what people say of alarms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from heliostat.cli import options, say
from heliostat.cli.durations import Duration

if TYPE_CHECKING:
    from heliostat.cli.operators.deployed import Deployed
    from heliostat.monitoring.state import MonitorState

_WHO = click.option(
    "--by", "who", metavar="NAME", help="Who says so where no token of theirs does; by default the user of this machine."
)
_APPLICATION = click.argument("application")
_SHOWN = ("model_uri", "looked_at", "newest_window", "problems", "new_rows", "source", "decision", "proposal")
"""Of a state, as a program gets it."""
_ALARM = click.argument("alarm", metavar="ALARM")


@click.group(cls=options.Group)
@options.everywhere
def monitor() -> None:
    """Show what is found of models that serve; look now; take alarms, or keep them silent for a while."""


@monitor.command("list")
@options.stack
@options.as_json
@options.everywhere
def list_(stack: str | None, as_json: bool) -> None:
    """Show every monitor with its newest finding and how many alarms are open."""
    from heliostat.cli.operators.monitors import HEADS, statuses
    from heliostat.cli.operators.tables import Column, write
    from heliostat.systems.objects import open_store

    found = statuses(open_store(_store_of(_platform(stack))))
    if as_json:
        _as_json([each.as_json() for each in found])
    elif not found:
        say.out("Nothing is watched: declare `monitor` of a workload, and bring it up.")
    else:
        write([*(Column(head, whole=True) for head in HEADS[:4]), Column(HEADS[4])], [each.row for each in found])


@monitor.command()
@options.application
@click.option("--all", "every", is_flag=True, help="What is right, too.")
@options.stack
@options.as_json
@options.everywhere
def show(application: str | None, every: bool, stack: str | None, as_json: bool) -> None:
    """Show the newest findings of an application, what is wrong and what cannot be told first.

    APPLICATION may be left out where only one is watched.
    """
    from heliostat.cli.operators import monitors
    from heliostat.cli.operators.tables import Column, write
    from heliostat.spec.findings import State

    name, state = _read(stack, application)
    found = monitors.ordered(state)
    if as_json:
        told = state.model_dump(mode="json", include={*_SHOWN})
        others = [{"version": version, **each.model_dump(mode="json")} for version, each in monitors.of_others(state)]
        findings = [each.model_dump(mode="json") for each in found]
        _as_json({"application": name, **told, "findings": findings, "remedies": state.remedies, "otherVersions": others})
        return
    if state.looked_at is None:
        say.out(f"{name} was not looked at yet.")
        return
    window = f"newest window {state.newest_window}" if state.newest_window else "no window is over yet"
    say.out(f"{name}, {state.model_uri}: looked at {monitors.local(state.looked_at)}, {window}")
    shown = [each for each in found if every or each.state is not State.OK]
    rows = [
        (f"{each.aspect}", each.subject, each.state.value, monitors.number(each.value), monitors.number(each.limit),
         each.window, each.text)
        for each in shown
    ]  # fmt: skip
    if rows:
        say.out("")
        heads = ("ASPECT", "SUBJECT", "STATE", "VALUE", "LIMIT", "WINDOW")
        write([*(Column(head, whole=True) for head in heads), Column("FOUND")], rows)
    if hidden := len(found) - len(shown):
        say.out(f"\n{hidden} {'is' if hidden == 1 else 'are'} right; `--all` shows {'it' if hidden == 1 else 'them'}.")
    for _, each in monitors.of_others(state):
        say.out(f"\n{each.window}, {each.aspect} {each.subject}: {each.state.value}, {each.text}")
    _say_remedies(state)
    for text in state.problems:
        say.told(text)
    if state.source is not None and state.source.rows is None:
        say.told(state.source.text)
    elif state.source is not None:
        say.out(f"\n{state.source.text} since its data were read.")
    if retraining := state.of_retraining:
        say.out(f"\n{retraining}")


@monitor.command()
@options.application
@options.stack
@options.as_json
@options.everywhere
def alarms(application: str | None, stack: str | None, as_json: bool) -> int:
    """Show the summary for whoever is on call: open alarms, silences, and what sinks did not take.

    Exit code 1 where an alarm is open that nobody looks after.
    """
    from datetime import UTC, datetime

    from heliostat.cli.exits import Exit
    from heliostat.monitoring.alarms import Status
    from heliostat.monitoring.messages import summary

    name, state = _read(stack, application)
    if as_json:
        _as_json({
            "application": name,
            "alarms": [each.model_dump(mode="json") for each in state.open_alarms],
            "silences": [each.model_dump(mode="json") for each in state.alarms.silences],
            "waiting": [each.model_dump(mode="json") for each in state.outbox.waiting],
            "lost": [each.model_dump(mode="json") for each in state.outbox.lost],
            "remedies": state.remedies,
        })  # fmt: skip
    else:
        say.out(summary(state.alarms, state.outbox, datetime.now(UTC)).rstrip())
        _say_remedies(state)
    return Exit.FAILED if any(each.status is Status.FIRING for each in state.open_alarms) else Exit.OK


@monitor.command()
@_APPLICATION
@_ALARM
@_WHO
@options.stack
@options.everywhere
def acknowledge(application: str, alarm: str, who: str | None, stack: str | None) -> None:
    """Say that you look after an alarm, named as `quality/roc_auc`: it is told again only when it gets worse or ends."""
    from heliostat.cli.rollouts.access import with_controller
    from heliostat.spec.alarm_orders import AcknowledgeOrder

    order = AcknowledgeOrder(alarm=_key(application, alarm), by=who or _user())
    with_controller(stack, lambda client: client.acknowledge(application, order))
    say.out(f"{order.alarm} is looked after")


@monitor.command()
@_APPLICATION
@click.argument("alarms_", metavar="ALARMS")
@click.option("--for", "seconds", type=Duration(), required=True, help="How long from now on, as 90m, 72h or 3d.")
@click.option("--why", required=True, metavar="TEXT", help="What for.")
@_WHO
@options.stack
@options.everywhere
def silence(application: str, alarms_: str, seconds: float, why: str, who: str | None, stack: str | None) -> None:
    """Keep alarms to themselves for a while: one as `quality/roc_auc`, or a pattern as `drift/*`. They are found and shown."""
    from datetime import UTC, datetime, timedelta

    from heliostat.cli.rollouts.access import with_controller
    from heliostat.spec.alarm_orders import SilenceOrder

    until = datetime.now(UTC) + timedelta(seconds=seconds)
    order = SilenceOrder(alarms=_key(application, alarms_), until=until, why=why, by=who or _user())
    with_controller(stack, lambda client: client.silence(application, order))
    say.out(f"{order.alarms} is silent until {until:%Y-%m-%d %H:%M} UTC")


@monitor.command()
@_APPLICATION
@click.argument("alarms_", metavar="ALARMS")
@_WHO
@options.stack
@options.everywhere
def unsilence(application: str, alarms_: str, who: str | None, stack: str | None) -> None:
    """End a silence before its time, named as it was silenced. What it hid and is still wrong is told with the next look."""
    from heliostat.cli.rollouts.access import with_controller
    from heliostat.spec.alarm_orders import UnsilenceOrder

    order = UnsilenceOrder(alarms=_key(application, alarms_), by=who or _user())
    with_controller(stack, lambda client: client.unsilence(application, order))
    say.out(f"{order.alarms} is told again")


@monitor.command()
@options.application
@options.stack
@options.as_json
@options.everywhere
def run(application: str | None, stack: str | None, as_json: bool) -> None:
    """Look now, as by the schedule, and show what is found."""
    import asyncio

    from heliostat.cli.operators import monitor_runs, monitors
    from heliostat.systems.errors import PermanentError
    from heliostat.systems.objects import open_store

    found = _platform(stack)
    address, ray = _store_of(found), found.ray
    if ray is None:
        raise PermanentError(f"the stack {found.owner!r} exports no Ray cluster: bring its platform up")
    name = _chosen(application, monitors.names(open_store(address)))
    asyncio.run(monitor_runs.look(address, ray, name, say.told))
    status = monitors.MonitorStatus(name, monitors.read(open_store(address), name))
    if as_json:
        _as_json(status.as_json())
        return
    say.out(status.row[-1])
    if status.state.open_alarms:
        say.out(f"open alarms: {', '.join(each.key for each in status.state.open_alarms)}")


@monitor.command()
@click.option("-o", "--output", "file", default="-", metavar="FILE", help="By default standard output.")
@options.everywhere
def rules(file: str) -> None:
    """Write rules for Prometheus: alarms of monitors, monitors that do not look, and the platform itself."""
    from heliostat.cli.rollouts.files import write
    from heliostat.platforms.prometheus_rules import as_yaml

    write(as_yaml(), file)


def _platform(stack: str | None) -> Deployed:
    from heliostat.cli.operators.deployed import with_platform

    return with_platform(stack)


def _store_of(found: Deployed) -> Any:
    from heliostat.systems.errors import PermanentError

    if found.store is None:
        raise PermanentError(f"the stack {found.owner!r} exports no object store: its last `up` did not come to its end")
    return found.store


def _read(stack: str | None, application: str | None) -> tuple[str, MonitorState]:
    from heliostat.cli.operators import monitors
    from heliostat.systems.objects import open_store

    store = open_store(_store_of(_platform(stack)))
    name = _chosen(application, monitors.names(store))
    return name, monitors.read(store, name)


def _chosen(application: str | None, there: list[str]) -> str:
    """The monitor that is meant; without a name the only one."""
    from heliostat.systems.errors import PermanentError

    listed = ", ".join(sorted(there)) or "none"
    if application is not None and application not in there:
        raise PermanentError(f"{application} is not watched: declare `monitor` of the workload; watched are: {listed}")
    if application is None and not there:
        raise PermanentError("nothing is watched: declare `monitor` of a workload, and bring it up")
    if application is None and len(there) != 1:
        raise PermanentError(f"name the application: watched are {listed}")
    return application or there[0]


def _say_remedies(state: MonitorState) -> None:
    for text in state.remedies:
        say.out(f"\n{text}")


def _key(application: str, alarm: str) -> str:
    """The whole key of an alarm, which begins with the monitor's name."""
    return alarm if alarm.startswith(f"{application}/") else f"{application}/{alarm}"


def _user() -> str:
    import getpass

    return getpass.getuser()


def _as_json(value: Any) -> None:
    import json

    say.out(json.dumps(value, indent=2, ensure_ascii=False))
