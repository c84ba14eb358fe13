"""Monitors as the object store has them: which there are, what they found, and what people say of their alarms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from heliostat.monitoring.state import MonitorState, state_in
from heliostat.spec.findings import Finding, State
from heliostat.spec.monitoring import schedule_name, states
from heliostat.spec.predictions import SCHEDULES
from heliostat.systems.objects import ObjectStore
from heliostat.systems.revisions import Revisions

_ORDER: Final = {State.BREACH: 0, State.UNKNOWN: 1, State.OK: 2}


@dataclass(frozen=True)
class MonitorStatus:
    """A monitor in a line."""

    name: str
    state: MonitorState

    @property
    def finding(self) -> Finding | None:
        """What says most of how it stands."""
        return self.state.worst

    @property
    def row(self) -> tuple[str, str, str, str, str]:
        """For a table with `HEADS`."""
        finding = self.finding
        looked = f"{self.state.looked_at:%Y-%m-%d %H:%M}" if self.state.looked_at else "not yet"
        text = finding.text if finding is not None else "nothing yet"
        return self.name, looked, self.state.newest_window, str(len(self.state.open_alarms)), text

    def as_json(self) -> dict[str, Any]:
        """For a program to read."""
        finding, looked_at = self.finding, self.state.looked_at
        return {
            "name": self.name,
            "modelUri": self.state.model_uri or None,
            "lookedAt": looked_at.isoformat() if looked_at is not None else None,
            "window": self.state.newest_window or None,
            "openAlarms": [alarm.key for alarm in self.state.open_alarms],
            "finding": finding.model_dump(mode="json") if finding is not None else None,
        }


HEADS: Final = ("MONITOR", "LOOKED", "WINDOW", "ALARMS", "NEWEST FINDING")


def names(store: ObjectStore) -> list[str]:
    """The applications that are watched."""
    prefix = f"{SCHEDULES}{schedule_name('')}"
    return [info.key.removeprefix(prefix).removesuffix(".json") for info in store.list(prefix)]


def statuses(store: ObjectStore) -> tuple[MonitorStatus, ...]:
    """Every monitor, as it was left by its last look.

    Raises:
        PermanentError, RetryableError: the store, or a state in it, cannot be read.
    """
    return tuple(MonitorStatus(name, read(store, name)) for name in names(store))


def read(store: ObjectStore, name: str) -> MonitorState:
    """What a monitor remembers; nothing where it has not looked yet.

    Raises:
        PermanentError, RetryableError: the store, or the state in it, cannot be read.
    """
    return state_in(name, Revisions(store, states(name)).newest()[1])


def change(store: ObjectStore, name: str, act: Callable[[MonitorState], MonitorState]) -> MonitorState:
    """Have a monitor remember something else; nobody's change is lost by it.

    Raises:
        PermanentError, RetryableError: as `read`. Whatever `act` raises comes through as it is.
    """
    revisions = Revisions(store, states(name))
    return state_in(name, revisions.change(lambda content: act(state_in(name, content)).model_dump_json().encode()))


def ordered(state: MonitorState) -> list[Finding]:
    """Every finding, what is wrong first, and the newest first of these."""

    def rank(finding: Finding) -> tuple[int, int, float, str]:
        return _ORDER[finding.state], -finding.severity.rank, -finding.at.timestamp(), finding.key

    return sorted(state.findings.values(), key=rank)


def of_others(state: MonitorState) -> list[tuple[str, Finding]]:
    """What late labels told of versions that do not serve, the newest version first, with the version's number.

    Slices are left out where nothing is wrong in them.
    """
    found = []
    for version in sorted(state.others, key=lambda each: -int(each)):
        findings = sorted(state.others[version].findings.values(), key=lambda each: (_ORDER[each.state], each.key))
        found += [(version, each) for each in findings if "[" not in each.subject or each.state is State.BREACH]
    return found


def number(value: float | None) -> str:
    """A figure in a table; nothing where there is none."""
    return "" if value is None else f"{value:.4g}"


def local(moment: datetime) -> str:
    """A time in the machine's time zone."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
