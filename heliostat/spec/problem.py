"""What a workload declares of the problem that its models solve: its task, and metrics of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from heliostat.spec import metrics
from heliostat.spec.base import EntryPoint, Model, is_empty
from heliostat.spec.tasks import UNDECLARED_METRICS, Binary, Free, Regression, Task


class CustomMetric(Model):
    """A metric of the workload's own: `(labels, predictions) -> float`, a function at the top of a module.

    Labels and predictions are arrays with a row of the test data each, as the task has them: for Multiclass the labels are the
    classes' places, for Free they are whatever the column and the predictor give.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
    """What the gate, the report and MLflow call it."""
    function: EntryPoint
    """`module:name`, beside the workload's own module as its other entry points are."""
    higher_is_better: bool
    """Which direction is better."""
    code_digest: str = Field(default="", exclude_if=is_empty)
    """Of the source that the function needs: another one is measured anew. Made where the workload is declared."""


class Problem(Model):
    """A task and the metrics beside it."""

    task: Task | None = None
    """None where the workload declares none: its labels decide."""
    metrics: tuple[CustomMetric, ...] = ()
    """The workload's own."""

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        names = [metric.name for metric in self.metrics]
        known = {*self.task_metrics, *metrics.FORMER}
        if taken := [name for name in names if name in known]:
            raise ValueError(f"the metric {taken[0]!r} is the task's own: give the function's another name")
        if len(set(names)) < len(names):
            raise ValueError(f"two metrics have the same name: {', '.join(names)}")
        return self

    @property
    def task_metrics(self) -> tuple[str, ...]:
        """The names of the task's metrics."""
        return self.task.metrics if self.task is not None else UNDECLARED_METRICS

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all metrics that there are."""
        return (*self.task_metrics, *(metric.name for metric in self.metrics))

    @property
    def default_metric(self) -> str | None:
        """What a gate judges by that names no metric; None: there is nothing to judge by."""
        if self.task is None:
            return "roc_auc"
        return self.task.default_metric or (self.metrics[0].name if self.metrics else None)

    def custom(self, name: str) -> CustomMetric | None:
        """The workload's own metric of that name."""
        return next((metric for metric in self.metrics if metric.name == name), None)

    def higher_is_better(self, name: str) -> bool:
        """Which direction of a metric is better."""
        found = self.custom(name)
        return found.higher_is_better if found is not None else metrics.higher_is_better(name)

    def with_only(self, name: str) -> Self:
        """The same with no other metric of the workload's own than that one."""
        return self.model_copy(update={"metrics": tuple(metric for metric in self.metrics if metric.name == name)})

    @property
    def task_identity(self) -> dict[str, Any] | None:
        """What the task decides of a snapshot and of a training; None where it is what is taken anyway."""
        return self.task.identity if self.task is not None else None

    @property
    def says_nothing(self) -> bool:
        """Whether all is as if nothing had been declared."""
        return self.task_identity is None and not self.metrics

    @property
    def functions(self) -> tuple[EntryPoint, ...]:
        """The entry points of the workload's own metrics."""
        return tuple(metric.function for metric in self.metrics)


def undeclared_of(two_classes: bool) -> Task:
    """The task of a workload that declares none, by its labels: 0 and 1 alone, or any numbers."""
    return Binary() if two_classes else Regression()


def scores_are_numbers(problem: Problem | None) -> bool:
    """Whether a prediction is one number a row."""
    task = problem.task if problem is not None else None
    return task is None or (task.width is None and not isinstance(task, Free))


def near(name: str, known: Sequence[str]) -> str:
    """`; did you mean ...?` where a name is like one that there is."""
    import difflib

    found = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean `{found[0]}`?" if found else ""
