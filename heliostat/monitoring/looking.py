"""One look at a monitor's windows: from joined predictions to the findings of each window. Pure.

What needs labels or predictions alone is looked at here; skew, fragility and feedback need the model or its features too,
and are judged by `heliostat.monitoring.judging.Judge` like these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import AwareDatetime, Field

from heliostat.data.codes import as_texts
from heliostat.monitoring.bias import Bias, Residuals, bias, residuals
from heliostat.monitoring.cbpe import Cbpe, CbpeOfClasses
from heliostat.monitoring.concept_drift import concept_drift
from heliostat.monitoring.dle import Dle
from heliostat.monitoring.drifting import Drift
from heliostat.monitoring.estimates import Estimate
from heliostat.monitoring.fairness import GroupFairness, fairness, large_groups
from heliostat.monitoring.feedback import Feedback
from heliostat.monitoring.fragility import Fragility
from heliostat.monitoring.judging import Judge
from heliostat.monitoring.quality import Measure, Quality, quality
from heliostat.monitoring.sampling import Labelled, Sample
from heliostat.monitoring.skew import Skew
from heliostat.monitoring.weighing import thinned
from heliostat.monitoring.windows import Looked, Micros, Window, by_window, micros
from heliostat.spec.base import Model, Name, is_empty, is_none
from heliostat.spec.fairness_watches import FairnessWatch
from heliostat.spec.findings import Aspect, Finding
from heliostat.spec.monitors import Monitor, metric_of
from heliostat.spec.problem import Problem
from heliostat.spec.watches import ConceptDriftWatch, EstimateWatch, QualityWatch
from heliostat.systems.errors import PermanentError

NumberOf = Callable[[Micros, NDArray[np.bool_]], NDArray[np.int64]]
"""Times, and which are there, to the numbers of their windows."""


class WindowReport(Model):
    """What was found in one window."""

    window: str
    rows: int
    labels: int
    unpredicted: int = Field(default=0, exclude_if=is_empty)
    """Of the rows those whose answer has no finite prediction: quality, bias and estimates are without them."""
    quality: tuple[Quality, ...] = ()
    bias: Bias | None = None
    residuals: Residuals | None = None
    fairness: tuple[GroupFairness, ...] = Field(default=(), exclude_if=is_empty)
    estimates: tuple[Estimate, ...] = ()
    drift: Drift | None = Field(default=None, exclude_if=is_none)
    prediction_drift: Drift | None = Field(default=None, exclude_if=is_none)
    skew: Skew | None = Field(default=None, exclude_if=is_none)
    fragility: Fragility | None = Field(default=None, exclude_if=is_none)
    feedback: Feedback | None = Field(default=None, exclude_if=is_none)
    start: AwareDatetime | None = Field(default=None, exclude_if=is_none)
    """Of the window."""
    end: AwareDatetime | None = Field(default=None, exclude_if=is_none)
    looked_at: AwareDatetime | None = Field(default=None, exclude_if=is_none)
    model_uri: str = Field(default="", exclude_if=is_empty)
    """What the reference is of."""
    findings: tuple[Finding, ...] = ()


@dataclass
class _Held:
    """What came of one window."""

    sample: Sample
    rows: int = 0
    labels: int = 0


@dataclass
class Look:
    """Takes joined predictions in parts, and looks at each window when all are there.

    Args:
        monitor: What is declared.
        name: The monitor's, in its findings.
        problem: The workload's task and metrics.
        reference: Predictions with labels of rows that the model was not trained on, as the gate had them.
        number_of: Which window a time is in.
        features: The inputs that errors of numbers are estimated by.
    """

    monitor: Monitor
    name: Name
    problem: Problem
    reference: Labelled
    number_of: NumberOf
    features: tuple[str, ...] = ()
    _held: dict[int, _Held] = field(default_factory=dict)
    _known: dict[str, Any] = field(default_factory=dict)
    """What is made of the reference alone, made once."""

    def add(self, joined: pa.Table) -> None:
        """Take a part of what `heliostat.monitoring.join.Join` gives."""
        numbers = self.number_of(*micros(joined["time"]))
        for number, part in by_window(joined, numbers):
            held = self._held.setdefault(number, _Held(Sample(self.problem.task, self._columns, unlabelled=True)))
            held.sample.add(part)
            held.rows += part.num_rows
            held.labels += part.num_rows - part["label"].null_count

    @property
    def _columns(self) -> tuple[str, ...]:
        slices = [column for watch in self.monitor.quality for column in watch.slices]
        return tuple(dict.fromkeys([*slices, *(watch.column for watch in self.monitor.fairness), *self.features]))

    @property
    def held(self) -> dict[int, Looked]:
        """What each window holds by now: `heliostat.monitoring.windows.due` says by it which are to be looked at."""
        return {number: Looked(held.rows, held.labels) for number, held in self._held.items()}

    def forget(self, number: int) -> None:
        """Let go of a window that has its report."""
        self._held.pop(number, None)

    def report(self, number: int, window: Window) -> WindowReport:
        """What is found in one window; one that nothing came in has a report as well."""
        held = self._held.get(number) or _Held(Sample(self.problem.task, self._columns, unlabelled=True))
        rows = held.sample.labelled()
        labelled, judge = rows.known(), Judge(self.name, window.name, window.end)
        of = {"window": window.name, "start": window.start, "end": window.end}
        report = WindowReport(**of, rows=held.rows, labels=held.labels, unpredicted=held.sample.unpredicted)
        measured, findings = self._quality(labelled, judge)
        if (watch := self.monitor.bias) is not None:
            found = bias(self.problem.task, labelled, watch.confidence)
            findings += judge.bias(found, watch)
            report = report.model_copy(update={"bias": found, "residuals": residuals(labelled)})
        by_group = tuple(fairness(rows, each, self._large_groups(each)) for each in self.monitor.fairness)
        findings += [judge.fairness(each, watch) for each, watch in zip(by_group, self.monitor.fairness, strict=True)]
        estimates: list[Estimate] = []
        for estimated in self.monitor.estimate:
            estimate, finding = self._estimate(rows, estimated, judge)
            estimates.append(estimate)
            findings.append(finding)
        findings += [self._changed(rows, drift, judge) for drift in self.monitor.concept_drift]
        return report.model_copy(
            update={
                "quality": tuple(measured),
                "fairness": by_group,
                "estimates": tuple(estimates),
                "findings": tuple(findings),
            }
        )

    def _quality(self, labelled: Labelled, judge: Judge) -> tuple[list[Quality], list[Finding]]:
        measured: list[Quality] = []
        findings: list[Finding] = []
        for place, watch in enumerate(self.monitor.quality):
            found = quality(self.problem, labelled, watch)
            known = self._once(f"quality {place}", partial(self._quality_of_reference, watch))
            better = self.problem.higher_is_better(metric_of(watch, self.problem))
            findings += judge.quality(found, watch, better, known)
            measured.append(found)
        return measured, findings

    def _quality_of_reference(self, watch: QualityWatch) -> Quality:
        return quality(self.problem, self._labelled, watch)

    @property
    def _labelled(self) -> Labelled:
        """Those rows of the reference that have a label: first answers of a model of others have none."""
        return self._once("labelled", self.reference.known)  # type: ignore[no-any-return]

    def _estimate(self, rows: Labelled, watch: EstimateWatch, judge: Judge) -> tuple[Estimate, Finding]:
        known, reason = self._once(f"figure {watch.metric}", lambda: self._of_reference(watch.metric))
        if known is None:
            found = Estimate(metric=watch.metric, rows=len(rows))
            return found, judge.unknown(Aspect.ESTIMATE, watch.metric, f"the reference has no {watch.metric}: {reason}")
        found = self._estimated(watch.metric, rows)
        return found, judge.estimate(found, watch, self.problem.higher_is_better(watch.metric), known)

    def _of_reference(self, metric: str) -> tuple[float | None, str]:
        """A metric of the reference, or why there is none."""
        try:
            measure = Measure(self.problem, self._labelled)
            return measure.figure(metric), measure.why_undefined(metric)
        except PermanentError as error:
            return None, str(error)

    def _estimated(self, metric: str, rows: Labelled) -> Estimate:
        reference = self._labelled
        if reference.predictions.ndim == 2:
            of_classes = self._once("cbpe", lambda: CbpeOfClasses(reference.predictions, reference.labels))
            return of_classes.estimate(metric, rows.predictions)  # type: ignore[no-any-return]
        if metric in ("roc_auc", "accuracy", "precision", "recall", "f1"):
            return self._once("cbpe", lambda: Cbpe(reference.predictions, reference.labels)).estimate(  # type: ignore[no-any-return]
                metric, rows.predictions
            )
        categories = {
            name: _values(reference.columns[name]) for name in self.features if _is_category(reference.columns[name])
        }
        categorical = tuple(place for place, name in enumerate(self.features) if name in categories)
        there, here = (encoded(each.columns, self.features, categories, len(each)) for each in (reference, rows))
        dle = self._once("dle", lambda: Dle(there, reference.predictions, reference.labels, self.features, categorical))
        return dle.estimate(metric, here, rows.predictions)  # type: ignore[no-any-return]

    def _changed(self, rows: Labelled, watch: ConceptDriftWatch, judge: Judge) -> Finding:
        there, left_out = self.reference, 0
        if watch.of == "error":
            rows, there = rows.known(), self._labelled
            if len(rows.weights):
                kept = rows.part(thinned(rows.weights, rows.requests))
                rows, left_out = kept, len(rows) - len(kept)
        order = np.argsort(rows.times, kind="stable")
        here, known = (errors(each) if watch.of == "error" else _first(each.predictions) for each in (rows, there))
        return judge.concept_drift(concept_drift(watch.detector, here[order], known), watch, left_out)

    def _large_groups(self, watch: FairnessWatch) -> dict[str, int]:
        found: dict[str, int] = self._once(
            f"groups {watch.column} {watch.min_rows}", lambda: large_groups(self.reference, watch)
        )
        return found

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self._known:
            self._known[name] = make()
        return self._known[name]


def errors(labelled: Labelled) -> NDArray[np.float64]:
    """How far each prediction is from its label; of several classes what the true one lacks to be sure."""
    if labelled.predictions.ndim == 1:
        return np.abs(labelled.labels - labelled.predictions)
    places = labelled.labels.astype(np.int64)
    return np.asarray(1 - labelled.predictions[np.arange(len(places)), places], dtype=np.float64)


def encoded(
    columns: Mapping[str, pa.Array], names: tuple[str, ...], categories: Mapping[str, pa.Array], rows: int
) -> NDArray[np.float64]:
    """Inputs as numbers, a column each: categories as their places among the known ones, others as the next place.

    A column that is no numbers, though it was, is infinite where it is there: beyond what the reference had.
    """
    found = np.full((rows, len(names)), np.nan)
    for place, name in enumerate(names):
        column = columns.get(name)
        if column is None or not len(column):
            continue
        if name in categories:
            known = categories[name]
            codes = pc.index_in(as_texts(column), known)
            values = pc.if_else(pc.is_null(column), None, pc.fill_null(codes, len(known))).cast(pa.float64())
        else:
            values = _as_numbers(column)
        found[:, place] = values.fill_null(np.nan).to_numpy(zero_copy_only=False)
    return found


def _as_numbers(column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pc.if_else(pc.is_valid(column), np.inf, None).cast(pa.float64())


def _first(predictions: NDArray[np.float64]) -> NDArray[np.float64]:
    return predictions if predictions.ndim == 1 else predictions[:, 0]


def _is_category(column: pa.Array) -> bool:
    kind = column.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind))


def _values(column: pa.Array) -> pa.Array:
    return pc.drop_null(pc.unique(as_texts(column))).sort()
