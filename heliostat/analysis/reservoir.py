"""What is kept of rows that come for days: a uniform sample of them, of a bounded size, and their exact number."""

from __future__ import annotations

import random
from array import array
from typing import Final

import numpy as np
from numpy.typing import NDArray

MOST_KEPT: Final = 200_000
"""Rows. A share among so many is known to about 0.1 %, and sorting them takes a tenth of a second."""
_SEED: Final = 7


MOST_NUMBERS: Final = 1 << 24
"""Of rows of many numbers fewer are kept: 128 MiB."""


class Reservoir:
    """Rows of numbers; every row that came is in it with the same probability. The same rows make the same sample."""

    def __init__(self, columns: int, most: int = MOST_KEPT) -> None:
        self.rows = 0
        """That came, kept or not."""
        self._most = max(1, min(most, MOST_NUMBERS // columns))
        self._kept = tuple(array("d") for _ in range(columns))
        self._chance = random.Random(_SEED).random  # noqa: S311 - nothing is secret here

    def add(self, *numbers: float) -> None:
        """Take a row: Vitter's algorithm R."""
        self.rows += 1
        if self.rows <= self._most:
            for column, number in zip(self._kept, numbers, strict=True):
                column.append(number)
            return
        place = int(self._chance() * self.rows)
        if place < self._most:
            for column, number in zip(self._kept, numbers, strict=True):
                column[place] = number

    @property
    def columns(self) -> NDArray[np.float64]:
        """What is kept, one line a column."""
        return np.array(self._kept)
