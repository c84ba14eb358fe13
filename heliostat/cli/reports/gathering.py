"""What a page about a workload is made of, read from the object store: windows, the state, references, the ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import ValidationError

from heliostat.cli.operators import monitors
from heliostat.cli.reports.fairness import Judged
from heliostat.cli.rollouts import ledger
from heliostat.cli.rollouts.messages import moment
from heliostat.controller.audit import newest
from heliostat.monitoring.looking import WindowReport
from heliostat.monitoring.proposals import Proposal
from heliostat.monitoring.reference import ReferenceAbout
from heliostat.monitoring.state import MonitorState
from heliostat.rollout.limits import figure_of
from heliostat.spec.analysis import CheckResult
from heliostat.spec.audit import AuditEvent
from heliostat.spec.ledger import Entry, EntryKind
from heliostat.spec.monitoring import newest_windows, top
from heliostat.systems import gate_notes
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectMissingError, ObjectStore

_MOST_WINDOWS: Final = 120
_MOST_ENTRIES: Final = 50
_MOST_AUDITED: Final = 500
_SAID: Final = {
    "rollout.approve": "approved",
    "rollout.abort": "aborted",
    "application.rollback": "went back",
}
_NOTHING: Final = "\N{EN DASH}"


@dataclass(frozen=True)
class Gathered:
    """All of it, as far as it is there."""

    name: str
    state: MonitorState
    windows: tuple[WindowReport, ...] = ()
    """The oldest first."""
    reference: ReferenceAbout | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    """The manifest of the data that what serves was trained and tested on."""
    rollouts: tuple[tuple[str, ...], ...] = ()
    """Number, when, what, by which strategy, how it ended, with which figures; the newest first."""
    serves: str = ""
    """The versions that have traffic by the ledger; empty where none has."""
    people: tuple[tuple[str, str, str, str], ...] = ()
    """When, who, what, of what and why: what people said to rollouts; the newest first."""
    trainings: tuple[tuple[str, str, str], ...] = ()
    """When, what, why; the newest first."""
    judged: tuple[Judged, ...] = ()
    """How candidates treat groups of people, by the gate; the newest first."""


def gathered(store: ObjectStore, name: str) -> Gathered:
    """What is known of a workload.

    Raises:
        PermanentError: nothing is: it was never watched nor rolled out.
        RetryableError: the store does not answer.
    """
    state = monitors.read(store, name)
    entries = sorted(ledger.read(store, name, _MOST_ENTRIES).entries, key=lambda entry: entry.number, reverse=True)
    rollouts = _rollouts(entries)
    if state.looked_at is None and not rollouts:
        raise PermanentError(f"nothing is known of {name}: it was never rolled out, and no monitor looked at it")
    reference = _reference(store, name, state)
    return Gathered(
        name=name,
        state=state,
        windows=_windows(store, name),
        reference=reference,
        data=_data(store, name, reference),
        rollouts=rollouts,
        serves=_serves(entries[0]) if entries else "",
        people=_people(store, name),
        trainings=_trainings(store, name, state),
        judged=_judged(store, name),
    )


def _windows(store: ObjectStore, name: str) -> tuple[WindowReport, ...]:
    found = []
    for key in newest_windows((info.key for info in store.list(f"{top(name)}windows/")), _MOST_WINDOWS):
        try:
            found.append(WindowReport.model_validate_json(store.get(key)))
        except (ObjectMissingError, ValidationError):  # of another release
            continue
    first = datetime.min.replace(tzinfo=UTC)
    return tuple(sorted(found, key=lambda report: report.end or first)[-_MOST_WINDOWS:])


def _reference(store: ObjectStore, name: str, state: MonitorState) -> ReferenceAbout | None:
    if not state.reference:
        return None
    try:
        return ReferenceAbout.model_validate_json(store.get(f"{top(name)}references/{state.reference}/about.json"))
    except (ObjectMissingError, ValidationError):
        return None


def _data(store: ObjectStore, name: str, reference: ReferenceAbout | None) -> dict[str, Any]:
    if reference is None or reference.dataset_digest is None:
        return {}
    # An environment's application is called after it too, and its data set after the workload.
    for workload in (name, name.rpartition("-")[0] or name):
        try:
            found: dict[str, Any] = json.loads(store.get(f"datasets/{workload}/{reference.dataset_digest}/manifest.json"))
        except ObjectMissingError:
            continue
        return found
    return {}


def _serves(entry: Entry) -> str:
    shares = [(weight, entry.known[digest].version.label) for digest, weight in entry.weights.items() if digest in entry.known]
    return ", ".join(
        label if weight == 1 else f"{weight:.0%} {label}" for weight, label in sorted(shares, reverse=True) if weight
    )


def _rollouts(entries: Sequence[Entry]) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (str(line.number), moment(line.at), line.what, line.strategy, line.ended or _NOTHING, _figures(entry) or _NOTHING)
        for line, entry in zip(ledger.lines(entries), entries, strict=True)
    )


def _figures(entry: Entry) -> str:
    """What the checks of a rollout found, with its end; they are the same in its entries before."""
    if entry.kind is not EntryKind.END:
        return ""
    return "; ".join(f"step {result.step + 1}: {_check(each)}" for result in entry.analyses for each in result.findings)


def _check(each: CheckResult) -> str:
    if each.candidate is None:
        return f"{each.check} {each.verdict.value}{f', {each.text}' if each.text else ''}"
    beside = f", what served had {figure_of(each, each.serving)}" if each.serving is not None else ""
    return f"{each.check} {figure_of(each, each.candidate)}{beside} ({each.limit})"


def _people(store: ObjectStore, name: str) -> tuple[tuple[str, str, str, str], ...]:
    """What the audit log has of rollouts: approvals, aborts and ways back."""
    entries = [each for each in newest(store, _MOST_AUDITED) if each.subject == name and each.action in _SAID]
    return tuple(
        (moment(each.at), each.by, _SAID[each.action], " - ".join(filter(None, (_step(each), each.reason))))
        for each in entries
    )


def _step(each: AuditEvent) -> str:
    """The step of a rollout that a word was about, from 1."""
    number, step, target = (each.before.get(key) for key in ("rollout", "step", "target"))
    if number is None:
        return ""
    return f"rollout {number}" + (f", step {step + 1}" if isinstance(step, int) else "") + (f", to {target}" if target else "")


def _trainings(store: ObjectStore, name: str, state: MonitorState) -> tuple[tuple[str, str, str], ...]:
    """Proposals, and what the gate said of candidates."""
    found: list[tuple[datetime, str, str]] = []
    ended = {each.begun: each.outcome.value for each in state.retrainings}
    acceptances = list(gate_notes.accepted(store, name))

    def accepted_since(moment: datetime) -> bool:
        return any(each.at >= moment.timestamp() for each in acceptances)

    for info in store.list(f"{top(name)}proposals/"):
        try:
            proposal = Proposal.model_validate_json(store.get(info.key))
        except (ObjectMissingError, ValidationError):
            continue
        how = ended.get(proposal.at) or ("accepted, and does not serve yet" if accepted_since(proposal.at) else "open")
        found.append((proposal.at, f"proposed, {how}", "; ".join(proposal.reasons)))
    for refusal in gate_notes.refused(store, name):
        at = datetime.fromtimestamp(refusal.at, UTC)
        found.append((at, f"{refusal.candidate} refused", "; ".join(refusal.reasons)))
    for acceptance in acceptances:
        found.append((datetime.fromtimestamp(acceptance.at, UTC), f"{acceptance.version} accepted", acceptance.summary))
    return tuple((f"{at:%Y-%m-%d %H:%M}", what, why) for at, what, why in sorted(found, reverse=True))


def _judged(store: ObjectStore, name: str) -> tuple[Judged, ...]:
    """What the gate measured of groups, where it asks."""
    notes = [(each.at, f"{each.candidate} refused", each.by_group) for each in gate_notes.refused(store, name)]
    notes += [(each.at, f"{each.version} accepted", each.by_group) for each in gate_notes.accepted(store, name)]
    newest = sorted(notes, key=lambda each: -each[0])
    return tuple(Judged(what, f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}", checks) for at, what, checks in newest if checks)
