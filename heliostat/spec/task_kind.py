"""What every kind of problem knows of itself; the kinds are in `heliostat.spec.tasks`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from heliostat.spec.base import Model


class LabelType(StrEnum):
    """A family of Arrow's types that a label may be of."""

    BOOLEAN = "booleans"
    INTEGER = "integers"
    NUMBER = "floating point numbers"
    TEXT = "text"
    TEXTS = "lists of text"
    NUMBERS = "lists of numbers"


class Comparison(StrEnum):
    """A check of an analysis that looks at answers, by its kind in the config."""

    DISAGREEMENT = "disagreement"
    DISTANCE = "prediction-distance"
    METRIC = "model-metric"


class TaskKind(Model):
    """What every task knows of itself."""

    kind: str
    label_types: ClassVar[tuple[LabelType, ...]] = ()
    """What the label's column may hold; any kind of column where there are none."""
    comparisons: ClassVar[frozenset[Comparison]] = frozenset(Comparison)
    """The checks of an analysis that say something of its answers."""
    has_baseline: ClassVar[bool] = True
    """Whether the library has a baseline for it."""
    is_assumed: ClassVar[bool] = False
    """Whether a workload that declares no task may be one of these."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of its metrics, in the order in which they are told."""
        return ()

    @property
    def default_metric(self) -> str | None:
        """What a gate judges by that names no metric; None: there is nothing to judge by."""
        return self.metrics[0] if self.metrics else None

    @property
    def columns(self) -> tuple[str, ...]:
        """What each number of a row's prediction is called, in MLflow's signature as well; empty where that is open."""
        return ("score",)

    @property
    def width(self) -> int | None:
        """How many numbers a row's prediction holds; None: it is one number, not a list of them."""
        return None

    @property
    def columns_needed(self) -> tuple[str, ...]:
        """Columns that the data must have beside the label."""
        return ()

    @property
    def identity(self) -> dict[str, Any] | None:
        """What decides of a snapshot, a training and an evaluation; None where it is what is taken anyway."""
        return None if self.is_assumed else self.model_dump(mode="json")
