"""What can be watched of a model: each is a model of its own, and `heliostat.spec.monitors` puts them together."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from heliostat.spec.base import Model
from heliostat.spec.findings import Severity
from heliostat.spec.metrics import MetricName

Column = Annotated[str, Field(min_length=1, max_length=200)]
Confidence = Annotated[float, Field(ge=0.5, lt=1)]
Positive = Annotated[float, Field(gt=0)]


class Calendar(StrEnum):
    """Windows of the calendar, in UTC; a week begins on Monday."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class CalendarWindows(Model):
    """A window for each hour, day, week or month."""

    kind: Literal["calendar"] = "calendar"
    every: Calendar = Calendar.DAY
    """How long one is."""
    grace_seconds: Annotated[float, Field(ge=0)] = 3_600.0
    """How long after its end it waits for rows that are still on their way; later ones have it looked at again."""


class CountWindows(Model):
    """A window for each so many predictions, in the order of their times."""

    kind: Literal["count"] = "count"
    rows: Annotated[int, Field(ge=100)] = 10_000
    """How many one holds."""


Windows = Annotated[CalendarWindows | CountWindows, Field(discriminator="kind")]


class Watch(Model):
    """What every watch says."""

    severity: Severity = Severity.WARNING
    """Of a breach."""


class QualityWatch(Watch):
    """A metric, on the labels that came. A limit is breached where the whole interval is beyond it: chance is no alarm."""

    metric: MetricName | None = None
    """One of the task's; by default its first."""
    limit: float | None = None
    """The worst value that is right."""
    margin: Annotated[float, Field(ge=0)] | None = None
    """How much worse than in the reference it may be, in the metric's unit."""
    slices: tuple[Column, ...] = ()
    """Inputs by whose values it is looked at too, each value alone."""
    min_rows: Annotated[int, Field(ge=30)] = 500
    """Labelled rows below which it cannot be told, of the window and of each slice."""
    confidence: Confidence = 0.95
    """Of the interval; slices share what it leaves to chance."""

    @model_validator(mode="after")
    def _has_limit(self) -> Self:
        if self.limit is None and self.margin is None:
            raise ValueError("a watched metric needs `limit` or `margin`, or both: without one nothing is ever wrong")
        return self


class BiasWatch(Watch):
    """The mean prediction ÷ the mean label, and where predictions are probabilities whether they say what they mean."""

    lowest: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Below it predictions are too low."""
    highest: Annotated[float, Field(ge=1)] = 1.1
    """Above it they are too high."""
    calibration_error: Annotated[float, Field(gt=0, le=1)] | None = None
    """The largest expected calibration error; by default it is told and not judged."""
    min_rows: Annotated[int, Field(ge=30)] = 500
    """Labelled rows below which it cannot be told."""
    confidence: Confidence = 0.95
    """Of the interval that must be beyond a limit."""


class EstimateWatch(Watch):
    """A metric that is estimated before labels come: CBPE of classes, DLE of numbers; not where a precondition fails."""

    metric: MetricName
    """What is estimated; of classes roc_auc, accuracy, precision, recall or f1, of numbers mean_absolute_error,
    mean_squared_error or root_mean_squared_error."""
    margin: Annotated[float, Field(ge=0)]
    """How much worse than in the reference it may be, in the metric's unit."""
    min_rows: Annotated[int, Field(ge=100)] = 1_000
    """Predictions below which it is not estimated."""


class Detector(StrEnum):
    """How a change is found, by the names of the methods."""

    ADWIN = "adwin"
    """Adaptive windows: changes of the mean, with bounds on false alarms."""
    KSWIN = "kswin"
    """Kolmogorov and Smirnov's test of the newest rows against the ones before: changes of any kind."""
    PAGE_HINKLEY = "page-hinkley"
    """Page and Hinkley's test: an abrupt rise or fall of the mean."""


class ConceptDriftWatch(Watch):
    """A stream, row by row in the order of time, in which a change is looked for. Needs the extra `monitoring`."""

    detector: Detector = Detector.ADWIN
    """Which one."""
    of: Literal["error", "prediction"] = "error"
    """`error` is how far predictions are from labels, and needs these; `prediction` needs none, and is no proof."""


class SkewWatch(Watch):
    """Features as they are made when training beside those of the replica, of the same rows."""

    relative_tolerance: Annotated[float, Field(ge=0, lt=1)] = 1e-5
    """How far a number may be from the other: float32 is 6e-8 apart from float64."""
    most_share: Annotated[float, Field(ge=0, lt=1)] = 0.001
    """The share of rows that may differ in a feature."""


class FragilityWatch(Watch):
    """How far predictions move when inputs move a little, on average and at worst."""

    epsilons: Annotated[tuple[Annotated[float, Field(gt=0, le=3)], ...], Field(min_length=1)] = (0.01, 0.1)
    """How far numbers are moved, in standard deviations of their columns; rising."""
    most_change: Positive
    """How far the prediction of a row may move at worst at the first of them, in its unit."""
    rows: Annotated[int, Field(ge=10, le=100_000)] = 500
    """On how many rows of the window it is tried."""

    @field_validator("epsilons")
    @classmethod
    def _rise(cls, given: tuple[float, ...]) -> tuple[float, ...]:
        if list(given) != sorted(set(given)):
            raise ValueError("the epsilons must rise: sort them, each once")
        return given


class FeedbackWatch(Watch):
    """Whether answers move the model's own later inputs."""

    key: Column
    """The input that says whom or what a row is about."""
    columns: Annotated[tuple[Column, ...], Field(min_length=1)]
    """Inputs that may follow answers."""
    holdout: Column | None = None
    """A boolean input: true of those whom no answer reaches. Without one a correlation is all that can be told."""
    least_holdout: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """The share of rows that must be held out, where a column says which are."""
    most_correlation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """How strongly an input may follow the answer before it, given its own value before."""

    @model_validator(mode="after")
    def _own_columns(self) -> Self:
        if taken := sorted({self.key, self.holdout or self.key} & {*self.columns}):
            raise ValueError(f"{', '.join(taken)} cannot be among `columns` and say whom a row is about, or who is held out")
        return self


class RecencyWatch(Watch):
    """How old the newest of what a model lives on may be."""

    predictions_seconds: Positive | None = None
    """Since the last prediction that was logged."""
    labels_seconds: Positive | None = None
    """Since the prediction that the newest label is of was made."""
    training_data_seconds: Positive | None = None
    """Since the newest row that the serving model was trained on."""
    training_data_column: Column | None = None
    """The column of times in the training data that says how new a row is."""

    @model_validator(mode="after")
    def _watches(self) -> Self:
        if self.predictions_seconds is self.labels_seconds is self.training_data_seconds is None:
            raise ValueError("it needs `predictionsSeconds`, `labelsSeconds` or `trainingDataSeconds`: how old is too old")
        if self.training_data_seconds is not None and self.training_data_column is None:
            raise ValueError("`trainingDataSeconds` needs `trainingDataColumn`: the column that says how new a row is")
        return self
