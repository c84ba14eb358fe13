"""How an application moves from one version to the next: typed values, chosen in the config.

The terms are the field's own (Kubernetes Deployments, Argo Rollouts, Flagger).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError

from heliostat.spec.analysis import (
    Analysis,
    Check,
    CustomCheck,
    Disagreement,
    Latency,
    ModelMetric,
    PredictionDistance,
    RejectionRate,
    SuccessRate,
)
from heliostat.spec.base import EntryPoint, Model
from heliostat.spec.mistakes import beside, not_one_of

T = TypeVar("T")

Percent = Annotated[float, Field(gt=0, le=100, multiple_of=0.01)]
Retention = Annotated[float, Field(ge=0, le=7 * 86400)]
Patience = Annotated[float, Field(gt=0, le=30 * 86400)]


class Recreate(Model):
    """Stop the old version, then start the new one: no capacity on top, and a gap without service."""

    kind: Literal["recreate"] = "recreate"


class Rolling(Model):
    """Move replicas from the old version to the new one a share at a time; both answer meanwhile."""

    kind: Literal["rolling"] = "rolling"
    percentage: Annotated[int, Field(gt=0, le=100)] = 50
    """Share of the replicas that moves in one step, in percent, rounded up to a whole replica."""
    max_surge: Annotated[int, Field(ge=0)] = 1
    """Replicas that may exist on top of the declared number while it runs; 0 stops an old one before each new one."""
    min_healthy_percentage: Annotated[int, Field(ge=0, le=100)] = 50
    """Share of the declared replicas that is always healthy, in percent."""
    analysis: Analysis | None = None
    """What each share has to pass before the next one moves."""

    @model_validator(mode="wrap")
    @classmethod
    def _has_something_beside_it(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return beside(given, handler, *_stands_alone(given))


class BlueGreen(Model):
    """Start the whole new version beside the old one, test it, move all traffic at once, keep the old one a while."""

    kind: Literal["blue-green"] = "blue-green"
    before: Analysis | None = None
    """What the candidate has to pass before it gets traffic: requests are replayed to it."""
    after: Analysis | None = None
    """What it has to pass once it has all traffic; until then the update is not through, and a failure goes back."""
    retention_seconds: Retention = 30.0
    """How long the old version stays up after the switch, ready to take the traffic back, in seconds."""


class CanaryStep(Model):
    """One step of a canary: the share of the traffic, and what has to happen before the next."""

    weight: Percent
    """Share of the traffic that the candidate gets, in percent, to 0.01."""
    analysis: Analysis | None = None
    """By default the canary's own."""
    pause_seconds: Annotated[float, Field(ge=0, le=7 * 86400)] = 0.0
    """How long the step lasts at least."""
    approval: bool = False
    """Whether a person has to let it go on: `heliostat rollout approve`."""


