"""A proposed retraining: the facts that a commit or a pull request is made of. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from pydantic import AwareDatetime, Field

from heliostat.monitoring.retraining import Outcome, Retraining
from heliostat.spec.base import Model, Name, is_empty, is_none
from heliostat.spec.findings import Aspect, Finding, State
from heliostat.spec.monitoring import Refusal
from heliostat.spec.retraining import UNTIL

_MOMENT: Final = "%Y-%m-%dT%H:%M:%SZ"


class Proposal(Model):
    """Why to train again, and what of the config would have it so."""

    application: Name
    at: AwareDatetime
    model_uri: str
    """What serves, and is to be trained anew."""
    reasons: tuple[str, ...]
    new_rows: int
    """Labelled rows that the version has not seen."""
    window: str = ""
    """The newest that was looked at."""
    data_parameter: str | None = Field(default=None, exclude_if=is_none)
    expected_cost_usd: float | None = Field(default=None, exclude_if=is_none)
    """What it is going to cost, where a budget is declared."""
    value: str | None = Field(default=None, exclude_if=is_none)
    """What the data parameter is to be: a day, as ISO 8601 writes it, or a moment."""
    continues: bool = Field(default=False, exclude_if=is_empty)
    """Whether the training is to continue from what serves."""

    @property
    def change(self) -> tuple[tuple[str, ...], Any] | None:
        """The path in a stack's config, below `heliostat:workloads`, and its value; None where people decide."""
        if self.data_parameter is None or self.value is None:
            return None
        place = tuple(UNTIL.split(".")) if self.data_parameter == UNTIL else ("dataParameters", self.data_parameter)
        return (self.application, *place), self.value

    @property
    def changes(self) -> dict[tuple[str, ...], Any]:
        """All that changes: the data, first, and what the training continues from."""
        if self.change is None:
            return {}
        further = {(self.application, "training", "continueFrom"): self.model_uri} if self.continues else {}
        return dict([self.change]) | further

    @property
    def title(self) -> str:
        """One line: a commit's, a pull request's."""
        until = f" on data until {self.value}" if self.value else ""
        return f"Train {self.application} again{until}"

    @property
    def text(self) -> str:
        """The body of a commit or a pull request."""
        lines = [f"{self.model_uri} serves, and its monitor proposes another training ({self.at:%Y-%m-%d %H:%M} UTC):", ""]
        lines += [f"- {reason}" for reason in self.reasons]
        lines += ["", f"{self.new_rows:,} labelled rows are new to it."]
        if self.expected_cost_usd is not None:
            lines += [f"It is going to cost about {self.expected_cost_usd:.2f} USD by list, as the last one did."]
        lines += [f"It continues from {self.model_uri}."] if self.continues else []
        lines += ["The gate judges the candidate as ever, and a rollout brings it to clients."]
        return "\n".join(lines)


def until_of(newest_label: datetime | None, now: datetime) -> str:
    """The moment up to which rows are to be ingested: the end of the newest labelled day, or what of it is over.

    Without labels it is the end of yesterday. What is still to come would make of one commit other data each time.
    """
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if newest_label is None or newest_label >= now:
        return f"{today:{_MOMENT}}"
    end = newest_label.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    if end > today:
        end = newest_label.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return f"{min(end, now):{_MOMENT}}"


def ended(proposal: Proposal, model_uri: str, refusals: tuple[Refusal, ...]) -> Retraining | None:
    """How a proposed retraining ended; None where it has not."""
    if model_uri != proposal.model_uri:
        return Retraining(begun=proposal.at, outcome=Outcome.ACCEPTED)
    if any(each.at > proposal.at.timestamp() for each in refusals):
        return Retraining(begun=proposal.at, outcome=Outcome.REFUSED)
    return None


def judged(application: Name, refusals: tuple[Refusal, ...], since: datetime, now: datetime) -> list[Finding]:
    """Whether the newest candidate was refused; nothing where none ever was. A version that came later ends it.

    Args:
        application: Whose candidates they are.
        refusals: All of them.
        since: When the version that serves was watched first.
        now: When it is looked.
    """
    if not refusals:
        return []
    last = max(refusals, key=lambda each: each.at)
    wrong = last.at > since.timestamp()
    told = f"the candidate {last.candidate} was refused: {'; '.join(last.reasons)}"
    text = f"{told}; see {last.report}" if wrong else "a version came after the last candidate that was refused"
    state = State.BREACH if wrong else State.OK
    return [Finding(monitor=application, aspect=Aspect.RETRAINING, subject="candidate", state=state, at=now, text=text)]
