"""What a candidate is held against while it comes into place: checks with their limits, and what they found.

A limit is absolute, or relative to the version that serves, or both; a check without one is refused. `Figures` is what the
analysis runner measured, `Finding` what a check made of it; the verdict itself is a pure function in `heliostat.rollout`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ModelWrapValidatorHandler, model_validator
from pydantic_core import PydanticCustomError

from heliostat.spec.base import EntryPoint, Model, Name, is_none
from heliostat.spec.latencies import Counts
from heliostat.spec.metrics import MetricName
from heliostat.spec.mistakes import beside, not_one_of
from heliostat.spec.problem import Problem

Quantile = Annotated[float, Field(gt=0, lt=1)]
Unit = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


def _known(figure: Any) -> Any:
    return None if isinstance(figure, float) and not math.isfinite(figure) else figure


Measured = Annotated[float | None, BeforeValidator(_known)]
"""What was measured; None where it came to no number, as where something is divided by nothing."""


class SuccessRate(Model):
    """The share of the candidate's predictions that end with an answer; pages and what its contract rejects are none."""

    kind: Literal["success-rate"] = "success-rate"
    at_least: Unit | None = None
    """The smallest share of predictions that have to be answered, 0 to 1."""
    margin: Unit | None = None
    """How much lower than the serving version's it may be."""

    @model_validator(mode="wrap")
    @classmethod
    def _limited(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return beside(given, handler, *_unlimited(cls, given, "at_least", "margin"))


class RejectionRate(Model):
    """The share of the candidate's requests for predictions that its contract rejects: with 400, 413, 415 or 422."""

    kind: Literal["rejection-rate"] = "rejection-rate"
    at_most: Unit | None = None
    """The largest share of requests that the contract may refuse, 0 to 1."""
    margin: Unit | None = None
    """How much higher than the serving version's it may be."""

    @model_validator(mode="wrap")
    @classmethod
    def _limited(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return beside(given, handler, *_unlimited(cls, given, "at_most", "margin"))


class Latency(Model):
    """A quantile of the candidate's time to predict, as the traffic plane measures it; one that failed took for ever."""

    kind: Literal["latency"] = "latency"
    quantile: Quantile = 0.99
    """Of the answers' times: 0.99 is what 99 of 100 answers keep."""
    at_most_ms: Positive | None = None
    """The candidate fails above this, whatever the serving version takes."""
    times: Annotated[float, Field(ge=1)] | None = None
    """How many times the serving version's it may be."""

    @model_validator(mode="wrap")
    @classmethod
    def _limited(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return beside(given, handler, *_unlimited(cls, given, "at_most_ms", "times"))


class Disagreement(Model):
    """The share of the same rows to which the two versions give different answers."""

    kind: Literal["disagreement"] = "disagreement"
    at_most: Unit
    """The largest share of answers that may differ, 0 to 1."""
    field: str | None = None
    """The field of the answer that is compared; by default the whole answer."""
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """How far numbers may be apart and still agree."""


class PredictionDistance(Model):
    """How far apart the distributions of the two versions' answers to the same rows are."""

    kind: Literal["prediction-distance"] = "prediction-distance"
    field: str
    """A numeric field of the answer."""
    distance: Literal["kolmogorov-smirnov", "wasserstein", "jensen-shannon", "psi"] = "kolmogorov-smirnov"
    """SciPy's; Jensen-Shannon is the distance (the root of the divergence) to base 2, the population stability index has
    ten bins of equal weight on what serves."""
    at_most: Positive
    """The largest distance that passes, in the unit of `distance`."""


class ModelMetric(Model):
    """The model's own metric on the rows whose truth is known by now."""

    kind: Literal["model-metric"] = "model-metric"
    metric: MetricName
    """One of the workload's task, or of its own; computed on the answers and the labels that came for them."""
    field: str
    """The field of the answer that holds the prediction: a number, or for tasks whose prediction is several of them a list in
    their order, or an object with one for each name. For Multiclass it may be the class itself, where the metric needs no
    more."""
    limit: float | None = None
    """The worst value that is good enough; the metric knows which direction is better."""
    margin: Annotated[float, Field(ge=0)] | None = None
    """How much worse than the serving version's on the same rows it may be."""
    of: Problem | None = Field(default=None, exclude_if=is_none)
    """The workload's task, and its own metric where it is that one: the program fills it in from the declaration."""

    @model_validator(mode="wrap")
    @classmethod
    def _limited(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return beside(given, handler, *_unlimited(cls, given, "limit", "margin"))

    @property
    def higher_is_better(self) -> bool:
        """Which direction of the metric is better."""
        return (self.of or Problem()).higher_is_better(self.metric)


class CustomCheck(Model):
    """A check of one's own: a function of the workload or a command, run beside the traffic with a copy of the code."""

    kind: Literal["custom"] = "custom"
    name: Name
    """What it is called in reports and errors."""
    function: EntryPoint | None = None
    """`(heliostat.ml.checks.Candidate) -> bool | float | heliostat.ml.checks.Outcome`."""
    command: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Exit code 0 passes, 1 fails, any other is inconclusive; a last line on stdout that is a number is the figure, and with a
    limit that decides in place of the exit code 0.
    HELIOSTAT_CANDIDATE_URL and HELIOSTAT_SERVING_URL (empty where nothing serves) say where the versions answer."""
    at_least: float | None = None
    """The candidate fails below this."""
    at_most: float | None = None
    """The candidate fails above this."""
    timeout_seconds: Positive = 60.0
    """How long one run of it may take; then it is inconclusive."""

    @model_validator(mode="wrap")
    @classmethod
    def _one_way(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return beside(given, handler, *not_one_of(given, "a check of one's own needs", "function", "command"))


Check = Annotated[
    SuccessRate | RejectionRate | Latency | Disagreement | PredictionDistance | ModelMetric | CustomCheck,
    Field(discriminator="kind"),
]


class OnInconclusive(StrEnum):
    """What follows where there was not enough to judge by."""

    ROLLBACK = "rollback"
    WAIT = "wait"
    """For a person to approve or abort."""


class Analysis(Model):
    """Checks that a candidate has to pass."""

    checks: Annotated[tuple[Check, ...], Field(min_length=1)]
    """All of them have to pass."""
    seconds: Annotated[float, Field(gt=0, le=7 * 86400)] = 30.0
    """How long figures are gathered until they may pass. A failure that is beyond chance does not wait for it."""
    min_requests: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    """Predictions that a verdict needs, of each version that a check compares; what the contract rejects counts for the
    rejection rate alone. Where clients send fewer, recent requests, then those of the prediction log, then the contract's
    golden requests are replayed to make them up."""
    on_inconclusive: OnInconclusive = OnInconclusive.ROLLBACK
    """What follows where the checks say neither yes nor no."""


class Verdict(StrEnum):
    """What a check, or all of an analysis, came to."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Source(StrEnum):
    """Which requests a figure was made of."""

    TRAFFIC = "traffic"
    """Clients' own, as the traffic plane counted them."""
    SHADOW = "shadow"
    """Copies of clients' requests, while they come."""
    RECENT = "recent"
    """Clients' last requests before."""
    PREDICTION_LOG = "prediction-log"
    GOLDEN = "golden"
    """The contract's golden requests and examples."""
    OWN = "own"
    """Whatever a custom check looked at."""


class CheckResult(Model):
    """What one check came to."""

    check: str
    """The check in words, e.g. `latency p99`."""
    verdict: Verdict
    candidate: Measured = None
    serving: Measured = None
    limit: str
    """In words, e.g. `at most 1.5 times what serves`."""
    requests: int = 0
    source: Source | None = None
    text: str = ""
    """Why, where the numbers alone do not say it."""


class AnalysisResult(Model):
    """What an analysis came to, or stands at."""

    step: int
    """Of the rollout, from 0."""
    verdict: Verdict | None
    """None while it goes on."""
    findings: tuple[CheckResult, ...]
    began_at: float
    ended_at: float | None = None


class Measurement(Model):
    """What the analysis runner measured for one check."""

    candidate: Measured = None
    serving: Measured = None
    rows: int = 0
    """Rows, or requests, that it was made of."""
    verdict: Verdict | None = None
    """A custom check's own, or that too many rows have no figure at all."""
    text: str = ""


class Measurements(Model):
    """What the analysis runner measured so far: a line of its stdout, newest counts."""

    source: Source
    requests: int = 0
    """Predictions that both were asked for."""
    candidate: Counts = Field(default_factory=Counts)
    serving: Counts = Field(default_factory=Counts)
    checks: dict[int, Measurement] = {}
    """By the check's place in the analysis: disagreement, distance, model metric and custom."""
    exhausted: bool = False
    """There is nothing more to send."""
    error: str = ""
    """Why it cannot go on."""


def _unlimited(check: type[Model], given: Any, *limits: str) -> list[PydanticCustomError]:
    """That a check has none of its limits; it may be wrong in other ways too."""
    names = [check.model_fields[limit].alias or limit for limit in limits]
    if not isinstance(given, Mapping) or any(given.get(name) is not None for name in (*limits, *names)):
        return []
    text = f"a check without a limit passes everything: give `{names[0]}`, `{names[1]}`, or both"
    return [PydanticCustomError("no_limit", text)]
