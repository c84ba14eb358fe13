"""Whether a model is to be trained again now: a proposal with its reasons, or why not yet. Pure.

Nothing here trains: a proposal is made a commit or a pull request by whoever asks, and the gate judges the candidate as ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime, Field

from heliostat.monitoring.new_data import NewRows
from heliostat.spec.base import Model, is_none
from heliostat.spec.findings import Finding, State
from heliostat.spec.retraining import (
    FindingTrigger,
    NewDataTrigger,
    RetrainingPolicy,
    ScheduleTrigger,
    Trigger,
    UpstreamTrigger,
)


class Outcome(StrEnum):
    """How a retraining ended."""

    RUNNING = "running"
    """It has not."""
    ACCEPTED = "accepted"
    """Its candidate serves, or may."""
    REFUSED = "refused"
    """The gate, or a person, refused it."""
    FAILED = "failed"
    """No candidate came of it."""


class Retraining(Model):
    """One that was begun."""

    begun: AwareDatetime
    outcome: Outcome
    cost_usd: float | None = Field(default=None, exclude_if=is_none)
    """What it cost, or is going to."""


class Known(Model):
    """What a decision is made of."""

    trained: AwareDatetime
    """When the training of what serves began."""
    trained_rows: int
    new_rows: int
    """Labelled rows of the prediction log that are there now and were not then."""
    source: NewRows | None = None
    """The same of the source that rows are ingested from; None where there is none that is counted."""
    upstream: dict[str, tuple[str, str]] = Field(default_factory=dict)
    """What the model was made of, by name: the version then and the one now."""
    findings: tuple[Finding, ...] = ()
    """Of the last windows, in any order."""
    history: tuple[Retraining, ...] = ()
    expected_cost_usd: float | None = None
    """What one is going to cost; None where that is not known."""
    data_value: str | None = None
    """What the policy's `data_parameter` is by now; None where nobody knows, or another stack trains."""
    next_data_value: str | None = None
    """What it would become; None where nobody knows."""


class Decision(Model):
    """Whether to train again."""

    proposed: bool
    reasons: tuple[str, ...]
    """Why it is wanted; empty where nothing asks for it."""
    held_back: tuple[str, ...] = ()
    """Why it is not proposed though it is wanted, all of it."""
    earliest: AwareDatetime | None = Field(default=None, exclude_if=is_none)
    """When what holds it back by the clock is over."""

    @property
    def text(self) -> str:
        """In a sentence or two."""
        if not self.reasons:
            return "Nothing asks for a retraining."
        why = "; ".join(self.reasons)
        if self.proposed:
            return f"A retraining is proposed: {why}."
        when = f" Not before {self.earliest:%Y-%m-%d %H:%M} UTC." if self.earliest else ""
        return f"A retraining is wanted, and not proposed yet: {why}. Held back: {'; '.join(self.held_back)}.{when}"


def decide(policy: RetrainingPolicy, known: Known, now: datetime) -> Decision:
    """Whether a retraining is to be proposed now."""
    reasons = tuple(reason for trigger in policy.triggers if (reason := _reason(trigger, known, now)))
    if not reasons:
        return Decision(proposed=False, reasons=())
    waits = dict(_waits(policy, known, now))
    others = tuple(_others(policy, known, now))
    later = [until for until in waits.values() if until is not None]
    earliest = max(later) if later else None
    held = (*waits, *others)
    return Decision(proposed=not held, reasons=reasons, held_back=held, earliest=earliest)


def _reason(trigger: Trigger, known: Known, now: datetime) -> str:
    match trigger:
        case ScheduleTrigger():
            return _scheduled(trigger, known, now)
        case NewDataTrigger():
            return _new_data(trigger, known)
        case FindingTrigger():
            return _found(trigger, known)
        case UpstreamTrigger():
            return _upstream(trigger, known)


def _scheduled(trigger: ScheduleTrigger, known: Known, now: datetime) -> str:
    from cronsim import CronSim

    since = max([known.trained, *(each.begun for each in known.history)])
    # Backwards from the next minute, the first is the newest up to now.
    last = next(CronSim(trigger.schedule, now.replace(second=0, microsecond=0) + timedelta(minutes=1), reverse=True), None)
    if last is None or not since < last <= now:
        return ""
    return f"it was due at {last:%Y-%m-%d %H:%M} UTC by its schedule, {trigger.schedule}"


def _new_data(trigger: NewDataTrigger, known: Known) -> str:
    if trigger.rows is not None:
        enough = trigger.rows
        told = f"{enough:,}"
    else:
        enough = max(1, round((trigger.share or 0) * known.trained_rows))
        told = f"{enough:,}, {trigger.share:.0%} of what it was trained on,"
    if known.new_rows >= enough:
        return f"{known.new_rows:,} labelled rows are new; {told} are enough"
    source = known.source
    return f"{source.text}; {told} are enough" if source is not None and (source.rows or 0) >= enough else ""


