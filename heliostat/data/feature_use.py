"""Which features a model makes use of, period by period, and which it could do without: planned, and told of. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from heliostat.data.importance import Importance, bundled, correlated_groups, legacy, overall
from heliostat.data.profiling import Measures, profile

Period = Literal["day", "week", "month", "quarter"]
WHOLE: Final = "all"
"""The period of rows that no column of times takes apart."""
_FORMS: Final = {"day": "%Y-%m-%d", "week": "%G-W%V", "month": "%Y-%m"}


@dataclass(frozen=True)
class FeatureUse:
    """What is known of a model's features."""

    metric: str
    periods: tuple[str, ...]
    rows: Mapping[str, int]
    """Of each period, that were predicted."""
    groups: Mapping[str, Mapping[str, Importance]]
    """Of each group of features that say nearly the same: by period, how far the metric worsens where it is shuffled."""
    alone: Mapping[str, Importance]
    """Of each feature, shuffled by itself, over all periods."""
    recent: int
    """How many of the last periods a legacy feature does nothing in."""
    least: float
    notes: tuple[str, ...] = field(default=())

    @property
    def legacy(self) -> tuple[str, ...]:
        """The groups that helped once and no longer do."""
        return legacy(self.groups, self.recent, self.least)

    @property
    def bundled(self) -> dict[str, tuple[str, ...]]:
        """For each group that helps, the features of it that do nothing."""
        return bundled({name: overall(found) for name, found in self.groups.items()}, self.alone, self.least)

    def as_json(self) -> dict[str, Any]:
        """As plain JSON."""
        return {
            "metric": self.metric,
            "periods": [{"name": name, "rows": self.rows[name]} for name in self.periods],
            "groups": [
                {
                    "columns": list(overall(found).columns),
                    **_figures(overall(found)),
                    "byPeriod": {period: _figures(each) for period, each in found.items()},
                }
                for found in self.groups.values()
            ],
            "columns": {name: _figures(each) for name, each in self.alone.items()},
            "legacy": [list(overall(self.groups[name]).columns) for name in self.legacy],
            "bundled": [{"columns": list(each), "with": name} for name, each in self.bundled.items()],
            "recent": self.recent,
            "least": self.least,
            "notes": list(self.notes),
        }


def time_column(table: pa.Table, given: str | None, declared: Sequence[str | None]) -> tuple[str | None, str]:
    """The column of times that takes rows apart, and a note where there is none.

    Args:
        table: the rows.
        given: what somebody asked for.
        declared: columns that a split, or a schema, says the rows happened at; the first that is there counts.

    Raises:
        ValueError: what was asked for is not there, or is no time.
    """
    times = [each.name for each in table.schema if pa.types.is_timestamp(each.type) or pa.types.is_date(each.type)]
    there = ", ".join(times) or "none"
    if given is not None:
        if given not in times:
            raise ValueError(f"{given!r} is no column of times of the data: there are {there}")
        return given, ""
    for name in declared:
        if name in times:
            return name, ""
    if len(times) == 1:
        return times[0], ""
    text = "no column says when a row happened, so that nothing is known by period"
    return None, text if not times else f"which of {there} says when a row happened is not known: name it with --time"


def by_period(table: pa.Table, column: str | None, period: Period, most: int) -> dict[str, pa.Table]:
    """The rows of each period, the earliest first, at most so many of each, spread evenly; those without a time are left
    out."""
    if column is None:
        return {WHOLE: _spread(table, most)}
    times = table[column]
    if period == "quarter":
        year, part = pc.year(times).cast(pa.string()), pc.quarter(times).cast(pa.string())
        names = pc.binary_join_element_wise(year, part, "-Q")
    else:
        names = pc.strftime(times, _FORMS[period])
    found = sorted(name for name in names.unique().to_pylist() if name is not None)
    return {name: _spread(table.filter(pc.equal(names, name)), most) for name in found}


def groups_of(features: pa.Table, at_least: float) -> dict[str, tuple[str, ...]]:
    """Each feature in one group: numbers with those that they are correlated with so much, all others by themselves."""
    found = profile(features, Measures(distinct=False))
    groups = correlated_groups(found, at_least) if found.correlations is not None else {}
    grouped = {name for columns in groups.values() for name in columns}
    return groups | {name: (name,) for name in features.column_names if name not in grouped}


def shuffled_by(groups: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """What has to be shuffled: the groups, and each member of those with several by itself, under its name behind a dot."""
    several = [columns for columns in groups.values() if len(columns) > 1]
    return {**groups, **{alone(name): (name,) for columns in several for name in columns}}


def alone(name: str) -> str:
    """The key of a feature that is shuffled by itself, of a group."""
    return f".{name}"


def use(
    metric: str,
    groups: Mapping[str, tuple[str, ...]],
    found: Mapping[str, Mapping[str, Importance]],
    rows: Mapping[str, int],
    recent: int,
    least: float,
    notes: Sequence[str] = (),
) -> FeatureUse:
    """What importances say, which are given by period and in it by what was shuffled."""
    by_group = {name: {period: each[name] for period, each in found.items()} for name in groups}
    singles = {
        name: overall({period: each[alone(name) if len(columns) > 1 else group] for period, each in found.items()})
        for group, columns in groups.items()
        for name in columns
    }
    told = [*notes, *_too_few(len(found), recent)]
    return FeatureUse(metric, tuple(found), rows, by_group, singles, recent, least, tuple(told))


def _too_few(periods: int, recent: int) -> Iterator[str]:
    if periods <= recent:
        yield (
            f"{periods} periods are too few to tell what helped once and does nothing in the last {recent}: take more rows, "
            "shorter periods, or fewer of the last"
        )


def _spread(table: pa.Table, most: int) -> pa.Table:
    if table.num_rows <= most:
        return table
    return table.take(pa.array([number * table.num_rows // most for number in range(most)]))


def _figures(importance: Importance) -> dict[str, float]:
    return {name: value for name, value in asdict(importance).items() if name != "columns"}
