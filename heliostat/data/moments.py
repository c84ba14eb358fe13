"""Central moments of numbers, merged without the numbers. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Moments:
    """Count, mean, and the sums of the second to fourth powers of what lies between each number and the mean."""

    count: int
    mean: float
    second: float
    third: float
    fourth: float

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Self:
        """Of finite numbers, at least one; what is too large for a double becomes infinite or NaN."""
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(values.sum() / values.size)
            apart = values - mean
            squares = apart * apart
            second = float(squares.sum())
            # Not `dot`: BLAS would start threads for it.
            third, fourth = (float(np.einsum("i,i->", squares, each)) for each in (apart, squares))
        return cls(values.size, mean, second, third, fourth)

    @classmethod
    def merged(cls, moments: Sequence[Moments]) -> Self:
        """Those of all the numbers (Pébay 2008, for any number of parts at once); the order matters only to rounding."""
        count, mean, second, third, fourth = np.array(
            [(each.count, each.mean, each.second, each.third, each.fourth) for each in moments]
        ).T
        total = float(count.sum())
        with np.errstate(over="ignore", invalid="ignore"):
            middle = float((count * mean).sum() / total)
            apart = mean - middle
            return cls(
                int(total),
                middle,
                float((second + count * apart**2).sum()),
                float((third + 3 * apart * second + count * apart**3).sum()),
                float((fourth + 4 * apart * third + 6 * apart**2 * second + count * apart**4).sum()),
            )

    @property
    def variance(self) -> float:
        """Of the numbers as a population: divided by their count."""
        return self.second / self.count

    @property
    def deviation(self) -> float:
        """The standard deviation."""
        return math.sqrt(self.variance) if self.variance >= 0 else math.nan

    @property
    def skewness(self) -> float:
        """As `scipy.stats.skew` has it; NaN where all numbers are the same."""
        return math.sqrt(self.count) * self.third / self.second**1.5 if self.second > 0 else math.nan

    @property
    def kurtosis(self) -> float:
        """Beyond a normal distribution's, as `scipy.stats.kurtosis` has it; NaN where all numbers are the same."""
        return self.count * self.fourth / self.second**2 - 3 if self.second > 0 else math.nan
