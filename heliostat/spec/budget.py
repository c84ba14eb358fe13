"""What a training may take before it ends in order, and what follows then. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from heliostat.spec.base import Model

_HOUR = 3600.0


class AfterBudget(StrEnum):
    """What becomes of a training that its budget has ended."""

    EVALUATE = "evaluate"
    """Its model is judged as any other, by the gate."""
    REFUSE = "refuse"
    """The update fails and what serves goes on serving; with a larger budget it goes on from its last checkpoint."""


class TrainingBudget(Model):
    """What a training may take: at the first step after that it keeps a checkpoint and ends.

    It counts the seconds in which the workers trained, of all attempts up to what they kept. It decides nothing about what is
    trained: a larger one goes on where a smaller one ended.
    """

    seconds: Annotated[float, Field(gt=0)] | None = None
    """Of training, from the first step on."""
    usd: Annotated[float, Field(gt=0)] | None = None
    """By the price list, of the nodes that it fills; needs a group of nodes whose price is known."""
    then: AfterBudget = AfterBudget.EVALUATE
    """What becomes of the model that it has by then."""

    @model_validator(mode="after")
    def _says_how_much(self) -> Self:
        if self.seconds is None and self.usd is None:
            raise ValueError("a budget says how much: give `seconds`, `usd` or both")
        return self


def limit_of(budget: TrainingBudget | None, usd_an_hour: float | None) -> float | None:
    """Seconds that a training may take at this price; None where nothing limits it.

    Raises:
        ValueError: it is in USD and the price is not known.
    """
    if budget is None:
        return None
    if budget.usd is not None and usd_an_hour is None:
        raise ValueError(
            f"the budget is {budget.usd:g} USD and the price of the nodes is not known: give it in `seconds`, or name a group "
            "of a platform of the kinds `aws` or `gcp` in training.scaling.group"
        )
    by_price = budget.usd / usd_an_hour * _HOUR if budget.usd is not None and usd_an_hour else None
    given = [each for each in (budget.seconds, by_price) if each is not None]
    return min(given) if given else None


def may_go_on(ended_at: float | None, limit: float | None) -> bool:
    """Whether a training that a budget ended at some seconds has more by now; one that ended by itself does not go on."""
    return ended_at is not None and (limit is None or limit > ended_at)
