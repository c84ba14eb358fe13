"""The kind of problem that a workload solves, as a value that `workload.py` declares: `by_convention(..., task=Regression())`.

A task knows its metrics, what its label may be, what a prediction looks like and which comparisons of an analysis make sense.
A workload that declares none is one of two: where its labels are 0 and 1 alone predictions are probabilities, else numbers.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, StringConstraints, field_validator

from heliostat.spec.task_kind import Comparison, LabelType, TaskKind

_ALL: Final = frozenset(Comparison)
_NUMBERS: Final = (LabelType.INTEGER, LabelType.NUMBER)

ClassName = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Column = Annotated[str, StringConstraints(min_length=1)]
Level = Annotated[float, Field(gt=0, lt=1)]

REGRESSION_METRICS: Final = (
    *("r2", "mean_bias", "root_mean_squared_error", "mean_absolute_error", "mean_squared_error", "median_absolute_error"),
    "mean_absolute_percentage_error",
)
BINARY_METRICS: Final = (
    *("roc_auc", "average_precision", "log_loss", "brier_score", "accuracy", "balanced_accuracy", "f1", "precision", "recall"),
    *("matthews_corrcoef", "mean_bias"),
)
UNDECLARED_METRICS: Final = tuple(dict.fromkeys((*BINARY_METRICS, *REGRESSION_METRICS)))
"""What a workload without a task may be judged by; its labels decide which of them are defined."""


class Binary(TaskKind):
    """Yes or no: labels are booleans, or 0 and 1, and a prediction is the probability of 1.

    Its baseline is the share of ones. Metrics: roc_auc (the gate's, by default), average_precision, log_loss, brier_score,
    accuracy, balanced_accuracy, f1, precision, recall, matthews_corrcoef, and mean_bias, how far the mean prediction is from
    the share of ones. What needs a class takes 1 from a probability of 0.5 on.
    """

    kind: Literal["binary"] = "binary"
    label_types: ClassVar = (LabelType.BOOLEAN, *_NUMBERS)
    is_assumed: ClassVar = True

    @property
    def metrics(self) -> tuple[str, ...]:  # noqa: D102
        return BINARY_METRICS


class Regression(TaskKind):
    """A number: a prediction is one too. Its baseline is the mean.

    Metrics: r2 (the gate's, by default), mean_bias, root_mean_squared_error, mean_absolute_error, mean_squared_error,
    median_absolute_error, mean_absolute_percentage_error.
    """

    kind: Literal["regression"] = "regression"
    label_types: ClassVar = (LabelType.BOOLEAN, *_NUMBERS)
    is_assumed: ClassVar = True

    @property
    def metrics(self) -> tuple[str, ...]:  # noqa: D102
        return REGRESSION_METRICS


class Multiclass(TaskKind):
    """One of several classes: a prediction is a probability for each, in the order of `classes`, which sum to 1.

    The label is one of `classes` as text, or its place among them as a whole number from 0. The baseline is their shares.
    Metrics: accuracy (the gate's, by default), balanced_accuracy, log_loss, brier_score, roc_auc_ovr, roc_auc_ovo and both
    `_weighted`, f1, precision and recall each `_macro`, `_micro` and `_weighted`, matthews_corrcoef. The class of a prediction
    is its most probable one.
    """

    kind: Literal["multiclass"] = "multiclass"
    classes: Annotated[tuple[ClassName, ...], Field(min_length=2, max_length=10_000)]
    """The classes, in the order of a prediction's probabilities."""
    label_types: ClassVar = (LabelType.TEXT, LabelType.INTEGER)

    @field_validator("classes")
    @classmethod
    def _once(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        return _each_once("class", classes)

    @property
    def metrics(self) -> tuple[str, ...]:  # noqa: D102
        averaged = [f"{name}_{how}" for name in ("f1", "precision", "recall") for how in ("macro", "micro", "weighted")]
        areas = ("roc_auc_ovr", "roc_auc_ovo", "roc_auc_ovr_weighted", "roc_auc_ovo_weighted")
        return ("accuracy", "balanced_accuracy", "log_loss", "brier_score", *areas, *averaged, "matthews_corrcoef")

    @property
    def columns(self) -> tuple[str, ...]:  # noqa: D102
        return self.classes

    @property
    def width(self) -> int:  # noqa: D102
        return len(self.classes)


class Multilabel(TaskKind):
    """Any of several labels at once: a prediction is a probability for each, in the order of `labels`.

    The label's column holds a list in each row: of those of `labels` that are true as text, or of 0 and 1 for each of them.
    The baseline is each label's share. Metrics: average_precision (the gate's, by default) and roc_auc as means over the
    labels, accuracy (of whole rows), hamming_loss, f1, precision and recall each `_macro`, `_micro`, `_weighted` and
    `_samples`. A label counts as told from a probability of 0.5 on.
    """

    kind: Literal["multilabel"] = "multilabel"
    labels: Annotated[tuple[ClassName, ...], Field(min_length=1, max_length=10_000)]
    """What can be true of a row, in the order of a prediction's probabilities."""
    label_types: ClassVar = (LabelType.TEXTS, LabelType.NUMBERS)

    @field_validator("labels")
    @classmethod
    def _once(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        return _each_once("label", labels)

    @property
    def metrics(self) -> tuple[str, ...]:  # noqa: D102
        ways = ("macro", "micro", "weighted", "samples")
        averaged = [f"{name}_{how}" for name in ("f1", "precision", "recall") for how in ways]
        return ("average_precision", "roc_auc", "accuracy", "hamming_loss", *averaged)

    @property
    def columns(self) -> tuple[str, ...]:  # noqa: D102
        return self.labels

    @property
    def width(self) -> int:  # noqa: D102
        return len(self.labels)


class Quantiles(TaskKind):
    """Quantiles of a number: a prediction is one number for each of `levels`, in their order.

    The baseline is the quantiles of the label. Metrics: d2_pinball_score (the gate's, by default) and mean_pinball_loss as
    means over the levels, `mean_pinball_loss_<level>` for each, mean_coverage_error (how far the share of labels below a
    quantile is from its level) and crossing_rate, the share of rows whose quantiles fall from a level to the next. Quantiles
    that cross are measured and no error: models that are fitted level by level cross in some rows and may be the better ones.
    """

    kind: Literal["quantiles"] = "quantiles"
    levels: Annotated[tuple[Level, ...], Field(min_length=1, max_length=99)]
    """Between 0 and 1, rising: 0.9 is what 90 of 100 labels stay below."""
    label_types: ClassVar = _NUMBERS

    @field_validator("levels")
    @classmethod
    def _rise(cls, levels: tuple[float, ...]) -> tuple[float, ...]:
        if falls := [after for before, after in pairwise(levels) if after <= before]:
            raise ValueError(f"the levels must rise, and {falls[0]:g} does not: sort them, each once")
        return levels

    @property
    def metrics(self) -> tuple[str, ...]:  # noqa: D102
        each = [f"mean_pinball_loss_{level:g}" for level in self.levels]
        return ("d2_pinball_score", "mean_pinball_loss", *each, "mean_coverage_error", "crossing_rate")

    @property
    def columns(self) -> tuple[str, ...]:  # noqa: D102
        return tuple(f"q{level:g}" for level in self.levels)

    @property
    def width(self) -> int:  # noqa: D102
        return len(self.levels)


class Ranking(TaskKind):
    """An order of the rows of each group: a prediction is a number, and the row with the largest comes first.

    The label is the row's relevance, 0 or more. The baseline is the mean relevance of the row's `item`, or no order at all.
    Metrics: ndcg (the gate's, by default) and `ndcg_at_<k>` for each of `at`, as means over the groups. A group of a single
    row, or whose labels are alike, says nothing about an order and is left out.
    """

    kind: Literal["ranking"] = "ranking"
    group: Column
    """The column that says which rows are ranked against each other, as a query's."""
    item: Column | None = None
    """The column that names what is ranked; the baseline knows how relevant each was."""
    at: tuple[Annotated[int, Field(ge=1)], ...] = (5, 10)
    """How many rows from the top ndcg is told for."""
    label_types: ClassVar = (LabelType.BOOLEAN, *_NUMBERS)
    comparisons: ClassVar = _ALL - {Comparison.DISTANCE}

    @property
    def metrics(self) -> tuple[str, ...]:  # noqa: D102
        return ("ndcg", *(f"ndcg_at_{k}" for k in self.at))

    @property
    def columns_needed(self) -> tuple[str, ...]:  # noqa: D102
        return (self.group, *([self.item] if self.item else []))


class Forecasting(TaskKind):
    """A number at a time to come, of one series or of several: a row is a time of a series, a prediction its number.

    The splits follow each other in time: no row that a series is tested on is older than what it was trained on. The baseline
    is the last value known, or with a `season` that of a whole season before. Metrics: those of Regression.
    """

    kind: Literal["forecasting"] = "forecasting"
    time: Column
    """The column of times, or of whole numbers that count them."""
    series: tuple[Column, ...] = ()
    """The columns that together name a series; without any, all rows are one."""
    horizon: Annotated[int, Field(ge=1)] = 1
    """How many times ahead a prediction is for at most; each series is tested on as many at least."""
    season: Annotated[int, Field(ge=1)] = 1
    """After how many times a series repeats itself, for the baseline: 12 of months, 7 of days."""
    label_types: ClassVar = _NUMBERS

    @property
    def metrics(self) -> tuple[str, ...]:  # noqa: D102
        return REGRESSION_METRICS

    @property
    def columns_needed(self) -> tuple[str, ...]:  # noqa: D102
        return (self.time, *self.series)


class Embedding(TaskKind):
    """A vector: a prediction is a list of `dimensions` numbers, and so is the label. The baseline is the mean vector.

    Metrics: cosine_similarity (the gate's, by default), the mean over the rows, and mean_squared_error.
    """

    kind: Literal["embedding"] = "embedding"
    dimensions: Annotated[int, Field(ge=1, le=65_536)]
    """How many numbers a vector has."""
    label_types: ClassVar = (LabelType.NUMBERS,)
    comparisons: ClassVar = _ALL - {Comparison.DISTANCE}

    @property
    def metrics(self) -> tuple[str, ...]:  # noqa: D102
        return ("cosine_similarity", "mean_squared_error")

    @property
    def columns(self) -> tuple[str, ...]:  # noqa: D102
        return tuple(f"e{number}" for number in range(self.dimensions))

    @property
    def width(self) -> int:  # noqa: D102
        return self.dimensions


class Free(TaskKind):
    """An answer of one's own: arrays of any shape, texts, or several of these by name; the label is any column.

    It has no metric but the workload's own and no baseline; a gate without a metric lets every candidate pass that answers.
    """

    kind: Literal["free"] = "free"
    has_baseline: ClassVar = False

    @property
    def columns(self) -> tuple[str, ...]:  # noqa: D102
        return ()


Task = Annotated[
    Binary | Multiclass | Multilabel | Regression | Quantiles | Ranking | Forecasting | Embedding | Free,
    Field(discriminator="kind"),
]
"""One of the kinds."""
DeclaredTask = Task | None
"""What a workload declares; None where it declares no task."""


def _each_once(what: str, names: tuple[str, ...]) -> tuple[str, ...]:
    if twice := sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []:
        raise ValueError(f"the {what} {twice[0]!r} is there more than once: name each once")
    return names
