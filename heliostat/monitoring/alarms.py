"""From findings to alarms: what fires, who is told, and what people said of it. Pure; the state is a value that JSON holds.

What is to be sent stands in the state until it was: a process that is killed between the two sends it again, under the id by
which its receiver knows it.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Set
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AwareDatetime, Field

from heliostat.spec.base import Model, is_empty, is_none
from heliostat.spec.findings import Finding, Severity, State
from heliostat.spec.notifications import AlarmPolicy


class Status(StrEnum):
    """Where an alarm stands."""

    PENDING = "pending"
    """A breach was found, not yet as often as it takes."""
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    """Somebody looks after it: it is told again only when it gets worse."""
    RESOLVED = "resolved"


class Event(StrEnum):
    """Why somebody is told of an alarm."""

    FIRING = "firing"
    WORSE = "worse"
    """Its severity rose."""
    REMINDER = "reminder"
    ESCALATED = "escalated"
    RESOLVED = "resolved"


class Alarm(Model):
    """One thing that is wrong, known by its key however often it is found."""

    key: str
    status: Status
    severity: Severity
    finding: Finding
    """The newest."""
    since: AwareDatetime
    """When the first breach was found."""
    breaches: int = 1
    """In a row."""
    passes: int = 0
    """In a row, since the last breach."""
    told: AwareDatetime | None = Field(default=None, exclude_if=is_none)
    """When somebody was last told of it."""
    waits_since: AwareDatetime | None = Field(default=None, exclude_if=is_none)
    """When somebody was told of it first, or that it got worse: since then it waits for an acknowledgement."""
    untold: Event | None = Field(default=None, exclude_if=is_none)
    """That it got worse, or ended, in a silence, which whoever knows of it is told when that is over."""
    escalated: bool = False
    acknowledged_by: str = Field(default="", exclude_if=is_empty)
    acknowledged_at: AwareDatetime | None = Field(default=None, exclude_if=is_none)
    resolved_at: AwareDatetime | None = Field(default=None, exclude_if=is_none)

    @property
    def is_open(self) -> bool:
        """Whether it has fired and is not resolved."""
        return self.status in (Status.FIRING, Status.ACKNOWLEDGED)


class Silence(Model):
    """That nobody is told of some alarms for a while; they are kept and shown all the same."""

    keys: Annotated[str, Field(min_length=1)]
    """A key, or a pattern of keys: `flights/quality/*`."""
    until: AwareDatetime
    why: Annotated[str, Field(min_length=1)]
    who: Annotated[str, Field(min_length=1)]
    since: AwareDatetime

    def holds(self, key: str, now: datetime) -> bool:
        """Whether it is about an alarm now."""
        return now < self.until and fnmatch.fnmatchcase(key, self.keys)


class Notification(Model):
    """One message about an alarm."""

    id: str
    """The same each time that it is sent."""
    event: Event
    alarm: Alarm
    at: AwareDatetime


class Judged(Model):
    """How the newest window of a key was judged."""

    at: AwareDatetime
    """The window's end."""
    state: State


class Alarms(Model):
    """All that is known of a monitor's alarms."""

    alarms: dict[str, Alarm] = Field(default_factory=dict)
    """By key; resolved ones stay for `_KEPT`."""
    silences: tuple[Silence, ...] = ()
    judged: dict[str, Judged] = Field(default_factory=dict)
    """By key. An older window changes no alarm; the same one does only where late rows or labels changed what is found."""


_KEPT: Final = timedelta(days=30)
MOST_GONE: Final = 2_000
"""Keys that a look found nothing of, as of slices that vanished, and that are remembered all the same; the newest."""


class UnknownAlarmError(ValueError):
    """There is no open alarm of a key."""


