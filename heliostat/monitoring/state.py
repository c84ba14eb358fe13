"""What a monitor remembers from look to look, as one value, and the functions from one to the next. Pure.

Alarms, what waits to be sent, and what was looked at change together: whoever is killed left all of it or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from pydantic import AwareDatetime, Field

from heliostat.monitoring.alarms import Alarm, Alarms, Judged, Notification, Status, advance, remembered_keys
from heliostat.monitoring.deliveries import Outbox, enqueue
from heliostat.monitoring.new_data import NewRows
from heliostat.monitoring.other_versions import OtherVersion, remembered
from heliostat.monitoring.proposals import Proposal
from heliostat.monitoring.remedies import remedies
from heliostat.monitoring.retraining import Decision, Outcome, Retraining
from heliostat.monitoring.windows import Looked
from heliostat.spec.base import Digest, Model, is_empty, is_none
from heliostat.spec.findings import Finding, State, newest_first
from heliostat.spec.monitors import Monitor
from heliostat.systems.errors import PermanentError

_MOST_RETRAININGS: Final = 100


class Closed(Model):
    """A window of so many rows that is full."""

    start: int
    """When its first row was, in microseconds since 1970."""
    end: int
    """The same of its last row."""
    rows: int


class MonitorState(Model):
    """All that is remembered."""

    declared: str = ""
    """The digest of what was declared at the last look."""
    windows: str = ""
    """The windows that were declared then, as JSON: numbers of others mean something else."""
    model_uri: str = ""
    """The version that the last look held its windows against."""
    reference: Digest | str = ""
    looked_at: AwareDatetime | None = Field(default=None, exclude_if=is_none)
    seen: str = ""
    """The digest of the objects that were there at the last look."""
    looked: dict[int, Looked] = Field(default_factory=dict)
    """What each window held when it was looked at last, by its number."""
    closed: dict[int, Closed] = Field(default_factory=dict, exclude_if=is_empty)
    """Windows of so many rows, by their numbers."""
    newest_window: str = ""
    next_due: AwareDatetime | None = Field(default=None, exclude_if=is_none)
    """When the next window is over; None where none holds rows, or windows are of so many rows."""
    newest: dict[str, AwareDatetime] = Field(default_factory=dict)
    """The times of the newest `predictions`, `labels` and row of `training data`, as far as there are any."""
    new_rows: int = 0
    """Labelled rows that are newer than what the version was trained on."""
    source: NewRows | None = Field(default=None, exclude_if=is_none)
    """The same of the source that rows are ingested from, where a retraining may be asked for by them."""
    since: AwareDatetime | None = Field(default=None, exclude_if=is_none)
    """The first look; None where a release wrote it that did not keep it."""
    findings: dict[str, Finding] = Field(default_factory=dict)
    """The newest of each key."""
    others: dict[str, OtherVersion] = Field(default_factory=dict, exclude_if=is_empty)
    """What late labels told of versions that do not serve, by their numbers: no alarm is about them."""
    problems: tuple[str, ...] = ()
    """What the last look met that no finding is about."""
    alarms: Alarms = Field(default_factory=Alarms)
    outbox: Outbox = Field(default_factory=Outbox)
    decision: Decision | None = Field(default=None, exclude_if=is_none)
    """Whether a training was wanted at the last look."""
    proposal: Proposal | None = Field(default=None, exclude_if=is_none)
    """The retraining that is proposed, and has not come to its end."""
    retrainings: tuple[Retraining, ...] = Field(default=(), exclude_if=is_empty)

    @property
    def open_alarms(self) -> tuple[Alarm, ...]:
        """Those that fired and are not resolved, the worst first."""
        found = [alarm for alarm in self.alarms.alarms.values() if alarm.is_open]
        return tuple(sorted(found, key=lambda alarm: (-alarm.severity.rank, alarm.since, alarm.key)))

    @property
    def of_retraining(self) -> str:
        """What is proposed, or wanted and held back, in a sentence or two; empty where nothing asks for a retraining."""
        if self.proposal is not None:
            return self.proposal.text
        return self.decision.text if self.decision is not None and self.decision.reasons else ""

    @property
    def remedies(self) -> tuple[str, ...]:
        """What helps against what was found, a sentence each."""
        return remedies(self.findings.values())

    @property
    def worst(self) -> Finding | None:
        """The one finding that says most of how it stands: the worst of the newest window and of the last look."""
        last = max((each.at for each in self.findings.values() if each.window), default=None)
        newest = [each for each in self.findings.values() if not each.window or each.at == last]
        wrong = [each for each in newest if each.state is State.BREACH]
        if wrong:
            return max(wrong, key=lambda each: (each.severity.rank, each.at, each.key))
        return next(iter(newest_first(tuple(each for each in newest if each.window))), None)


def state_of(content: bytes | None) -> MonitorState:
    """The state that was written; an empty one where there is none.

    Raises:
        ValueError: another release wrote it.
    """
    return MonitorState() if content is None else MonitorState.model_validate_json(content)


def state_in(name: str, content: bytes | None) -> MonitorState:
    """The same of a monitor by name, for whoever says so to people.

    Raises:
        PermanentError: another release wrote it.
    """
    try:
        return state_of(content)
    except ValueError as error:
        raise PermanentError(f"the state of the monitor {name} cannot be read: another release wrote it ({error})") from None


class Looks(Model):
    """What one look found."""

    at: AwareDatetime
    declared: str
    windows: str
    model_uri: str
    reference: Digest
    seen: str
    looked: dict[int, Looked] = Field(default_factory=dict)
    """Of the windows that were looked at."""
    dropped: tuple[int, ...] = ()
    """Windows that are older than what is read."""
    closed: dict[int, Closed] = Field(default_factory=dict)
    newest_window: str = ""
    next_due: AwareDatetime | None = None
    newest: dict[str, AwareDatetime] = Field(default_factory=dict)
    new_rows: int = 0
    source: NewRows | None = None
    findings: tuple[Finding, ...] = ()
    others: dict[str, OtherVersion] | None = None
    """Of the versions that rows were read of beside the one that serves; None where nothing was read."""
    problems: tuple[str, ...] = ()
    decision: Decision | None = None
    proposal: Proposal | None = None
    """What is proposed now, where nothing was open."""
    ended: Retraining | None = None
    """How the one that was open ended."""


def number_of(model_uri: str) -> str:
    """The number of a version, of `models:/NAME/NUMBER`."""
    return model_uri.rpartition("/")[2]


def with_windows(state: MonitorState, windows: str) -> MonitorState:
    """The state, of which windows that were cut otherwise are forgotten."""
    if state.windows in ("", windows):
        return state
    others = {version: each.model_copy(update={"looked": {}}) for version, each in state.others.items()}
    return state.model_copy(update={"looked": {}, "closed": {}, "next_due": None, "seen": "", "others": others})


def after(state: MonitorState, look: Looks, monitor: Monitor) -> MonitorState:
    """The state after a look. The same look again changes nothing; one that is older than the last changes no more than
    its alarms."""
    state = with_windows(state, look.windows)
    is_old = state.looked_at is not None and look.at < state.looked_at
    findings = _newest(state.findings, look.findings)
    alarms = state.alarms
    if look.declared != state.declared and state.declared and not is_old:
        # What is not watched any more is neither wrong nor right.
        keys = {finding.key for finding in look.findings}
        findings = {key: finding for key, finding in findings.items() if key in keys}
        alarms = _only(alarms, keys, look.at)
    alarms, told = advance(alarms, look.findings, monitor.alarms, look.at)
    findings = _remembered(findings, look.findings, alarms)
    outbox = _told(state.outbox, told, monitor)
    if is_old:
        return state.model_copy(update={"alarms": alarms, "outbox": outbox})
    kept = {number: looked for number, looked in state.looked.items() if number not in look.dropped}
    return state.model_copy(
        update={
            "declared": look.declared,
            "windows": look.windows,
            "model_uri": look.model_uri,
            "reference": look.reference,
            "looked_at": look.at,
            "since": state.since or (look.at if state.looked_at is None else None),
            "seen": look.seen,
            "looked": {**kept, **look.looked},
            "closed": {**{n: each for n, each in state.closed.items() if n not in look.dropped}, **look.closed},
            "newest_window": look.newest_window or state.newest_window,
            "next_due": look.next_due,
            "newest": look.newest,
            "new_rows": look.new_rows,
            "source": look.source,
            "findings": findings,
            "others": _others(state, look),
            "problems": look.problems,
            "alarms": alarms,
            "outbox": outbox,
            "decision": look.decision,
            **_retraining(state, look),
        }
    )


def _others(state: MonitorState, look: Looks) -> dict[str, OtherVersion]:
    return state.others if look.others is None else remembered(state.others, look.others, number_of(look.model_uri))


def _retraining(state: MonitorState, look: Looks) -> dict[str, object]:
    if look.ended is not None and state.proposal is not None and look.ended.begun == state.proposal.at:
        return {"proposal": None, "retrainings": (*state.retrainings, look.ended)[-_MOST_RETRAININGS:]}
    return {"proposal": look.proposal} if state.proposal is None and look.proposal is not None else {}


def with_ended(state: MonitorState, proposal: Proposal, outcome: Outcome, cost_usd: float | None = None) -> MonitorState:
    """The state after somebody said how a proposal ended, and at what cost; the same where it is not the one that is open."""
    if state.proposal != proposal:
        return state
    ended = Retraining(begun=proposal.at, outcome=outcome, cost_usd=cost_usd)
    return state.model_copy(update={"proposal": None, "retrainings": (*state.retrainings, ended)[-_MOST_RETRAININGS:]})


def _newest(known: Mapping[str, Finding], fresh: Iterable[Finding]) -> dict[str, Finding]:
    found = dict(known)
    for finding in sorted(fresh, key=lambda each: each.at):
        before = found.get(finding.key)
        if before is None or finding.at >= before.at:
            found[finding.key] = finding
    return found


def _remembered(findings: dict[str, Finding], fresh: Iterable[Finding], alarms: Alarms) -> dict[str, Finding]:
    """The findings without the oldest of slices that vanished, where there are many of them."""
    needed = {finding.key for finding in fresh} | {key for key, alarm in alarms.alarms.items() if alarm.is_open}
    kept = remembered_keys({key: each.at for key, each in findings.items()}, needed)
    return {key: each for key, each in findings.items() if key in kept}


def _only(alarms: Alarms, keys: set[str], now: datetime) -> Alarms:
    """The alarms without those of other keys, which end without a word."""
    ended = {
        key: alarm if key in keys or not alarm.is_open
        else alarm.model_copy(update={"status": Status.RESOLVED, "resolved_at": now})
        for key, alarm in alarms.alarms.items()
    }  # fmt: skip
    judged: dict[str, Judged] = {key: each for key, each in alarms.judged.items() if key in keys}
    return alarms.model_copy(update={"alarms": ended, "judged": judged})


def _told(outbox: Outbox, told: Iterable[Notification], monitor: Monitor) -> Outbox:
    """The outbox with what sinks are told; what waits for a sink that is declared no more is given up."""
    names = {sink.name for sink in monitor.sinks}
    waiting = tuple(each for each in outbox.waiting if each.sink in names)
    return enqueue(outbox.model_copy(update={"waiting": waiting}), told, monitor.sinks)
