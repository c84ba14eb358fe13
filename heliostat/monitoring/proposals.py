"""A proposed retraining: the facts that a commit or a pull request is made of. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import AwareDatetime, Field

from heliostat.monitoring.retraining import Outcome, Retraining
from heliostat.spec.base import Model, Name, is_empty, is_none
from heliostat.spec.findings import Aspect, Finding, State
from heliostat.spec.monitoring import Refusal
from heliostat.spec.retraining import UNTIL, moment_of


class Proposal(Model):
    """Why to train again, and what of the config would have it so."""

    application: Name
    at: AwareDatetime
    model_uri: str
    """What serves, and is to be trained anew."""
    reasons: tuple[str, ...]
    new_rows: int
    """Labelled rows of the prediction log that the version has not seen."""
    source: str = Field(default="", exclude_if=is_empty)
    """The same of the source that its rows are ingested from, in a clause."""
    window: str = ""
    """The newest that was looked at."""
    remedies: tuple[str, ...] = Field(default=(), exclude_if=is_empty)
    """What helps against what was found then, a sentence each."""
    data_parameter: str | None = Field(default=None, exclude_if=is_none)
    expected_cost_usd: float | None = Field(default=None, exclude_if=is_none)
    """What it is going to cost, where a budget is declared."""
    value: str | None = Field(default=None, exclude_if=is_none)
    """What the data parameter is to be: a day, as ISO 8601 writes it, or a moment."""
    continues: bool = Field(default=False, exclude_if=is_empty)
    """Whether the training is to continue from what serves."""
    ensemble: bool = Field(default=False, exclude_if=is_empty)
    """Whether its model is to answer together with what serves."""

    @property
    def change(self) -> tuple[tuple[str, ...], Any] | None:
        """The path in a stack's config, below `heliostat:workloads`, and its value; None where people decide."""
        if self.data_parameter is None or self.value is None:
            return None
        place = tuple(UNTIL.split(".")) if self.data_parameter == UNTIL else ("dataParameters", self.data_parameter)
        return (self.application, *place), self.value

    @property
    def changes(self) -> dict[tuple[str, ...], Any]:
        """All that changes: the data, first, and what the training continues from or is combined with."""
        if self.change is None:
            return {}
        found: dict[tuple[str, ...], Any] = dict([self.change])
        if self.continues:
            found[self.application, "training", "continueFrom"] = self.model_uri
        if self.ensemble:
            found[self.application, "training", "ensemble", "model"] = self.model_uri
        return found

    @property
    def text(self) -> str:
        """In a sentence or two."""
        told = f"A retraining is proposed since {self.at:%Y-%m-%d %H:%M} UTC: {'; '.join(self.reasons)}."
        if self.change is None:
            return f"{told} What to change for it is for people to say: its policy names no `dataParameter`."
        return f"{told} `heliostat ci retrain` opens its pull request, which sets {self.data_parameter} to {self.value}."

    @property
    def facts(self) -> tuple[str, ...]:
        """What whoever decides about it is told beside the reasons, in words."""
        found = [f"{self.model_uri} serves, and {self.new_rows:,} labelled rows are new to it"]
        if self.source:
            found.append(f"Of what its data are made of {self.source}")
        if self.expected_cost_usd is not None:
            found.append(f"The training is going to cost about {self.expected_cost_usd:.2f} USD by list, as the last one did")
        if self.continues:
            found.append(f"It continues from {self.model_uri}")
        if self.ensemble:
            found.append(f"Its model answers together with {self.model_uri}")
        return (*found, *(each.removesuffix(".") for each in self.remedies))


def until_of(newest_label: datetime | None, now: datetime) -> str:
    """The moment up to which rows are to be ingested: the end of the newest labelled day, or what of it is over.

    Without labels it is the end of yesterday. What is still to come would make of one commit other data each time.
    """
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if newest_label is None or newest_label >= now:
        return moment_of(today)
    end = newest_label.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    if end > today:
        end = newest_label.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return moment_of(min(end, now))


def ended(
    proposal: Proposal, model_uri: str, refusals: tuple[Refusal, ...], data_value: str | None = None
) -> Retraining | None:
    """How a proposed retraining ended; None where it has not. `data_value` is what the data parameter was declared to be when
    `model_uri` came."""
    if model_uri != proposal.model_uri:
        return Retraining(begun=proposal.at, outcome=Outcome.ACCEPTED)
    if any(each.at > proposal.at.timestamp() for each in refusals):
        return Retraining(begun=proposal.at, outcome=Outcome.REFUSED)
    if proposal.value is not None and data_value is not None and data_value >= proposal.value:
        # What was merged is declared and was updated, and the same version serves: nothing was trained.
        return Retraining(begun=proposal.at, outcome=Outcome.FAILED)
    return None


def judged(
    application: Name,
    refusals: tuple[Refusal, ...],
    since: datetime,
    now: datetime,
    retrainings: tuple[Retraining, ...] = (),
) -> list[Finding]:
    """Whether the newest candidate was refused, or none came; nothing where none ever was. A version that came later ends it.

    Args:
        application: Whose candidates they are.
        refusals: All of them.
        since: When the version that serves was watched first.
        now: When it is looked.
        retrainings: Those that ended.
    """
    failed = [each.begun.timestamp() for each in retrainings if each.outcome is Outcome.FAILED]
    times = [*(each.at for each in refusals), *failed]
    if not times:
        return []
    if wrong := max(times) > since.timestamp():
        text = _wrong(max(refusals, key=lambda each: each.at, default=None), max(failed, default=0.0))
    else:
        text = "a version came after the last candidate that was refused"
    state = State.BREACH if wrong else State.OK
    return [Finding(monitor=application, aspect=Aspect.RETRAINING, subject="candidate", state=state, at=now, text=text)]


def _wrong(refusal: Refusal | None, failed: float) -> str:
    """What became of the last retraining: `refusal` of its candidate, or no candidate of the one that began at `failed`."""
    if refusal is None or refusal.at < failed:
        begun = datetime.fromtimestamp(failed, UTC)
        return (
            f"no version came of the retraining that was proposed at {begun:%Y-%m-%d %H:%M} UTC, and its change is declared: "
            "the data set made the same rows of it; see whether its source has newer ones"
        )
    return f"the candidate {refusal.candidate} was refused: {'; '.join(refusal.reasons)}; see {refusal.report}"