def _found(trigger: FindingTrigger, known: Known) -> str:
    """The keys that were breached in as many windows one after another; a window that cannot be told interrupts nothing."""
    by_key: dict[str, list[Finding]] = {}
    for finding in known.findings:
        if finding.aspect in trigger.aspects and finding.state is not State.UNKNOWN and finding.at > known.trained:
            by_key.setdefault(finding.key, []).append(finding)
    told = []
    for key, findings in sorted(by_key.items()):
        newest = _by_window(findings)[-trigger.windows :]
        wrong = [each for each in newest if each.state is State.BREACH and each.severity.rank >= trigger.least_severity.rank]
        if len(wrong) == trigger.windows:
            where = "the newest window" if trigger.windows == 1 else f"{trigger.windows} windows one after another, last"
            told.append(f"{key} in {where}: {wrong[-1].text}")
    return "; ".join(told)


def _by_window(findings: Iterable[Finding]) -> list[Finding]:
    """One of each window, what was said last, the oldest window first."""
    return [each for _, each in sorted({finding.at: finding for finding in findings}.items())]


def _upstream(trigger: UpstreamTrigger, known: Known) -> str:
    names = trigger.sources or tuple(known.upstream)
    changed = {name: known.upstream[name] for name in names if name in known.upstream}
    return "; ".join(f"{name} is {new}, and it was made of {old}" for name, (old, new) in changed.items() if old != new)


def _waits(policy: RetrainingPolicy, known: Known, now: datetime) -> Iterable[tuple[str, datetime | None]]:
    """What holds a retraining back by the clock, and until when."""
    history = sorted(known.history, key=lambda each: each.begun)
    if any(each.outcome is Outcome.RUNNING for each in history):
        yield "one is running", None
    ended = [each for each in history if each.outcome is not Outcome.RUNNING]
    if ended:
        last = ended[-1]
        refused = last.outcome in (Outcome.REFUSED, Outcome.FAILED)
        seconds = policy.refused_cooldown_seconds if refused else policy.cooldown_seconds
        until = last.begun + timedelta(seconds=seconds)
        if now < until:
            yield f"the last one, of {last.begun:%Y-%m-%d %H:%M} UTC, was {last.outcome}: its cool-down is not over", until
    period = timedelta(seconds=policy.period_seconds)
    recent = [each for each in history if each.begun > now - period]
    if len(recent) >= policy.most_in_period:
        until = recent[-policy.most_in_period].begun + period
        yield f"{len(recent)} began in the last {policy.period_seconds / 86_400:g} days, {policy.most_in_period} may", until


def _others(policy: RetrainingPolicy, known: Known, now: datetime) -> Iterable[str]:
    in_source = known.source.rows or 0 if known.source is not None else 0
    if max(known.new_rows, in_source) < policy.least_new_rows:
        of_source = f", and {known.source.text}" if known.source is not None else ""
        yield f"{known.new_rows:,} labelled rows are new{of_source}: fewer than the {policy.least_new_rows:,} that it takes"
    elif policy.least_new_rows and _has_no_other_rows(known):
        place = known.source.place if known.source is not None else ""
        yield f"no row of {place} is new, and of that its data are made: the same rows would come out"
    if policy.data_parameter and known.data_value and known.next_data_value and known.next_data_value <= known.data_value:
        yield (
            f"{policy.data_parameter} is {known.data_value} already, and would be {known.next_data_value}: the same data "
            "would come out"
        )
    if policy.budget_usd is None:
        return
    expected = known.expected_cost_usd
    if expected is None:
        yield (
            "what it costs is not known, and a budget is declared: there is no report of how long the training of what serves "
            "took; leave `budgetUsd` out until another version is trained"
        )
        return
    since = now - timedelta(seconds=policy.period_seconds)
    # Of one that was before the budget nobody noted what it cost: it counts as another would.
    spent = sum(expected if each.cost_usd is None else each.cost_usd for each in known.history if each.begun > since)
    if spent + expected > policy.budget_usd:
        yield (
            f"{spent:.2f} USD were spent in the period and another {expected:.2f} would be more than the "
            f"budget of {policy.budget_usd:.2f}"
        )


def _has_no_other_rows(known: Known) -> bool:
    """Whether the source of the data is known to have no new rows, and what they are made with is what it was."""
    source = known.source
    return source is not None and source.rows == 0 and not source.about and all(a == b for a, b in known.upstream.values())


def upstream_of(then: Mapping[str, str], now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """What a model was made of, with both versions; what is gone by now has none."""
    return {name: (version, now.get(name, "gone")) for name, version in then.items()}
