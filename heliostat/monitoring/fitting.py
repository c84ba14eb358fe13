"""What of a monitor holds for a version behind another contract, or of other columns, than what was declared last. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from heliostat.monitoring.drifting import PREDICTION
from heliostat.monitoring.fairness import subject_of
from heliostat.spec.findings import Aspect
from heliostat.spec.monitors import Monitor, metric_of
from heliostat.spec.problem import Problem

_OF_ANSWERS: Final[dict[str, Any]] = {
    "quality": (), "bias": None, "fairness": (), "prediction_drift": None, "estimate": (), "concept_drift": (), "skew": None,
    "fragility": None, "feedback": None,
}  # fmt: skip
"""A monitor's watches that need answers, without any."""


class Lacking(NamedTuple):
    """A finding that the version cannot have, and why."""

    aspect: Aspect
    subject: str
    text: str


@dataclass(frozen=True)
class Version:
    """What is known of a version, as far as a monitor may name it."""

    number: str
    inputs: Sequence[str]
    """The fields of its contract's rows."""
    answer: Sequence[str]
    """The fields of its contract's answers."""
    times: Sequence[str] | None = None
    """The columns of times that it was trained on; None where nothing is known of them."""

    def without_input(self, column: str) -> str:
        """That its contract has no such input; empty where it has."""
        return "" if column in self.inputs else self._lacks("takes no input", column, self.inputs)

    def without_field(self, field: str) -> str:
        """That its answer has no such field; empty where it has."""
        return "" if field in self.answer else self._lacks("answers no field", field, self.answer)

    def without_time(self, column: str) -> str:
        """That its training data have no such column of times; empty where they have, or nobody knows."""
        if self.times is None or column in self.times:
            return ""
        return self._lacks("was trained on no column of times", column, self.times)

    def _lacks(self, what: str, name: str, there: Sequence[str]) -> str:
        return f"version {self.number} {what} {name!r}, of {', '.join(there) or 'none'}"


@dataclass(frozen=True)
class Fitted:
    """A monitor as far as it holds for a version."""

    monitor: Monitor
    lacking: tuple[Lacking, ...] = ()
    """Findings that it cannot have."""
    told: tuple[str, ...] = ()
    """All that the version does not have, a clause each."""


def fitted(monitor: Monitor, problem: Problem, version: Version) -> Fitted:
    """The monitor without what the version does not have.

    Args:
        monitor: As it is declared.
        problem: The workload's task and metrics.
        version: What the version has.
    """
    lacking: list[Lacking] = []
    told: list[str] = []
    if text := version.without_field(monitor.field):
        lacking += [Lacking(aspect, subject, text) for aspect, subject in _of_answers(monitor, problem)]
        told.append(text)
        monitor = monitor.model_copy(update=_OF_ANSWERS)
    for take in (_quality, _fairness, _feedback, _drift, _recency):
        monitor, found, more = take(monitor, version)
        lacking += found
        told += more
    return Fitted(monitor, tuple(lacking), tuple(dict.fromkeys(told)))


def needs_answers(monitor: Monitor) -> bool:
    """Whether anything that is watched is about answers."""
    return any(getattr(monitor, name) for name in _OF_ANSWERS)


def _of_answers(monitor: Monitor, problem: Problem) -> Iterator[tuple[Aspect, str]]:
    for quality in monitor.quality:
        yield Aspect.QUALITY, metric_of(quality, problem)
    for group in monitor.fairness:
        yield Aspect.FAIRNESS, subject_of(group.metric, group.column)
    for estimate in monitor.estimate:
        yield Aspect.ESTIMATE, estimate.metric
    for concept in monitor.concept_drift:
        yield Aspect.CONCEPT_DRIFT, f"{concept.of} by {concept.detector}"
    singles = (
        (monitor.bias, Aspect.PREDICTION_BIAS, "ratio"), (monitor.prediction_drift, Aspect.PREDICTION_DRIFT, PREDICTION),
        (monitor.skew, Aspect.SKEW, "schema"), (monitor.fragility, Aspect.FRAGILITY, "inputs"),
    )  # fmt: skip
    yield from ((aspect, subject) for watch, aspect, subject in singles if watch is not None)
    if monitor.feedback is not None:
        yield Aspect.FEEDBACK, monitor.feedback.key


_Found = tuple[Monitor, list[Lacking], list[str]]


def _quality(monitor: Monitor, version: Version) -> _Found:
    """Without slices that it takes no input for; what they are of stays."""
    told = [text for watch in monitor.quality for column in watch.slices if (text := version.without_input(column))]
    kept = tuple(
        watch.model_copy(update={"slices": tuple(each for each in watch.slices if each in version.inputs)})
        for watch in monitor.quality
    )
    return monitor.model_copy(update={"quality": kept}), [], told


def _fairness(monitor: Monitor, version: Version) -> _Found:
    lacking = [
        Lacking(Aspect.FAIRNESS, subject_of(watch.metric, watch.column), text)
        for watch in monitor.fairness
        if (text := version.without_input(watch.column))
    ]
    kept = tuple(watch for watch in monitor.fairness if watch.column in version.inputs)
    return monitor.model_copy(update={"fairness": kept}), lacking, [each.text for each in lacking]


def _feedback(monitor: Monitor, version: Version) -> _Found:
    watch = monitor.feedback
    if watch is None:
        return monitor, [], []
    needed = (watch.key, *watch.columns, *filter(None, [watch.holdout]))
    told = [text for column in needed if (text := version.without_input(column))]
    if not told:
        return monitor, [], []
    return monitor.model_copy(update={"feedback": None}), [Lacking(Aspect.FEEDBACK, watch.key, "; ".join(told))], told


def _drift(monitor: Monitor, version: Version) -> _Found:
    """Without columns that it takes no input for; without a season that its training data do not tell."""
    watch = monitor.drift
    if watch is None:
        return monitor, [], []
    lacking = [Lacking(Aspect.DRIFT, name, text) for name in watch.columns if (text := version.without_input(name))]
    told = [each.text for each in lacking]
    if watch.season is not None and (text := version.without_time(watch.season)):
        told.append(f"{text}: what its seasons differ by is not known, and counts as drift")
        watch = watch.model_copy(update={"season": None})
    kept = tuple(name for name in watch.columns if name in version.inputs)
    # No names at all would be all inputs.
    of_rest = None if watch.columns and not kept else watch.model_copy(update={"columns": kept})
    return monitor.model_copy(update={"drift": of_rest}), lacking, told


def _recency(monitor: Monitor, version: Version) -> _Found:
    watch = monitor.recency
    column = watch.training_data_column if watch is not None else None
    if watch is None or column is None or not (text := version.without_time(column)):
        return monitor, [], []
    kept = watch.model_copy(update={"training_data_column": None, "training_data_seconds": None})
    return monitor.model_copy(update={"recency": kept}), [Lacking(Aspect.RECENCY, "training data", text)], [text]