def advance(
    state: Alarms, findings: Iterable[Finding], policy: AlarmPolicy, now: datetime
) -> tuple[Alarms, list[Notification]]:
    """The state after some findings, and who is to be told of what; of one alarm at most once.

    The same findings again change nothing, so a look that was killed may be repeated. A finding whose state is unknown neither
    fires an alarm nor resolves one.
    """
    findings = tuple(findings)
    alarms, judged = dict(state.alarms), dict(state.judged)
    events: dict[str, Event] = {}
    for finding in _latest(findings):
        key = finding.key
        if finding.state is State.UNKNOWN or _is_known(judged.get(key), finding):
            continue
        judged[key] = Judged(at=finding.at, state=finding.state)
        alarm, event = _judged(alarms.get(key), finding, policy, now)
        if alarm is not None:
            alarms[key] = alarm
        if event is not None:
            events[key] = event
    for key, alarm in alarms.items():
        if key not in events and (event := _waited(alarm, policy, now)) is not None:
            events[key] = event
    silences = tuple(each for each in state.silences if now < each.until)
    told = _told(alarms, events, silences, now)
    kept = {key: alarm for key, alarm in alarms.items() if alarm.resolved_at is None or now - alarm.resolved_at < _KEPT}
    unsettled = {key for key, alarm in kept.items() if alarm.status is not Status.RESOLVED}
    moments = {key: each.at for key, each in judged.items()}
    remembered = remembered_keys(moments, unsettled | {finding.key for finding in findings})
    return Alarms(alarms=kept, silences=silences, judged={key: judged[key] for key in judged if key in remembered}), told


def remembered_keys(moments: Mapping[str, datetime], needed: Set[str]) -> set[str]:
    """The keys that are remembered: those that are needed, and the newest of the others."""
    others = sorted((key for key in moments if key not in needed), key=lambda key: (moments[key], key))
    return {*needed, *others[-MOST_GONE:]}


def _is_known(judged: Judged | None, finding: Finding) -> bool:
    if judged is None or finding.at > judged.at:
        return False
    return finding.at < judged.at or finding.state is judged.state


def _latest(findings: Iterable[Finding]) -> list[Finding]:
    """By time; a stable order, so that a repeated look sees the same."""
    return sorted(findings, key=lambda finding: (finding.at, finding.key))


def _judged(alarm: Alarm | None, finding: Finding, policy: AlarmPolicy, now: datetime) -> tuple[Alarm | None, Event | None]:
    if finding.state is State.BREACH:
        return _breached(alarm, finding, policy)
    if alarm is None or alarm.status is Status.RESOLVED:
        return None, None
    if alarm.status is Status.PENDING:
        return alarm.model_copy(update={"status": Status.RESOLVED, "finding": finding, "resolved_at": now}), None
    passes = alarm.passes + 1
    if passes < policy.passes:
        return alarm.model_copy(update={"passes": passes, "breaches": 0, "finding": finding}), None
    changes = {"status": Status.RESOLVED, "passes": passes, "breaches": 0, "finding": finding, "resolved_at": now}
    return alarm.model_copy(update=changes), Event.RESOLVED


def _breached(alarm: Alarm | None, finding: Finding, policy: AlarmPolicy) -> tuple[Alarm, Event | None]:
    if alarm is None or alarm.status is Status.RESOLVED:
        fires = policy.breaches <= 1
        status = Status.FIRING if fires else Status.PENDING
        fresh = Alarm(key=finding.key, status=status, severity=finding.severity, finding=finding, since=finding.at)
        return fresh, Event.FIRING if fires else None
    breaches = alarm.breaches + 1
    found = alarm.model_copy(update={"breaches": breaches, "passes": 0, "finding": finding})
    if alarm.status is Status.PENDING:
        if breaches < policy.breaches:
            return found.model_copy(update={"severity": finding.severity}), None
        return found.model_copy(update={"status": Status.FIRING, "severity": finding.severity}), Event.FIRING
    if finding.severity.rank > alarm.severity.rank:  # what was acknowledged was less than this
        return found.model_copy(update={"severity": finding.severity, "status": Status.FIRING}), Event.WORSE
    return found, None


