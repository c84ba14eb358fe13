"""What Ray, jobs and the tracking server add to a fit, and how fast the fit itself is in Ray Train's workers."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from bench.commands import MeasurementError, run
from bench.numbers import alternate, paired_ratio
from bench.rows import BY_NAME, Result
from bench.session import SOURCE, Session, Stack
from heliostat.spec.training_resources import TrainJobOutputs
from heliostat.systems.mlflow_registry import Registry

_ROUNDS = 3
_RATE, _STEP = 0.1, 0.001
_LOOP = "loop_seconds"


def train_job(session: Session) -> Iterable[Result]:
    """Trainings on a cluster that is up, each by a changed learning rate, in turn with the same fit in one plain process.

    The loop is the workload's training function from its first line to its last: reading the data, fitting, evaluating.
    What is added is everything else of an `up` of that one resource, the engine's own start included.
    """
    stack = session.stack
    added: list[float] = []

    def through_up() -> float:
        seconds, outputs = _trained(stack, _RATE + _STEP * (len(added) + 1))
        loop = _loop_seconds(outputs)
        added.append(seconds - loop)
        session.tell(f"`up` of the TrainJob: {seconds:.1f} s, its workers' loop: {loop:.1f} s")
        return loop

    def directly() -> float:
        seconds = _direct(session, _outputs(stack))
        session.tell(f"the same fit called directly: {seconds:.1f} s")
        return seconds

    loops, direct = alternate(through_up, directly, _ROUNDS)
    yield BY_NAME["training/overhead"].result(median(added), seconds=added)
    yield BY_NAME["training/loop"].result(paired_ratio(loops, direct), loop_seconds=loops, direct_seconds=direct)


def _trained(stack: Stack, learning_rate: float) -> tuple[float, TrainJobOutputs]:
    """Train with this learning rate and nothing else; how long the `up` took."""
    before = _outputs(stack)
    changed = {"learning_rate": round(learning_rate, 6)}

    def change(workloads: Any) -> None:
        workloads["flights"].setdefault("training", {}).setdefault("parameters", {}).update(changed)

    stack.workspace.edit("workloads", change)
    seconds = stack.workspace.up("--target", _train_job(stack)["urn"]).seconds
    after = _outputs(stack)
    if after.run_id == before.run_id:
        raise MeasurementError(f"nothing was trained for learning_rate {learning_rate}: run {after.run_id} served before")
    return seconds, after


def _loop_seconds(outputs: TrainJobOutputs) -> float:
    with Registry(outputs.tracking_uri) as registry:
        found = registry.run(outputs.run_id)
    if found is None or _LOOP not in found.metrics:
        raise MeasurementError(f"run {outputs.run_id} has no metric {_LOOP}")
    return found.metrics[_LOOP]


def _direct(session: Session, outputs: TrainJobOutputs) -> float:
    file = session.folder / "direct.json"
    file.write_text(outputs.model_dump_json(by_alias=True))
    # Threads wait as they do in the workers: spinning for a core that something else has would only slow this side down.
    said = run([sys.executable, "-m", "bench.direct_fit", str(file)], SOURCE, {"OMP_WAIT_POLICY": "passive"}).output
    # The last line is the result; libraries may print before it.
    return float(json.loads(said.splitlines()[-1])["loopSeconds"])


def _train_job(stack: Stack) -> Mapping[str, Any]:
    return stack.workspace.resources()["TrainJob"]


def _outputs(stack: Stack) -> TrainJobOutputs:
    known = TrainJobOutputs.model_fields.values()
    names = {field.alias for field in known}
    return TrainJobOutputs.model_validate({k: v for k, v in _train_job(stack)["outputs"].items() if k in names})
