"""Correlations of numbers, each pair over the rows that have both; merged without the rows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Correlations:
    """Sums over the rows in which both columns of a pair have a number. Each matrix has a row and a column for each."""

    names: tuple[str, ...]
    counts: Matrix
    means: Matrix
    """Of the row's column, over the rows in which the column's one is there too."""
    squares: Matrix
    """Of what lies between the row's column and its mean."""
    products: Matrix
    """Of what lies between both and their means."""

    @classmethod
    def of(cls, names: Sequence[str], columns: Sequence[NDArray[np.float64]]) -> Correlations:
        """Of columns of the same length; NaN and infinities are no numbers."""
        values = np.column_stack(columns)
        finite = np.isfinite(values)
        if finite.all():
            return cls._of_whole(tuple(names), values)
        values[~finite] = 0
        present = finite.astype(np.float64)
        # Near nothing, so that sums of squares keep their digits.
        middle = values.sum(axis=0) / np.maximum(present.sum(axis=0), 1)
        values = (values - middle) * present
        counts, sums = present.T @ present, values.T @ present
        means = sums / np.maximum(counts, 1)
        squares = (values * values).T @ present - means * sums
        products = values.T @ values - counts * means * means.T
        return cls(tuple(names), counts, means + middle[:, None], squares, products)

    @classmethod
    def _of_whole(cls, names: tuple[str, ...], values: Matrix) -> Correlations:
        rows, width = values.shape
        middle = values.mean(axis=0)
        values -= middle
        products = values.T @ values
        shape = (width, width)
        means, squares = np.broadcast_to(middle[:, None], shape), np.broadcast_to(products.diagonal()[:, None], shape)
        return cls(names, np.full(shape, float(rows)), means, squares, products)

    @classmethod
    def merged(cls, parts: Sequence[Correlations]) -> Correlations:
        """Of the rows of all parts, for the columns that all of them have."""
        common = set(parts[0].names).intersection(*(each.names for each in parts[1:]))
        names = tuple(name for name in parts[0].names if name in common)
        counts, means, squares, products = (
            np.stack([each._of_names(names, field) for each in parts]) for field in ("counts", "means", "squares", "products")
        )
        total = counts.sum(axis=0)
        middle = (counts * means).sum(axis=0) / np.maximum(total, 1)
        apart = means - middle
        squares = (squares + counts * apart**2).sum(axis=0)
        products = (products + counts * apart * apart.transpose(0, 2, 1)).sum(axis=0)
        return cls(names, total, middle, squares, products)

    @property
    def coefficients(self) -> Matrix:
        """Pearson's of each pair; NaN where one is constant, or where fewer than two rows have both."""
        scale = np.sqrt(self.squares * self.squares.T)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.where((scale > 0) & (self.counts > 1), self.products / scale, np.nan)
        return np.clip(found, -1, 1)

    def _of_names(self, names: Sequence[str], field: str) -> Matrix:
        matrix: Matrix = getattr(self, field)
        if names == self.names:
            return matrix
        places = [self.names.index(name) for name in names]
        return matrix[np.ix_(places, places)]