class Affinity(Model):
    """What a client is known by, so that it stays on one version: its hash decides instead of chance."""

    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = None
    """Requests without the header are drawn by chance, one by one."""
    cookie: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    """A client without the cookie is given one."""

    @model_validator(mode="wrap")
    @classmethod
    def _one_of_them(cls, given: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        return beside(given, handler, *not_one_of(given, "an affinity is by", "header", "cookie"))


class Canary(Model):
    """Start the whole new version beside the old one, and move the traffic step by step; after the last one, all of it."""

    kind: Literal["canary"] = "canary"
    steps: Annotated[tuple[CanaryStep, ...], Field(min_length=1, max_length=50)]
    """By rising weight. Without a step of 100, the last one is followed by all traffic."""
    analysis: Analysis | None = None
    """Of every step that has none of its own."""
    affinity: Affinity | None = None
    """Keeps a client on one version (A/B); by default each request is drawn by chance."""
    approval_timeout_seconds: Patience = 7 * 86400.0
    """How long a step waits for a person until the candidate is rolled back."""
    retention_seconds: Retention = 30.0
    """How long the old version is kept, warm, once the new one has all traffic."""

    @field_validator("steps", mode="wrap")
    @classmethod
    def _steps_rise(cls, steps: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        return beside(steps, handler, *_falls(steps))


class Shadow(Model):
    """The candidate answers copies of real requests beside what serves; its answers are compared, never returned.

    Where it passes, it takes all traffic at once.
    """

    kind: Literal["shadow"] = "shadow"
    analysis: Analysis
    """What is held against the candidate's answers; its `seconds` are the time that it runs in the shadow."""
    sampling_percentage: Percent = 100.0
    """Share of the requests that is copied, in percent."""
    approval: bool = False
    """Whether a person has to let it have the traffic after that."""
    approval_timeout_seconds: Patience = 7 * 86400.0
    """How long a person is waited for; then it is rolled back."""
    after: Analysis | None = None
    """What it has to pass once it has all traffic."""
    retention_seconds: Retention = 30.0
    """How long the old version is kept, warm, once the new one has all traffic."""


Strategy = Annotated[Recreate | Rolling | BlueGreen | Canary | Shadow, Field(discriminator="kind")]


def functions_of(strategy: Strategy) -> tuple[EntryPoint, ...]:
    """The workload's own functions among its checks, each once, in order."""
    analyses: list[Analysis | None] = []
    if isinstance(strategy, Rolling | Canary | Shadow):
        analyses.append(strategy.analysis)
    if isinstance(strategy, Canary):
        analyses += [step.analysis for step in strategy.steps]
    if isinstance(strategy, BlueGreen):
        analyses.append(strategy.before)
    if isinstance(strategy, BlueGreen | Shadow):
        analyses.append(strategy.after)
    checks = [check for analysis in analyses if analysis for check in analysis.checks]
    return tuple(dict.fromkeys(check.function for check in checks if isinstance(check, CustomCheck) and check.function))


def _stands_alone(rolling: Any) -> list[PydanticCustomError]:
    """That checks compare with what serves where nothing does any more; the rest may be wrong in other ways."""
    given = rolling if isinstance(rolling, Mapping) else {}
    analysis = _right(Analysis, given, "analysis")
    checks = analysis.checks if analysis is not None and _right(int, given, "max_surge") == 0 else ()
    comparing = dict.fromkeys(check.kind for check in checks if _compares(check))
    if not comparing:
        return []
    text = (
        "without surge the last of the old replicas goes before the last new one comes, and the checks {checks} would have "
        "nothing to compare that one with: give maxSurge 1 or more, or limits that hold by themselves (atLeast, atMostMs, "
        "limit)"
    )
    return [PydanticCustomError("stands_alone", text, {"checks": ", ".join(comparing)})]


def _right(kind: type[T], given: Mapping[str, Any], name: str) -> T | None:
    """What a key of the config says, by either of its spellings, where that is right; None where it is not there."""
    try:
        return TypeAdapter(kind).validate_python(given.get(name, given.get(to_camel(name))))
    except ValidationError:
        return None


def _compares(check: Check) -> bool:
    """Whether a check holds the candidate against what serves."""
    match check:
        case Disagreement() | PredictionDistance():
            return True
        case SuccessRate(margin=most) | RejectionRate(margin=most) | ModelMetric(margin=most) | Latency(times=most):
            return most is not None
        case _:
            return False


def _falls(steps: Any) -> list[InitErrorDetails]:
    """Each weight that does not rise, in steps that may be wrong in other ways."""
    weights = [
        (number, _right(float, step if isinstance(step, Mapping) else vars(step), "weight"))
        for number, step in enumerate(steps if isinstance(steps, (list, tuple)) else ())
        if isinstance(step, (Mapping, CanaryStep))
    ]
    known = [(number, weight) for number, weight in weights if weight is not None]
    text = "the weights of a canary's steps must rise: {weight} does not, after {before}"
    return [
        InitErrorDetails(
            type=PydanticCustomError("weights_fall", text, {"weight": f"{weight:g}", "before": f"{before:g}"}),
            loc=(number, "weight"),
            input=weight,
        )
        for (_, before), (number, weight) in pairwise(known)
        if weight <= before
    ]
