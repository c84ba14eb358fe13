"""What monitors find, and the words for it that reports, alarms, retrainings and people share. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AwareDatetime, Field

from heliostat.spec.base import Model, Name, is_empty, is_none


class Aspect(StrEnum):
    """What of a model or its data a finding is about."""

    QUALITY = "quality"
    """A metric of the task, on labels that came."""
    PREDICTION_BIAS = "prediction-bias"
    """The mean prediction beside the mean label."""
    CALIBRATION = "calibration"
    FAIRNESS = "fairness"
    """Of rates between groups of people."""
    ESTIMATE = "estimate"
    """A metric that is estimated without labels."""
    CONCEPT_DRIFT = "concept-drift"
    DRIFT = "drift"
    """Of an input's distribution."""
    PREDICTION_DRIFT = "prediction-drift"
    """Of the predictions' distribution."""
    SKEW = "skew"
    """Between what was trained on and what is served on."""
    FRAGILITY = "fragility"
    FEEDBACK = "feedback"
    """That answers move the model's own inputs."""
    RECENCY = "recency"
    LABELS = "labels"
    """Those that came, those that did not, and those that fit nothing."""
    LOG = "log"
    """The prediction log itself: files, clocks, rows."""
    RETRAINING = "retraining"
    """A candidate that was refused, or a budget that is used up."""


class Severity(StrEnum):
    """How much a finding matters to whoever is on call."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for the least; text compares by letters."""
        return _RANKS[self]


_RANKS: Final = {Severity.INFO: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}


class State(StrEnum):
    """How a finding ends."""

    OK = "ok"
    BREACH = "breach"
    UNKNOWN = "unknown"
    """It cannot be told, for the reason in the text. An alarm neither begins nor ends by it."""


class Finding(Model):
    """One thing that was looked at in one window."""

    monitor: Name
    """Of the workload's monitors."""
    aspect: Aspect
    subject: Annotated[str, Field(min_length=1)]
    """A metric, a column, or a part of either: `roc_auc`, `roc_auc[carrier=UA]`."""
    state: State
    severity: Severity = Severity.WARNING
    """Of a breach."""
    window: str = Field(default="", exclude_if=is_empty)
    """The window's name; empty where it is about no window."""
    at: AwareDatetime
    """The window's end, or when it was looked at."""
    value: float | None = Field(default=None, exclude_if=is_none)
    limit: float | None = Field(default=None, exclude_if=is_none)
    """The one that `value` is beyond, or next to."""
    text: str
    """What was found, with the value, the limit and what to do."""

    @property
    def key(self) -> str:
        """What makes two findings ones of the same: an alarm is known by it."""
        return f"{self.monitor}/{self.aspect}/{self.subject}"


def newest_first(findings: tuple[Finding, ...]) -> list[Finding]:
    """The worst of the newest first: what `up` shows one line of."""
    order = {State.BREACH: 0, State.UNKNOWN: 1, State.OK: 2}

    def rank(finding: Finding) -> tuple[datetime, int, int]:
        return finding.at, -order[finding.state], finding.severity.rank

    return sorted(findings, key=rank, reverse=True)
