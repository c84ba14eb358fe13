"""Features that a model could do without: how much worse it gets where columns are shuffled, by group and over time. Pure.

A legacy feature is one that no longer helps. A bundled one never did: it came in with ones that do (Sculley and others 2015).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from heliostat.data.profiles import Profile

Predict = Callable[[pa.Table], Any]
Score = Callable[[Any, Any], float]
"""Of truth and predictions; more is better."""


@dataclass(frozen=True)
class Importance:
    """How much a score falls where a group of columns is shuffled together."""

    columns: tuple[str, ...]
    mean: float
    error: float
    """The mean's standard error, over the repeats."""


def permutation_importance(
    predict: Predict, score: Score, table: pa.Table, label: str, groups: Mapping[str, Sequence[str]], repeats: int = 10
) -> dict[str, Importance]:
    """The importance of each group of columns, which are shuffled as rows of the group: what they say together is kept.

    Raises:
        ValueError: a column is not there, or there are no rows or fewer than two repeats.
    """
    truth = table[label].to_numpy()
    return importances(groups, [score(truth, predict(each)) for each in variants(table, groups, repeats)])


def variants(table: pa.Table, groups: Mapping[str, Sequence[str]], repeats: int) -> Iterator[pa.Table]:
    """What a model has to predict for it: the table, and then for each group the table with that shuffled, `repeats` times.

    Raises:
        ValueError: a column is not there, or there are no rows or fewer than two repeats.
    """
    missing = sorted({name for names in groups.values() for name in names if name not in table.column_names})
    if missing or table.num_rows < 2 or repeats < 2:
        raise ValueError(
            f"columns that are not there: {', '.join(map(repr, missing)) or 'none'}; {table.num_rows} rows, {repeats} repeats"
            ": name columns of the table, and give two rows and two repeats at least"
        )
    generator = np.random.default_rng(0)
    orders = [pa.array(generator.permutation(table.num_rows)) for _ in range(repeats)]
    yield table
    for columns in groups.values():
        yield from (_shuffled(table, columns, order) for order in orders)


def importances(groups: Mapping[str, Sequence[str]], scores: Sequence[float]) -> dict[str, Importance]:
    """The importance of each group, by the scores of `variants`, in their order."""
    repeats = (len(scores) - 1) // len(groups) if groups else 0
    falls = [scores[0] - score for score in scores[1:]]
    return {
        name: _importance(columns, falls[number * repeats : (number + 1) * repeats])
        for number, (name, columns) in enumerate(groups.items())
    }


def overall(by_period: Mapping[str, Importance]) -> Importance:
    """The importance over periods of equal weight."""
    found = list(by_period.values())
    error = math.sqrt(sum(each.error**2 for each in found)) / len(found)
    return Importance(found[0].columns, float(np.mean([each.mean for each in found])), error)


def legacy(history: Mapping[str, Mapping[str, Importance]], periods: int = 3, least: float = 0.0) -> tuple[str, ...]:
    """The groups that helped once and, in each of the last periods, no longer do: their importance is at most `least`."""
    found = []
    for name, by_period in history.items():
        values = list(by_period.values())
        recent, earlier = values[-periods:], values[:-periods]
        helped = any(each.mean - 1.96 * each.error > least for each in earlier)
        if len(recent) == periods and helped and all(_is_nothing(each, least) for each in recent):
            found.append(name)
    return tuple(found)


def bundled(
    together: Mapping[str, Importance], alone: Mapping[str, Importance], least: float = 0.0
) -> dict[str, tuple[str, ...]]:
    """For each group that helps, the columns of it that do not: shuffled alone they change nothing, while another one does."""
    found = {}
    for name, group in together.items():
        members = {column: alone[column] for column in group.columns if column in alone}
        idle = tuple(column for column, each in members.items() if _is_nothing(each, least))
        if group.mean - 1.96 * group.error > least and idle and len(idle) < len(members):
            found[name] = idle
    return found


def correlated_groups(profile: Profile, at_least: float = 0.8) -> dict[str, tuple[str, ...]]:
    """Groups of columns of numbers that say nearly the same, by their correlations; each column is in one.

    Raises:
        ValueError: the profile has no correlations.
    """
    if profile.correlations is None:
        raise ValueError("the profile has no correlations: make it with `Measures(correlations=True)`")
    from scipy.sparse.csgraph import connected_components

    names, strength = profile.correlations.names, np.nan_to_num(np.abs(profile.correlations.coefficients))
    _, numbers = connected_components(strength >= at_least, directed=False)
    groups: dict[int, list[str]] = {}
    for name, number in zip(names, numbers.tolist(), strict=True):
        groups.setdefault(number, []).append(name)
    return {columns[0]: tuple(columns) for columns in groups.values()}


def _is_nothing(importance: Importance, least: float) -> bool:
    """Whether what a group adds cannot be told from `least`, or is less."""
    return importance.mean - 1.96 * importance.error <= least


def _shuffled(table: pa.Table, columns: Sequence[str], order: pa.Array) -> pa.Table:
    for name in columns:
        table = table.set_column(table.column_names.index(name), name, table[name].take(order))
    return table


def _importance(columns: Sequence[str], falls: Sequence[float]) -> Importance:
    return Importance(tuple(columns), float(np.mean(falls)), float(np.std(falls, ddof=1)) / math.sqrt(len(falls)))