def _waited(alarm: Alarm, policy: AlarmPolicy, now: datetime) -> Event | None:
    """What is due of an alarm by the clock alone."""
    if alarm.status is Status.RESOLVED and alarm.untold is Event.RESOLVED:
        return Event.RESOLVED
    if alarm.status is not Status.FIRING or alarm.told is None:
        return Event.FIRING if alarm.status is Status.FIRING else None  # it fired in a silence, which is over
    if alarm.untold is not None:
        return alarm.untold
    patience = policy.escalate_seconds
    if patience is not None and not alarm.escalated and _is_over(alarm.waits_since or alarm.told, patience, now):
        return Event.ESCALATED
    return Event.REMINDER if policy.repeat_seconds and _is_over(alarm.told, policy.repeat_seconds, now) else None


def _is_over(since: datetime, seconds: float, now: datetime) -> bool:
    return now - since >= timedelta(seconds=seconds)


def _told(
    alarms: dict[str, Alarm], events: Mapping[str, Event], silences: tuple[Silence, ...], now: datetime
) -> list[Notification]:
    """The messages; what is silenced is not told, and its alarm does not count as told."""
    found = []
    for key, event in sorted(events.items()):
        alarm = alarms[key]
        if any(silence.holds(key, now) for silence in silences):
            if event in (Event.WORSE, Event.RESOLVED) and alarm.told is not None:
                alarms[key] = alarm.model_copy(update={"untold": event})
            continue
        if event is Event.RESOLVED and alarm.told is None:  # nobody knew of it
            continue
        changes: dict[str, object] = {"told": now, "untold": None}
        if event in (Event.FIRING, Event.WORSE):
            changes |= {"waits_since": now}
        if event is Event.ESCALATED:
            changes |= {"escalated": True, "severity": Severity.CRITICAL}
        alarms[key] = alarm = alarm.model_copy(update=changes)
        identifier = f"{key}@{alarm.since:%Y%m%dT%H%M%S}/{event}/{now:%Y%m%dT%H%M%S}"
        found.append(Notification(id=identifier, event=event, alarm=alarm, at=now))
    return found


def acknowledge(state: Alarms, key: str, who: str, now: datetime) -> Alarms:
    """Note that somebody looks after an alarm; doing so again changes nothing.

    Raises:
        UnknownAlarmError: none of that key is open.
    """
    alarm = state.alarms.get(key)
    if alarm is None or not alarm.is_open:
        open_ = ", ".join(sorted(each for each, found in state.alarms.items() if found.is_open)) or "none"
        raise UnknownAlarmError(f"there is no open alarm {key!r}; open are {open_}")
    if alarm.status is Status.ACKNOWLEDGED:
        return state
    changes = {"status": Status.ACKNOWLEDGED, "acknowledged_by": who, "acknowledged_at": now}
    return state.model_copy(update={"alarms": {**state.alarms, key: alarm.model_copy(update=changes)}})


def silence(state: Alarms, keys: str, until: datetime, why: str, who: str, now: datetime) -> Alarms:
    """Keep alarms to themselves until a time; a silence of the same keys takes the place of the one before.

    Raises:
        ValueError: the time is over already, or nobody says why or who.
    """
    if until <= now:
        raise ValueError(f"a silence until {until:%Y-%m-%d %H:%M} is over already: it is {now:%Y-%m-%d %H:%M}")
    fresh = Silence(keys=keys, until=until, why=why, who=who, since=now)
    others = tuple(each for each in state.silences if each.keys != keys and now < each.until)
    return state.model_copy(update={"silences": (*others, fresh)})


def end_silence(state: Alarms, keys: str) -> Alarms:
    """End a silence before its time; nothing where there is none."""
    return state.model_copy(update={"silences": tuple(each for each in state.silences if each.keys != keys)})
