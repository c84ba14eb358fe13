"""Whether a candidate may be registered: a pure decision from the figures of one evaluation.

The report is what `heliostat.ml.jobs.evaluate` writes: for the candidate, its baseline and, where something serves, the
incumbent, the metric on the whole test split and on each slice, all on the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from heliostat.spec.workload import Gate


@dataclass(frozen=True)
class Figures:
    """The gate's metric of one model."""

    model: str
    """What people call it: its URI, or `the baseline`."""
    overall: float
    slices: Mapping[str, Mapping[str, float]]
    """By column and value; only those with enough rows."""


@dataclass(frozen=True)
class Verdict:
    """What the gate says."""

    accepted: bool
    reasons: tuple[str, ...]
    """Why not, each with its figures; empty where accepted."""
    summary: str
    """One line of figures, whatever it says."""


def judge(
    gate: Gate, higher_is_better: bool, candidate: Figures, baseline: Figures | None, incumbent: Figures | None
) -> Verdict:
    """The verdict on the candidate: not worse than the incumbent by more than the margins, and better than the baseline."""
    sign = 1.0 if higher_is_better else -1.0
    reasons: list[str] = []
    if baseline is not None:
        ahead = sign * (candidate.overall - baseline.overall)
        if ahead < gate.beat_baseline_by:
            reasons.append(
                f"{gate.metric} is {candidate.overall:.4f}, the baseline's {baseline.overall:.4f}: "
                f"it must be better by {gate.beat_baseline_by:g} and is {_distance(ahead)}"
            )
    if incumbent is not None:
        behind = sign * (incumbent.overall - candidate.overall)
        if behind > gate.margin:
            reasons.append(
                f"{gate.metric} is {candidate.overall:.4f}, that of {incumbent.model} which serves {incumbent.overall:.4f}: "
                f"worse by {behind:.4f}, {behind - gate.margin:.4f} more than the margin of {gate.margin:g}"
            )
        reasons.extend(_slices(gate, sign, candidate, incumbent))
    return Verdict(not reasons, tuple(reasons), _summary(gate, candidate, baseline, incumbent))


def figures_of(name: str, report: Mapping[str, Any] | None, metric: str) -> Figures | None:
    """The gate's figures in one model's part of a report."""
    if report is None:
        return None
    slices = {
        column: {value: float(entry["value"]) for value, entry in values.items()}
        for column, values in report["slices"].items()
    }
    return Figures(name, float(report["overall"][metric]), slices)


def _slices(gate: Gate, sign: float, candidate: Figures, incumbent: Figures) -> Iterator[str]:
    for item in gate.slices:
        ours, theirs = candidate.slices.get(item.column, {}), incumbent.slices.get(item.column, {})
        for value in sorted(ours.keys() & theirs.keys()):
            behind = sign * (theirs[value] - ours[value])
            if behind > item.margin:
                yield (
                    f"on {item.column} {value} {gate.metric} is {ours[value]:.4f}, "
                    f"that of {incumbent.model} {theirs[value]:.4f}: worse by {behind:.4f}, "
                    f"{behind - item.margin:.4f} more than the margin of {item.margin:g}"
                )


def _summary(gate: Gate, candidate: Figures, baseline: Figures | None, incumbent: Figures | None) -> str:
    parts = [f"{gate.metric} {candidate.overall:.4f}"]
    if incumbent is not None:
        parts.append(f"{incumbent.model} {incumbent.overall:.4f}")
    if baseline is not None:
        parts.append(f"baseline {baseline.overall:.4f}")
    return ", ".join(parts)


def _distance(ahead: float) -> str:
    return f"better by {ahead:.4f}" if ahead >= 0 else f"worse by {-ahead:.4f}"
