"""What the resources of a preview cost by list: a small table, and what is not in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from heliostat.engine.events import Op, StepStarted
from heliostat.engine.state import urns
from heliostat.engine.state.snapshot import Resource
from heliostat.engine.state.urns import Urn
from heliostat.pricing import HOURS_A_MONTH, Comparison, Declared, Estimate, compare

_STAYS = frozenset({Op.CREATE, Op.UPDATE, Op.SAME, Op.CREATE_REPLACEMENT, Op.IMPORT})
_NO_PRICE = "none: nodes, volumes and load balancers are the cluster's, and no table says what they cost there"
_MANY = 8
"""Names of a list that are shown."""


class PlannedPrice:
    """Gathers what a preview plans, beside what there was."""

    def __init__(self, before: Iterable[Resource]) -> None:
        self._before: dict[Urn, Mapping[str, Any]] = {each.urn: each.inputs for each in before}
        self._after = dict(self._before)

    def apply(self, event: StepStarted) -> None:
        """Takes one step in."""
        if event.op in _STAYS:
            self._after[event.urn] = event.inputs
        elif event.op is Op.DELETE:
            self._after.pop(event.urn, None)

    def comparison(self) -> Comparison:
        """What it costs before and after."""
        return compare(_declared(self._before), _declared(self._after))

    def lines(self) -> list[str]:
        """The price of the plan, for people; of what runs in somebody else's cluster alone, why it has none."""
        in_a_cluster = any(urns.type_of(urn).startswith("kubernetes:") for urn in {**self._before, **self._after})
        return lines(self.comparison()) or ([_NO_PRICE] if in_a_cluster else [])


def lines(comparison: Comparison) -> list[str]:
    """The price of a plan, for people; nothing where nobody pays for anything."""
    if comparison.is_empty:
        return []
    before, after = comparison.before, comparison.after
    rows = [
        ("", "USD an hour", "USD a month"),
        ("before", *_range(before.least(), before.most())),
        ("after", *_range(after.least(), after.most())),
        ("difference", *_range(after.least() - before.least(), after.most() - before.most(), sign="+")),
    ]
    if any(item.spot for item in after.items):
        rows.append(("of it, at spot", *_range(after.least(spot=True), after.most(spot=True))))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    table = [f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}".rstrip() for row in rows]
    return [*table, *_beside(after)]


def document(comparison: Comparison) -> dict[str, Any]:
    """The price of a plan, as `--json` has it; empty where nobody pays for anything."""
    if comparison.is_empty:
        return {}
    return {"currency": "USD", "before": _figures(comparison.before), "after": _figures(comparison.after)}


def _beside(estimate: Estimate) -> list[str]:
    """What a table of figures has to be read with."""
    dates = sorted({source.rpartition("; ")[2] for source in estimate.sources})
    told = []
    if estimate.least() != estimate.most():
        told.append("from the groups' minimum to their maximum; a month is 730 hours")
    if estimate.by_use:
        told.append(f"by use, not in it: {_some(estimate.by_use)}")
    if estimate.unknown:
        told.append(f"not known, not in it: {_some(estimate.unknown)}")
    if dates:
        told.append(f"list prices of {' and '.join(dates)}, without taxes and discounts")
    return told


def _figures(estimate: Estimate) -> dict[str, Any]:
    return {
        "hourAtMinimum": round(estimate.least(), 5),
        "hourAtMaximum": round(estimate.most(), 5),
        "monthAtMinimum": round(estimate.least() * HOURS_A_MONTH, 2),
        "monthAtMaximum": round(estimate.most() * HOURS_A_MONTH, 2),
        "spotHourAtMinimum": round(estimate.least(spot=True), 5),
        "spotHourAtMaximum": round(estimate.most(spot=True), 5),
        "items": [
            {"what": item.what, "hourAtMinimum": round(item.least, 5), "hourAtMaximum": round(item.most, 5), "spot": item.spot}
            for item in estimate.items
        ],
        "byUse": list(estimate.by_use),
        "unknown": list(estimate.unknown),
        "sources": list(estimate.sources),
    }


def _range(least: float, most: float, sign: str = "") -> tuple[str, str]:
    """An hour's price and a month's, at the minimum and at the maximum."""
    return _between(least, most, f"{sign},.3f"), _between(least * HOURS_A_MONTH, most * HOURS_A_MONTH, f"{sign},.0f")


def _between(least: float, most: float, form: str) -> str:
    both = dict.fromkeys((f"{least + 0.0:{form}}", f"{most + 0.0:{form}}"))
    return " to ".join(both)


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return "; ".join(names[:_MANY]) + more


def _declared(inputs: Mapping[Urn, Mapping[str, Any]]) -> list[Declared]:
    return [Declared(urns.type_of(urn), urns.name_of(urn), each) for urn, each in inputs.items()]
