"""From reports to findings: what is within its limits, what is not, and what cannot be told. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite

from heliostat.data.drift import ColumnDrift
from heliostat.monitoring.bias import Bias
from heliostat.monitoring.concept_drift import ConceptDrift
from heliostat.monitoring.estimates import Estimate
from heliostat.monitoring.fairness import GroupFairness
from heliostat.monitoring.fairness import told as told_of_groups
from heliostat.monitoring.feedback import Feedback, Tie
from heliostat.monitoring.fragility import Fragility
from heliostat.monitoring.intervals import Interval
from heliostat.monitoring.quality import Figure, Quality
from heliostat.monitoring.skew import Skew
from heliostat.monitoring.weighing import TOLD
from heliostat.spec.base import Name
from heliostat.spec.fairness_watches import FairnessWatch
from heliostat.spec.findings import Aspect, Finding, State
from heliostat.spec.formatting import counted
from heliostat.spec.watches import (
    BiasWatch,
    ConceptDriftWatch,
    EstimateWatch,
    FeedbackWatch,
    FragilityWatch,
    QualityWatch,
    RecencyWatch,
    SkewWatch,
    Watch,
)

_ALPHA = 0.01
_TREND = 0.5
"""Kendall's tau from which on a tie is said to grow, or to fade."""


