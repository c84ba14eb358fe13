"""How an accepted version comes to clients in a simulation: by the stack's strategy, or a canary with a person's approval."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter

from heliostat.spec.analysis import Analysis, Check, CustomCheck, Latency, ModelMetric, RejectionRate, SuccessRate
from heliostat.spec.problem import Problem
from heliostat.spec.strategies import Canary, CanaryStep, Strategy

_DAY_SECONDS = 86_400.0
_MARGIN = 0.02
_ROWS = 2_000
"""How many answers the metric of the usual canary is of: less, and a margin of 0.02 is chance."""
_ANY = SuccessRate(at_least=0.0)
"""In the place of checks none of which can be made."""


def usual(problem: Problem, field: str, metric: str | None) -> Canary:
    """A tenth of the traffic for a day, then a person's approval; half of it for a day; then all.

    Args:
        problem: What `metric` is of.
        field: Of the answer, with the prediction.
        metric: What the candidate is held to beside what serves; None where the task has none for a number.
    """
    checks: list[Check] = [SuccessRate(at_least=0.99)]
    if metric is not None:
        checks.append(ModelMetric(metric=metric, field=field, margin=_MARGIN, of=problem))
    steps = (
        CanaryStep(weight=10, pause_seconds=_DAY_SECONDS, approval=True),
        CanaryStep(weight=50, pause_seconds=_DAY_SECONDS),
    )
    return Canary(steps=steps, analysis=Analysis(checks=tuple(checks), seconds=_DAY_SECONDS, min_requests=_ROWS))


def without_replicas(strategy: Strategy) -> tuple[Strategy, tuple[str, ...]]:
    """A strategy without the checks that only replicas answer, and which these were."""
    left_out: dict[str, None] = {}

    def changed(value: Any) -> Any:
        if isinstance(value, Analysis):
            left_out.update(dict.fromkeys(_names(value)))
            kept = tuple(check for check in value.checks if not _needs_replicas(check))
            return value.model_copy(update={"checks": kept or (_ANY,)})
        if isinstance(value, CanaryStep):
            return value.model_copy(update={"analysis": changed(value.analysis)})
        return tuple(changed(each) for each in value) if isinstance(value, tuple) else value

    fields = {name: changed(getattr(strategy, name)) for name in type(strategy).model_fields}
    adapter: TypeAdapter[Strategy] = TypeAdapter(Strategy)
    return adapter.validate_python(strategy.model_copy(update=fields)), tuple(left_out)


def _names(analysis: Analysis) -> Iterator[str]:
    for check in analysis.checks:
        if _needs_replicas(check):
            yield check.name if isinstance(check, CustomCheck) else check.kind


def _needs_replicas(check: Check) -> bool:
    """Whether a check is of what only a replica can show: times, refusals, and functions that ask it."""
    match check:
        case Latency() | RejectionRate() | CustomCheck():
            return True
        case ModelMetric(of=problem, metric=metric):
            return problem is not None and problem.custom(metric) is not None
    return False
