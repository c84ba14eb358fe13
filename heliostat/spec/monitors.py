"""What a workload declares to be watched of its model once it serves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from heliostat.spec.base import Model, is_empty, is_none
from heliostat.spec.batch import require_cron
from heliostat.spec.drift_watches import DriftWatch, PredictionDriftWatch
from heliostat.spec.fairness import selects_nobody
from heliostat.spec.fairness_watches import FairnessWatch
from heliostat.spec.mistakes import Mistake
from heliostat.spec.notifications import AlarmPolicy, Sink
from heliostat.spec.problem import Problem
from heliostat.spec.retraining import RetrainingPolicy
from heliostat.spec.watches import (
    BiasWatch,
    CalendarWindows,
    ConceptDriftWatch,
    CountWindows,
    EstimateWatch,
    FeedbackWatch,
    FragilityWatch,
    Positive,
    QualityWatch,
    RecencyWatch,
    SkewWatch,
    Windows,
)

_WATCHES = (
    "quality", "bias", "fairness", "drift", "prediction_drift", "estimate", "concept_drift", "skew", "fragility", "feedback",
    "recency",
)  # fmt: skip
_WITHOUT_NUMBERS = ("embedding", "free", "multilabel")
"""Tasks whose labels are no number a row, as ones that come later have to be."""


class Monitor(Model):
    """What is watched of a workload's application, how often, and who is told."""

    windows: Windows = Field(default_factory=CalendarWindows)
    """Stretches of the prediction log that are looked at, each as one."""
    schedule: str = "15 * * * *"
    """When windows that are due are looked at, as cron says it and in UTC."""
    timeout_seconds: Positive = 3_600.0
    """How long a look may take; then it is stopped and has failed."""
    labels_within_seconds: Positive = 7_776_000.0
    """How long after a prediction its label may come; so far back the log is read."""
    field: Annotated[str, Field(min_length=1)] = "prediction"
    """The answer's field that the prediction is in."""
    quality: tuple[QualityWatch, ...] = ()
    """Metrics on labels that came."""
    bias: BiasWatch | None = None
    """The mean prediction beside the mean label."""
    fairness: tuple[FairnessWatch, ...] = Field(default=(), exclude_if=is_empty)
    """What groups of people are treated differently by: selection rates at once, other rates on labels that came."""
    drift: DriftWatch | None = None
    """Inputs beside the training data."""
    prediction_drift: PredictionDriftWatch | None = None
    """Predictions beside those of the test split."""
    estimate: tuple[EstimateWatch, ...] = ()
    """Metrics that are estimated before labels come."""
    concept_drift: tuple[ConceptDriftWatch, ...] = ()
    """Changes in errors or predictions, row by row."""
    skew: SkewWatch | None = None
    """The same rows when training and when serving."""
    fragility: FragilityWatch | None = None
    """Predictions of inputs that are moved a little."""
    feedback: FeedbackWatch | None = None
    """Whether answers move later inputs."""
    recency: RecencyWatch | None = None
    """How old the newest of what it lives on is."""
    alarms: AlarmPolicy = Field(default_factory=AlarmPolicy)
    """When findings become alarms, and who is told how often."""
    sinks: tuple[Sink, ...] = ()
    """Who is told of alarms; without any they are shown and told to nobody."""
    retraining: RetrainingPolicy | None = None
    """When another training is proposed; by default never."""
    reference_rows: Annotated[int, Field(ge=500)] | None = Field(default=None, exclude_if=is_none)
    """Of a model of others: so many first answers of a version are what its later ones are held against; by default 10,000."""

    _is_cron = field_validator("schedule")(require_cron)

    @field_validator("sinks")
    @classmethod
    def _told_apart(cls, given: tuple[Sink, ...]) -> tuple[Sink, ...]:
        names = [sink.name for sink in given]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two sinks are called {', '.join(twice)}: give each a name of its own")
        return given

    @model_validator(mode="after")
    def _watches(self) -> Self:
        if not any(getattr(self, name) for name in _WATCHES):
            known = ", ".join(map(to_camel, _WATCHES))
            raise ValueError(f"a monitor needs something to watch: {known}")
        return self


def mistakes_of(
    monitor: Monitor, problem: Problem, inputs: tuple[str, ...] | None = None, of_others: bool = False
) -> list[Mistake]:
    """Every mistake of a monitor that only its workload tells, with its path in the config.

    Args:
        monitor: What was declared.
        problem: The workload's task and metrics.
        inputs: The names of the contract's inputs; None where they are not known yet.
        of_others: Whether the model is one that others logged.
    """
    found = [
        *_metrics(monitor, problem),
        *_estimates(monitor, problem),
        *_fairness(monitor, problem),
        *_columns(monitor, inputs),
        *_sinks(monitor),
        *_too_few(monitor),
    ]
    if not of_others and monitor.reference_rows is not None:
        text = "what the model was trained and tested on is its reference: leave it out"
        found.append((("referenceRows",), text))
    return [Mistake(path, "value_error", text) for path, text in found]


_Told = Iterator[tuple[tuple[str | int, ...], str]]
_WithLeastRows = QualityWatch | FairnessWatch | EstimateWatch | BiasWatch | DriftWatch | PredictionDriftWatch

