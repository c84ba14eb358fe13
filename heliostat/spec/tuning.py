"""A small search for better parameters, as a part of a training: what is tried, and in which order. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from heliostat.spec.base import Model, Parameters
from heliostat.spec.metrics import MetricName
from heliostat.spec.parameters import JobParameters

_ATTEMPTS = 200


class Choice(Model):
    """One of some values."""

    kind: Literal["choice"]
    values: Annotated[tuple[bool | int | float | str, ...], Field(min_length=2, max_length=100)]
    """Each as likely."""


class _Range(Model):
    low: float
    """The least."""
    high: float
    """The most."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low is {self.low:g} and high is {self.high:g}: high must be more")
        return self


class Uniform(_Range):
    """A number between two, each as likely."""

    kind: Literal["uniform"]


class LogUniform(_Range):
    """A number between two above 0, each order of magnitude as likely."""

    kind: Literal["log-uniform"]
    low: Annotated[float, Field(gt=0)]
    """The least, above 0."""


class Whole(_Range):
    """A whole number from one to another, both of them too."""

    kind: Literal["whole"]
    low: int
    """The least."""
    high: int
    """The most."""


Values = Annotated[Choice | Uniform | LogUniform | Whole, Field(discriminator="kind")]


class Tuning(Model):
    """Trials before the training: the first is of the parameters as they are declared, the others at random by the seed.

    Each is a training in one worker, with all of the data; the workers try beside each other. The one with the best metric on
    the validation split gives the parameters of the training itself.
    """

    trials: Annotated[int, Field(ge=2, le=1000)] = 10
    """How many settings are tried, the declared one among them."""
    metric: MetricName
    """What is compared: one of the metrics that the workload's function hands back."""
    space: Annotated[dict[str, Values], Field(min_length=1)]
    """The parameters that are searched, by name, and the values that each may take."""
    seed: int = 7
    """The same seed tries the same settings."""


def settings(parameters: Parameters, tuning: Tuning) -> list[Parameters]:
    """The parameters that are searched, trial by trial, each setting once; fewer where the space has no more."""
    generator = random.Random(tuning.seed)  # noqa: S311 - a search, no secret
    found: list[Parameters] = [{name: parameters[name] for name in tuning.space}]
    for _ in range(_ATTEMPTS * tuning.trials):
        if len(found) == tuning.trials:
            break
        drawn = {name: _drawn(values, generator) for name, values in sorted(tuning.space.items())}
        if drawn not in found:
            found.append(drawn)
    return found


def space_mistakes(tuning: Tuning, declared: JobParameters) -> Iterator[tuple[tuple[str, ...], str]]:
    """What the space asks for that the workload's parameters do not take, each with its path below the tuning."""
    known = dict(declared)
    for name, values in tuning.space.items():
        if name not in known:
            yield ("space", name), f"there is no such parameter (there are: {', '.join(known)})"
            continue
        for field, value in _ends(values):
            for mistake in declared.mistakes({name: value}):
                yield ("space", name, field), f"{value}: {mistake.text}"


def _ends(values: Choice | Uniform | LogUniform | Whole) -> Iterator[tuple[str, Any]]:
    if isinstance(values, Choice):
        yield from (("values", value) for value in values.values)
    else:
        yield from (("low", values.low), ("high", values.high))


def _drawn(values: Choice | Uniform | LogUniform | Whole, generator: random.Random) -> bool | int | float | str:
    match values:
        case Choice():
            return generator.choice(values.values)
        case Whole():
            return generator.randint(values.low, values.high)
        case LogUniform():
            return math.exp(generator.uniform(math.log(values.low), math.log(values.high)))
        case Uniform():
            return generator.uniform(values.low, values.high)
