"""What is different about a training, and how far one is, in words."""

from __future__ import annotations

from typing import Any

from heliostat.spec.distribution import is_usual
from heliostat.spec.training_resources import TrainJobInputs, TrainJobOutputs
from heliostat.spec.workload import Scaling


def task_of(inputs: TrainJobInputs) -> dict[str, Any] | None:
    """What the task decides of the model; metrics only measure it."""
    return inputs.problem.task_identity if inputs.problem is not None else None


def why(old: TrainJobOutputs | None, new: TrainJobInputs) -> str:
    """What is different, in words; empty for a first training."""
    if old is None:
        return ""
    changes = [
        f"parameters.{name} {_shown(old.parameters.get(name))} -> {_shown(new.parameters.get(name))}"
        for name in sorted(old.parameters.keys() | new.parameters.keys())
        if old.parameters.get(name) != new.parameters.get(name)
    ]
    if old.code.digest != new.code.digest:
        changes.append("its code changed")
    if old.dataset.digest != new.dataset.digest:
        changes.append(f"its data changed ({old.dataset.digest[:12]} -> {new.dataset.digest[:12]})")
    if old.scaling != new.scaling:
        changes.append(f"its scaling changed ({_width(old.scaling)} -> {_width(new.scaling).removeprefix('workers ')})")
    if task_of(old) != task_of(new):
        changes.append("its task changed")
    if old.continue_from != new.continue_from:
        changes.append(f"it continues from {new.continue_from or 'nothing'} (before: {old.continue_from or 'nothing'})")
    if old.ensemble != new.ensemble:
        changes.append(f"{_together(new)} (before: {_together(old)})")
    if old.tuning != new.tuning:
        changes.append("its tuning changed")
    return f": {', '.join(changes)}" if changes else ""


def told(progress: dict[str, Any]) -> str:
    """A line of progress for people."""
    if "text" in progress:
        return str(progress["text"])
    figures = ", ".join(f"{name} {value:.4f}" for name, value in progress.get("metrics", {}).items())
    left = progress.get("secondsLeft", 0)
    parts = [f"round {progress['step']} of {progress['steps']}", figures, f"{left:.0f} s left" if left else ""]
    return ", ".join(filter(None, parts))


def _together(inputs: TrainJobInputs) -> str:
    ensemble = inputs.ensemble
    if ensemble is None:
        return "its model answers alone"
    share = "what does best" if ensemble.share is None else f"{ensemble.share:.0%}"
    return f"its model answers together with {ensemble.model}, which counts for {share}, of {ensemble.most_members} at most"


def _width(scaling: Scaling) -> str:
    width = f"{scaling.fewest} to {scaling.workers}" if scaling.fewest < scaling.workers else f"{scaling.workers}"
    how = "" if is_usual(scaling.distribution) else f" {scaling.distribution.kind}"
    return f"workers {width}{how}" + (f" on {scaling.group}" if scaling.group else "")


def _shown(value: object) -> str:
    return "unset" if value is None else str(value)