ESTIMATED = {
    "binary": ("roc_auc", "accuracy", "precision", "recall", "f1"),
    "multiclass": ("accuracy", "f1_macro"),
    **dict.fromkeys(("regression", "forecasting"), ("mean_absolute_error", "mean_squared_error", "root_mean_squared_error")),
}
"""The metrics that can be estimated without labels, by the task's kind."""


def _metrics(monitor: Monitor, problem: Problem) -> _Told:
    names = problem.names
    kind = problem.task.kind if problem.task is not None else "binary"
    for place, watch in enumerate(monitor.quality):
        path = ("quality", place)
        if kind in _WITHOUT_NUMBERS:
            yield path, f"labels of the task {kind} are no number each: of labels that come later quality cannot be watched"
        elif watch.metric is None and not names:
            yield (*path, "metric"), "is missing: the task has no metric of its own"
        elif watch.metric is not None and watch.metric not in names:
            yield (
                (*path, "metric"),
                f"{watch.metric!r} is none of the task's metrics, {', '.join(names) or 'of which there are none'}",
            )
    if monitor.bias is not None and kind in (*_WITHOUT_NUMBERS, "ranking"):
        yield ("bias",), f"predictions of the task {kind} have no mean beside their labels'"
    if monitor.bias is not None and monitor.bias.calibration_error is not None and kind not in ("binary", "multiclass"):
        yield ("bias", "calibrationError"), f"predictions of the task {kind} are no probabilities"


def _estimates(monitor: Monitor, problem: Problem) -> _Told:
    kinds = [problem.task.kind] if problem.task is not None else ["binary", "regression"]
    known = tuple(name for kind in kinds for name in ESTIMATED.get(kind, ()))
    for place, watch in enumerate(monitor.estimate):
        if watch.metric not in known:
            told = f"of it {', '.join(known)} can be" if known else "nothing of it can be"
            yield (
                ("estimate", place, "metric"),
                f"{watch.metric!r} of the task {kinds[0]} is not estimated without labels; {told}",
            )


def _fairness(monitor: Monitor, problem: Problem) -> _Told:
    known: set[tuple[str, str]] = set()
    for place, watch in enumerate(monitor.fairness):
        if problem.task is not None and problem.task.kind != "binary":
            yield ("fairness", place), selects_nobody(problem.task.kind)
        if (watch.column, watch.metric) in known:
            text = f"{watch.metric} by {watch.column} is watched twice: one alarm cannot be held to two limits; leave one out"
            yield ("fairness", place), text
        known.add((watch.column, watch.metric))


def _columns(monitor: Monitor, inputs: tuple[str, ...] | None) -> _Told:
    if inputs is None:
        return
    named: list[tuple[tuple[str | int, ...], str]] = [
        (("quality", place, "slices", number), column)
        for place, watch in enumerate(monitor.quality)
        for number, column in enumerate(watch.slices)
    ]
    named += [(("fairness", place, "column"), watch.column) for place, watch in enumerate(monitor.fairness)]
    if (feedback := monitor.feedback) is not None:
        named += [(("feedback", "key"), feedback.key)]
        named += [(("feedback", "columns", number), column) for number, column in enumerate(feedback.columns)]
        named += [(("feedback", "holdout"), feedback.holdout)] if feedback.holdout else []
    if (drift := monitor.drift) is not None:
        named += [(("drift", "columns", number), column) for number, column in enumerate(drift.columns)]
        named += [(("drift", "limits", column), column) for column in drift.limits]
    for path, column in named:
        if column not in inputs:
            yield path, f"the contract has no input {column!r}; it has {', '.join(inputs)}"


def _sinks(monitor: Monitor) -> _Told:
    escalates = monitor.alarms.escalate_seconds is not None
    for place, sink in enumerate(monitor.sinks):
        if sink.only_escalated and not escalates:
            yield ("sinks", place, "onlyEscalated"), "nothing is ever escalated: set `alarms.escalateSeconds`"


def _too_few(monitor: Monitor) -> _Told:
    """What could never be told, for no window has as many rows."""
    windows = monitor.windows
    if not isinstance(windows, CountWindows):
        return
    singles = (("bias", monitor.bias), ("drift", monitor.drift), ("predictionDrift", monitor.prediction_drift))
    watched: list[tuple[tuple[str | int, ...], _WithLeastRows]]
    watched = [(("quality", place), watch) for place, watch in enumerate(monitor.quality)]
    watched += [(("fairness", place), watch) for place, watch in enumerate(monitor.fairness)]
    watched += [(("estimate", place), watch) for place, watch in enumerate(monitor.estimate)]
    watched += [((name,), watch) for name, watch in singles if watch is not None]
    for path, watch in watched:
        if watch.min_rows > windows.rows:
            yield (
                (*path, "minRows"),
                f"of fewer than {watch.min_rows:,} rows nothing is told, and a window has {windows.rows:,}: have "
                f"`windows.rows` be {watch.min_rows:,} or more, or set a smaller `minRows`",
            )


def metric_of(watch: QualityWatch, problem: Problem) -> str:
    """The metric that is watched.

    Raises:
        ValueError: the workload has none, and none is named.
    """
    name = watch.metric or problem.default_metric
    if name is None:
        raise ValueError("the task has no metric of its own: name one in `metric`")
    return name