@dataclass(frozen=True)
class Judge:
    """Judges what was found in one window."""

    monitor: Name
    window: str
    at: datetime
    """The window's end."""

    def quality(self, found: Quality, watch: QualityWatch, higher_is_better: bool, reference: Quality | None) -> list[Finding]:
        """A metric and its slices, each against the limit and against the same of the reference."""
        overall = reference.overall if reference is not None else None
        findings = [self._figure(found.metric, found.overall, watch, higher_is_better, overall)]
        for column, values in found.slices.items():
            known = reference.slices.get(column, {}) if reference is not None else {}
            for value, figure in values.items():
                subject = f"{found.metric}[{column}={value}]"
                findings.append(self._figure(subject, figure, watch, higher_is_better, known.get(value)))
        return findings

    def _figure(
        self, subject: str, figure: Figure, watch: QualityWatch, higher_is_better: bool, reference: Figure | None
    ) -> Finding:
        if figure.interval is None:
            return self.unknown(Aspect.QUALITY, subject, figure.reason)
        limit, why = _limit(watch, higher_is_better, reference)
        value = figure.interval.value
        if limit is None:
            return self.unknown(Aspect.QUALITY, subject, f"{subject} is {value:.4g}; {why}", value)
        wrong = figure.interval.is_beyond(limit, above=not higher_is_better)
        side = "below" if higher_is_better else "above"
        told = f"{subject} is {_shown(figure.interval)} on {figure.rows:,} labelled rows, "
        told += f"{TOLD}, " if figure.weighed else ""
        right = figure.interval.is_beyond(limit, above=higher_is_better)
        told += f"{'better than' if right else side if wrong else f'not surely {side}'} {limit:.4g}, {why}"
        return self._judged(Aspect.QUALITY, subject, wrong, watch, told, value, limit)

    def bias(self, found: Bias, watch: BiasWatch) -> list[Finding]:
        """The ratio of the means, and the calibration where a limit is declared for it."""
        if found.rows < watch.min_rows or found.ratio is None:
            few = f"{found.rows} labelled rows are fewer than the {watch.min_rows} that it takes"
            reason = few if found.rows < watch.min_rows else found.reason
            return [self.unknown(Aspect.PREDICTION_BIAS, "ratio", reason)]
        ratio = found.ratio
        low, high = ratio.is_beyond(watch.lowest, above=False), ratio.is_beyond(watch.highest, above=True)
        told = f"the mean prediction {found.mean_prediction:.4g} is {_shown(ratio)} of the mean label {found.mean_label:.4g}"
        told += f", below {watch.lowest:g}: predictions are too low" if low else ""
        told += f", above {watch.highest:g}: predictions are too high" if high else ""
        told += f"; of the {found.rows:,} labelled rows {TOLD}" if found.weighed else ""
        limit = watch.lowest if ratio.value < 1 else watch.highest
        findings = [self._judged(Aspect.PREDICTION_BIAS, "ratio", low or high, watch, told, ratio.value, limit)]
        if watch.calibration_error is not None and found.calibration_error is not None:
            findings.append(self._calibration(found, watch, watch.calibration_error))
        return findings

    def _calibration(self, found: Bias, watch: BiasWatch, limit: float) -> Finding:
        error, noise = found.calibration_error or 0.0, found.calibration_noise or 0.0
        told = f"probabilities are {error:.4g} off on average, of which {noise:.4g} would be chance; at most {limit:g}"
        return self._judged(Aspect.CALIBRATION, "expected error", error - noise > limit, watch, told, error, limit)

    def fairness(self, found: GroupFairness, watch: FairnessWatch) -> Finding:
        """A figure between groups: wrong where all of its interval is beyond the limit."""
        if found.value is None:
            return self.unknown(Aspect.FAIRNESS, found.subject, found.reason)
        wrong = found.value.is_beyond(watch.limit, above=not watch.metric.is_ratio)
        text = told_of_groups(found, watch.limit)
        return self._judged(Aspect.FAIRNESS, found.subject, wrong, watch, text, found.value.value, watch.limit)

    def estimate(self, found: Estimate, watch: EstimateWatch, higher_is_better: bool, reference: float) -> Finding:
        """An estimated metric against that of the reference; where a precondition fails nothing is concluded."""
        if found.rows < watch.min_rows:
            text = f"{found.rows} predictions are fewer than the {watch.min_rows} that it takes"
            return self.unknown(Aspect.ESTIMATE, watch.metric, text)
        if found.value is None:
            return self.unknown(Aspect.ESTIMATE, watch.metric, f"{watch.metric} is not estimated: {found.text}")
        limit = reference - watch.margin if higher_is_better else reference + watch.margin
        wrong = found.value < limit if higher_is_better else found.value > limit
        told = f"{watch.metric} is estimated at {found.value:.4g}, {reference:.4g} in the reference, limit {limit:.4g}"
        told += f"; {found.text}"
        return self._judged(Aspect.ESTIMATE, watch.metric, wrong, watch, told, found.value, limit)

    def concept_drift(self, found: ConceptDrift, watch: ConceptDriftWatch, left_out: int = 0) -> Finding:
        """Changes in a stream, of which rows were left out that were likelier to be chosen for review than others."""
        subject = f"{watch.of} by {watch.detector}"
        if found.reason:
            return self.unknown(Aspect.CONCEPT_DRIFT, subject, found.reason)
        skipped = f"; {found.skipped} rows without a number were passed over" if found.skipped else ""
        if left_out:
            skipped += f"; {left_out:,} rows that were likelier to be chosen for review are left out, so that all are alike"
        if not found.changes:
            told = f"the {watch.of} did not change lastingly by more than about {found.smallest:.3g}{skipped}"
            return self._judged(Aspect.CONCEPT_DRIFT, subject, False, watch, told)
        last = found.changes[-1]
        told = f"the {watch.of} changed {counted(len(found.changes), 'time')}, last at row {last.row} of {found.rows}"
        told += f" from {last.before:.4g} to {last.after:.4g}{skipped}"
        return self._judged(Aspect.CONCEPT_DRIFT, subject, True, watch, told, last.after)

    def drift(self, aspect: Aspect, column: ColumnDrift, watch: Watch) -> Finding:
        """A column of inputs or predictions beside its reference; what cannot be compared is unknown."""
        text = "; ".join([f"{column.name} {column.text}", *column.notes])
        if column.status == "not compared":
            return self.unknown(aspect, column.name, text)
        value = column.distances.get(column.limit.distance) if column.limit is not None else None
        value = value if value is not None and isfinite(value) else None
        limit = column.limit.least if column.limit is not None else None
        return self._judged(aspect, column.name, column.alarms, watch, text, value, limit)

    def skew(self, found: Skew, watch: SkewWatch) -> list[Finding]:
        """Features on both paths: one finding of the schema, and one of each feature that differs too often."""
        if found.reason:
            return [self.unknown(Aspect.SKEW, "schema", found.reason)]
        told = [f"serving does not make {', '.join(found.lacking)}"] if found.lacking else []
        told += [f"training does not make {', '.join(found.extra)}"] if found.extra else []
        told += [f"{name} is {one} when training and {other} when serving" for name, (one, other) in found.types.items()]
        text = "; ".join(told) or f"both paths make the same {len(found.features)} features"
        findings = [self._judged(Aspect.SKEW, "schema", bool(told), watch, text)]
        for name, feature in found.features.items():
            wrong = feature.share > watch.most_share
            findings.append(self._judged(Aspect.SKEW, name, wrong, watch, feature.text, feature.share, watch.most_share))
        return findings

    def transformed(self, by: str, told: Sequence[str], watch: SkewWatch) -> Finding:
        """What serving is given after the workload's transformation, held to its schema: what is not as expected."""
        text = "; ".join(told) or f"after {by} serving has what the schema expects"
        return self._judged(Aspect.SKEW, "transformed", bool(told), watch, text)

    def fragility(self, found: Fragility, watch: FragilityWatch) -> Finding:
        """The worst change at the smallest ε."""
        if found.reason:
            return self.unknown(Aspect.FRAGILITY, "inputs", found.reason)
        first = found.responses[0]
        moved = ", ".join(f"{name} {change}" for name, change in list(first.worst_inputs.items())[:5])
        told = f"moved by {first.epsilon:g} standard deviations a prediction changes by {first.worst_change:.4g} at worst and "
        told += (
            f"{first.mean_change:.4g} on average; at most {watch.most_change:g}; at worst in row {first.worst_row}: {moved}"
        )
        wrong = first.worst_change > watch.most_change
        return self._judged(Aspect.FRAGILITY, "inputs", wrong, watch, told, first.worst_change, watch.most_change)

    def feedback(self, found: Feedback, watch: FeedbackWatch) -> list[Finding]:
        """The holdout, and each column that may follow answers."""
        findings = []
        if found.holdout_share is not None:
            told = f"{found.holdout_share:.2%} of the rows are held out; at least {watch.least_holdout:.2%} are needed"
            wrong = found.holdout_share < watch.least_holdout
            args = (Aspect.FEEDBACK, "holdout", wrong, watch, told, found.holdout_share, watch.least_holdout)
            findings.append(self._judged(*args))
        if found.exploration is not None:
            told = f"{found.exploration:.2%} of the decisions are not the most usual one of their {watch.key}"
            told += ": of what was never decided nothing is learned" if found.exploration == 0 else ""
            findings.append(self._judged(Aspect.FEEDBACK, "exploration", False, watch, told, found.exploration))
        for name, tie in found.ties.items():
            if tie.correlation is None or tie.p_value is None:
                findings.append(self.unknown(Aspect.FEEDBACK, name, tie.reason))
                continue
            strong = abs(tie.correlation) > watch.most_correlation and tie.p_value < _ALPHA
            told = f"{name} follows the answer before it (partial correlation {tie.correlation:+.3f} in {tie.pairs:,} pairs)"
            if tie.held_out is None:
                told += "; that is no proof of a loop: " + (tie.reason or "hold some rows out, and name them in `holdout`")
            else:
                strong = strong and (tie.difference_p_value or 0) < _ALPHA
                told += f", {tie.held_out:+.3f} among those held out"
            told += _grown(tie)
            args = (Aspect.FEEDBACK, name, strong, watch, told, tie.correlation, watch.most_correlation)
            findings.append(self._judged(*args))
        return findings

    def recency(
        self, newest: Mapping[str, datetime | None], watch: RecencyWatch, now: datetime, since: datetime | None = None
    ) -> Iterator[Finding]:
        """How old the newest `predictions`, `labels` and `training data` are.

        What was never there is too old once it was watched for so long; `since` is when that began, None for long ago.
        """
        limits = {
            "predictions": watch.predictions_seconds,
            "labels": watch.labels_seconds,
            "training data": watch.training_data_seconds,
        }
        for subject, limit in limits.items():
            if limit is None:
                continue
            time = newest.get(subject)
            age = (now - time).total_seconds() if time is not None else None
            if age is None and subject != "training data" and since is not None and (now - since).total_seconds() <= limit:
                watched = timedelta(seconds=round((now - since).total_seconds()))
                text = f"there are no {subject} yet; it is watched for {watched}, and they may take {timedelta(seconds=limit)}"
                yield self.unknown(Aspect.RECENCY, subject, text)
                continue
            if age is None:
                told = f"there are no {subject}"
            elif age < -60:
                told = f"the newest {subject} are {timedelta(seconds=round(-age))} in the future: clocks are apart"
            else:
                told = (
                    f"the newest {subject} are {timedelta(seconds=round(max(0, age)))} old; at most {timedelta(seconds=limit)}"
                )
            wrong = age is None or age > limit or age < -60
            yield self._judged(Aspect.RECENCY, subject, wrong, watch, told, age, limit)

    def contract(self, text: str) -> Finding:
        """That the version that is looked at has all that is watched."""
        return self._judged(Aspect.LOG, "contract", False, Watch(), text)

    def first_answers(self, aspect: Aspect, rows: int, awaited: str) -> Finding:
        """Whether there is a reference of a version's own first answers, or what it waits for."""
        if awaited:
            return self.unknown(aspect, "reference", awaited)
        told = f"the version's first {rows:,} answers are what later ones are held against"
        return self._judged(aspect, "reference", False, Watch(), told)

    def _judged(
        self, aspect: Aspect, subject: str, wrong: bool, watch: Watch, text: str, value: float | None = None,
        limit: float | None = None,
    ) -> Finding:  # fmt: skip
        return Finding(
            monitor=self.monitor, aspect=aspect, subject=subject, state=State.BREACH if wrong else State.OK,
            severity=watch.severity, window=self.window, at=self.at, value=value, limit=limit, text=text,
        )  # fmt: skip

    def unknown(self, aspect: Aspect, subject: str, text: str, value: float | None = None) -> Finding:
        """That something cannot be told, and why."""
        return Finding(
            monitor=self.monitor, aspect=aspect, subject=subject, state=State.UNKNOWN, window=self.window, at=self.at,
            value=value, text=text,
        )  # fmt: skip


def _grown(tie: Tie) -> str:
    if tie.trend is None:
        return ""
    way = "as strong as before" if abs(tie.trend) < _TREND else ("stronger" if tie.trend > 0 else "weaker")
    return f"; from window to window it is {way} (Kendall's tau {tie.trend:+.2f} in {tie.windows} windows)"


def _limit(watch: QualityWatch, higher_is_better: bool, reference: Figure | None) -> tuple[float | None, str]:
    """The stricter of the declared limit and the reference's value with its margin, and where it is from."""
    limits = [(watch.limit, "the limit")] if watch.limit is not None else []
    if watch.margin is not None and reference is not None and reference.interval is not None:
        there = reference.interval.value
        told = f"{watch.margin:g} worse than the reference's {there:.4g}"
        limits.append((there - watch.margin if higher_is_better else there + watch.margin, told))
    if not limits:
        return None, "the reference has no such figure to compare with"
    return (max if higher_is_better else min)(limits, key=lambda each: each[0])


def _shown(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return f"{interval.value:.4g}"
    return f"{interval.value:.4g} ({interval.low:.4g} to {interval.high:.4g})"
