"""What a model may differ by between groups of people."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from heliostat.spec.base import Model, is_empty, is_none


class FairnessMetric(StrEnum):
    """What is compared between groups, by fairlearn's name."""

    DEMOGRAPHIC_PARITY = "demographic_parity_difference"
    """The largest difference of the shares that are selected (`selection_rate`)."""
    DEMOGRAPHIC_PARITY_RATIO = "demographic_parity_ratio"
    """The smallest share that is selected divided by the largest: 0.8 is the four-fifths rule."""
    EQUALIZED_ODDS = "equalized_odds_difference"
    """The larger one of the differences of the true and of the false positive rates."""
    EQUAL_OPPORTUNITY = "equal_opportunity_difference"
    """The largest difference of the true positive rates."""

    @property
    def is_ratio(self) -> bool:
        """Whether more of it is better."""
        return self is FairnessMetric.DEMOGRAPHIC_PARITY_RATIO

    @property
    def labels_needed(self) -> tuple[float, ...]:
        """The labels of which a group must have a row to be compared: of none, a rate is not defined."""
        if self is FairnessMetric.EQUALIZED_ODDS:
            return (0.0, 1.0)
        return (1.0,) if self is FairnessMetric.EQUAL_OPPORTUNITY else ()


class Fairness(Model):
    """A limit on what a model of two classes may differ by between the groups of a column."""

    column: str
    """A column of the test data, as `sex`. The model need not use it."""
    metric: FairnessMetric = FairnessMetric.EQUALIZED_ODDS
    """What is compared."""
    at_most: Annotated[float, Field(ge=0, le=1)] | None = None
    """The largest difference that is taken."""
    at_least: Annotated[float, Field(ge=0, le=1)] | None = None
    """The smallest ratio that is taken."""
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """The probability from which somebody is selected."""
    min_rows: Annotated[int, Field(ge=1)] = 500
    """Groups with fewer test rows are not compared, and named: their rates are noise."""

    @model_validator(mode="after")
    def _has_the_limit_of_its_metric(self) -> Self:
        wanted, other = ("at_least", "at_most") if self.metric.is_ratio else ("at_most", "at_least")
        if getattr(self, wanted) is None or getattr(self, other) is not None:
            names = {"at_least": "atLeast", "at_most": "atMost"}
            raise ValueError(f"{self.metric} is held to `{names[wanted]}`, and to nothing else: give it that")
        return self

    @property
    def limit(self) -> float:
        """The one that is given."""
        return float(self.at_least if self.metric.is_ratio else self.at_most)  # type: ignore[arg-type]  # one of them is

    def passes(self, value: float) -> bool:
        """Whether a model may come to that."""
        return value >= self.limit if self.metric.is_ratio else value <= self.limit


def selects_nobody(kind: str) -> str:
    """What is told where fairness is asked of a task that has no two classes."""
    return f"the task {kind} selects nobody: fairness by group is of the task binary"


class RatesAtGate(Model):
    """How a candidate treats a group of the test rows."""

    rows: int
    positives: int | None = Field(default=None, exclude_if=is_none)
    """Those whose label is 1; None of an earlier release's report."""
    selection_rate: float | None = None
    true_positive_rate: float | None = None
    false_positive_rate: float | None = None


class FairnessAtGate(Model):
    """What one check of a gate came to, as it is kept beside its verdict."""

    column: str
    metric: FairnessMetric
    limit: float
    value: float | None = None
    groups: dict[str, RatesAtGate] = {}
    left_out: dict[str, int] = Field(default_factory=dict, exclude_if=is_empty)
    """Groups of too few rows."""
    missing: int = 0

    @classmethod
    def of(cls, check: Fairness, told: Mapping[str, Any], most: int = 100) -> FairnessAtGate:
        """A check with its part of an evaluation's report; of many groups those with the most rows."""
        groups = sorted(told.get("groups", {}).items(), key=lambda each: -(each[1].get("rows") or 0))
        left_out = sorted(told.get("leftOut", {}).items(), key=lambda each: -each[1])
        return cls(
            column=check.column, metric=check.metric, limit=check.limit, value=told.get("value"),
            groups={name: _rates_of(rates) for name, rates in groups[:most]}, left_out=dict(left_out[:most]),
            missing=told.get("missing", 0),
        )  # fmt: skip


def _rates_of(told: Mapping[str, Any]) -> RatesAtGate:
    positives = told.get("positives")
    return RatesAtGate(
        rows=int(told.get("rows") or 0),
        positives=int(positives) if positives is not None else None,
        selection_rate=told.get("selectionRate"),
        true_positive_rate=told.get("truePositiveRate"),
        false_positive_rate=told.get("falsePositiveRate"),
    )
