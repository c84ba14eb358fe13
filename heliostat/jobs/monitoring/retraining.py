"""Whether another training is wanted, by what monitors found; and what became of the one that was proposed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from heliostat.jobs.monitoring.asked import Looking
from heliostat.jobs.monitoring.costs import Costs
from heliostat.jobs.monitoring.upstream import upstream
from heliostat.jobs.monitoring.windows import kept_reports
from heliostat.jobs.new_rows import new_rows as new_rows_of
from heliostat.monitoring.looking import WindowReport
from heliostat.monitoring.new_data import NewRows
from heliostat.monitoring.proposals import Proposal, ended, judged, until_of
from heliostat.monitoring.remedies import remedies
from heliostat.monitoring.retraining import Decision, Known, Outcome, Retraining, decide
from heliostat.monitoring.state import MonitorState
from heliostat.spec.findings import Finding
from heliostat.spec.ledger import Entry, EntryKind, key_of, place_of, prefix_of
from heliostat.spec.monitoring import MonitorSpecification, Refusal, refusals
from heliostat.spec.retraining import UNTIL, FindingTrigger, RetrainingPolicy
from heliostat.spec.rollouts import Phase
from heliostat.systems import gate_notes
from heliostat.systems.objects import ObjectMissingError, ObjectStore

_SPARE: Final = 3
"""Windows beyond those that a trigger asks for: of some nothing can be told."""


def rolled_back(store: ObjectStore, name: str, since: datetime) -> tuple[Refusal, ...]:
    """The models that rollouts since a moment went back from: an analysis, or a person, turned them down."""
    found = []
    places = (place_of(info.key) for info in store.list(prefix_of(name)))
    for number in sorted((place[1] for place in places if place is not None), reverse=True):
        try:
            entry = Entry.model_validate_json(store.get(key_of(name, number)))
        except (ObjectMissingError, ValidationError):
            continue
        if entry.at <= since.timestamp():
            break
        if entry.kind is EntryKind.END and entry.phase is Phase.FAILED and _is_another_model(entry):
            why = f"rollout {entry.rollout} went back: {(entry.error or 'nobody said why').splitlines()[0]}"
            report = store.uri(key_of(name, number))
            found.append(Refusal(at=entry.at, candidate=entry.target.version.model_uri, reasons=(why,), report=report))
    return tuple(found)


def _is_another_model(entry: Entry) -> bool:
    return entry.previous is not None and entry.target.version.model_uri != entry.previous.version.model_uri


def _newest(state: MonitorState, reports: Sequence[WindowReport]) -> list[Finding]:
    """The newest finding of each key, those of this look among them."""
    found = [*state.findings.values(), *(each for report in reports for each in report.findings)]
    return [*{each.key: each for each in sorted(found, key=lambda each: each.at)}.values()]


@dataclass(frozen=True)
class Evidence:
    """What a look found that a decision on retraining is by."""

    reports: Sequence[WindowReport]
    new_rows: int
    """Labelled rows that are newer than what the version was trained on."""
    newest_label: datetime | None
    newest_window: str


def considered(asked: Looking, state: MonitorState, evidence: Evidence) -> tuple[dict[str, Any], list[Finding]]:
    """What a look says of retraining (`decision`, `proposal`, `ended`, `source` of `Looks`), and its findings."""
    specification, store, now = asked.specification, asked.store, asked.now
    since = asked.reference.about.since
    candidates = (*gate_notes.refused(store, specification.name), *rolled_back(store, specification.name, since))
    policy, costs = specification.monitor.retraining, Costs(specification, store)
    over = _ended(state, specification, candidates)
    if over is not None and state.proposal is not None and policy is not None:
        over = over.model_copy(update={"cost_usd": _cost(costs, over, state.proposal, specification, store)})
    history = (*state.retrainings, *([over] if over is not None else []))
    findings = judged(specification.name, candidates, since, now, history)
    if policy is None:
        return {"ended": over}, findings
    if state.proposal is not None and over is None:
        running = state.proposal.expected_cost_usd
        history = (*history, Retraining(begun=state.proposal.at, outcome=Outcome.RUNNING, cost_usd=running))
    changed, problems = upstream(specification, store)
    known = _known(asked, policy, evidence, history, changed, costs.of_version(specification.model_uri))
    decision = decide(policy, known, now)
    told: dict[str, Any] = {"decision": decision, "ended": over, "problems": tuple(problems), "source": known.source}
    if decision.proposed:
        told["proposal"] = _proposal(asked, policy, state, evidence, known, decision)
    return told, findings


def _known(
    asked: Looking, policy: RetrainingPolicy, evidence: Evidence, history: tuple[Retraining, ...],
    changed: dict[str, tuple[str, str]], expected_cost_usd: float | None,
) -> Known:  # fmt: skip
    """All that a decision is by."""
    specification, about = asked.specification, asked.reference.about
    windows = max((each.windows for each in policy.triggers if isinstance(each, FindingTrigger)), default=0)
    source = new_rows_of(specification, asked.store)
    recent = _recent(asked.store, specification.name, evidence.reports, windows + _SPARE if windows else 0)
    return Known(
        trained=about.since,
        trained_rows=about.trained_rows,
        new_rows=evidence.new_rows,
        source=source,
        upstream=changed,
        expected_cost_usd=expected_cost_usd,
        findings=tuple(recent),
        history=history,
        data_value=specification.data_value,
        next_data_value=_value(policy, evidence.newest_label, source, asked.now),
    )


def _proposal(
    asked: Looking, policy: RetrainingPolicy, state: MonitorState, evidence: Evidence, known: Known, decision: Decision
) -> Proposal:
    """The retraining that was decided on."""
    source, value = known.source, known.next_data_value
    return Proposal(
        application=asked.specification.name,
        at=asked.now,
        model_uri=asked.specification.model_uri,
        reasons=decision.reasons,
        new_rows=evidence.new_rows,
        source=source.text if source is not None and source.rows else "",
        window=evidence.newest_window,
        remedies=remedies(_newest(state, evidence.reports)),
        expected_cost_usd=known.expected_cost_usd,
        data_parameter=policy.data_parameter if value is not None else None,
        value=value,
        continues=policy.continues and value is not None,
        ensemble=policy.ensemble and value is not None,
    )


def _value(policy: RetrainingPolicy, newest_label: datetime | None, source: NewRows | None, now: datetime) -> str | None:
    """What the data parameter is to be; None where there is none, or nobody knows. Where rows of the source are new, whenever
    they happened, it takes them up to the end of yesterday at least."""
    if policy.data_parameter == UNTIL:
        of_log = until_of(newest_label, now)
        return max(of_log, until_of(None, now)) if source is not None and source.rows else of_log
    return f"{newest_label:%Y-%m-%d}" if policy.data_parameter is not None and newest_label is not None else None


def _ended(state: MonitorState, specification: MonitorSpecification, candidates: tuple[Refusal, ...]) -> Retraining | None:
    if state.proposal is None:
        return None
    return ended(state.proposal, specification.model_uri, candidates, specification.data_value)


def _cost(
    costs: Costs, over: Retraining, proposal: Proposal, specification: MonitorSpecification, store: ObjectStore
) -> float | None:
    """What a retraining that ended did cost; what was expected of it where nobody knows."""
    found = None
    if over.outcome is Outcome.FAILED:
        return 0.0  # nothing was trained
    if over.outcome is Outcome.ACCEPTED:
        found = costs.of_version(specification.model_uri)
    else:
        runs = [info for info in store.list(refusals(specification.name)) if info.modified > proposal.at]
        newest = max(runs, key=lambda info: info.modified, default=None)
        if newest is not None:
            found = costs.of_run(newest.key.rpartition("/")[2].removesuffix(".json"))
    return found if found is not None else proposal.expected_cost_usd


def _recent(store: ObjectStore, name: str, reports: Sequence[WindowReport], most: int) -> Iterable[Finding]:
    """The findings of the last windows: those of this look, and those that are kept."""
    fresh = {report.window: report for report in reports}
    for report in kept_reports(store, name, most):
        fresh.setdefault(report.window, report)
    for report in fresh.values():
        yield from report.findings
