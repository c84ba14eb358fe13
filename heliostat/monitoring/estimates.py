"""What an estimate without labels is, and what it takes for granted."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from heliostat.spec.base import Model

Numbers = NDArray[np.float64]
_MOST_OUTSIDE: Final = 0.01
"""Share of the rows that may be beyond what the reference had."""
_LEAST_REFERENCE: Final = 500
ASSUMPTION: Final = (
    "it holds only as far as labels still mean the same for the same inputs: concept drift cannot be seen in it"
)


class Precondition(Model):
    """Something that an estimate takes for granted."""

    name: str
    holds: bool
    text: str


class Estimate(Model):
    """A metric that was estimated without labels."""

    metric: str
    value: float | None = None
    """None where it is not defined, or a precondition does not hold."""
    rows: int
    preconditions: tuple[Precondition, ...] = Field(default_factory=tuple)

    @property
    def trusted(self) -> bool:
        """Whether all that it takes for granted, and can be looked at, holds."""
        return all(each.holds for each in self.preconditions)

    @property
    def text(self) -> str:
        """What it rests on, the failed preconditions first."""
        failed = [each.text for each in self.preconditions if not each.holds]
        return "; ".join([*failed, ASSUMPTION])


def reference(rows: int, problem: str) -> Precondition:
    """That there are rows enough to learn from, and no `problem` with them."""
    if rows < _LEAST_REFERENCE:
        text = f"the reference has {rows} labelled rows, fewer than {_LEAST_REFERENCE}"
        return Precondition(name="reference", holds=False, text=text)
    text = f"the reference has {problem}" if problem else f"the reference has {rows} labelled rows"
    return Precondition(name="reference", holds=not problem, text=text)


def outside(values: Numbers, known: tuple[float, float], what: str) -> Precondition:
    """That values are where those of the reference were."""
    share = float(((values < known[0]) | (values > known[1])).mean()) if len(values) else 0.0
    return overlapping(share, what)


def overlapping(share: float, what: str) -> Precondition:
    """The same of a share of rows that are not."""
    text = f"{share:.1%} of the rows have {what or 'values'} that the reference had none of; at most {_MOST_OUTSIDE:.0%}"
    return Precondition(name="overlap", holds=share <= _MOST_OUTSIDE, text=text)
