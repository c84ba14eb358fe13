"""An environment's models and data beside those of another stack, as production. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from heliostat.gitops.markdown import figure, table, text_of
from heliostat.spec.snapshot_settings import sample_text

_MANY: Final = 20
"""Slices that are shown of a column: those that differ most."""
_VERSION: Final = "heliostat:index:ModelVersion"
_DATASET: Final = "heliostat:index:Dataset"


@dataclass(frozen=True)
class Side:
    """What one stack has of a workload; what it does not have, or nobody can read, is empty."""

    version: str = ""
    """`models:/<name>/<number>`"""
    report: Mapping[str, Any] = field(default_factory=dict)
    """The evaluation of that version."""
    data_digest: str = ""
    rows: Mapping[str, int] = field(default_factory=dict)
    schema: Mapping[str, str] = field(default_factory=dict)
    """Types by column."""


@dataclass(frozen=True)
class SideAddresses:
    """Where a stack says that evaluation and schema of a workload lie, with what it says itself."""

    side: Side
    report_uri: str = ""
    schema_uri: str = ""


def addresses_in(resources: Sequence[Mapping[str, Any]], workload: str) -> SideAddresses:
    """What the resources of a stack, as its state has them, say of a workload."""
    found = {
        each["type"]: each.get("outputs") or {}
        for each in resources
        if each["type"] in {_VERSION, _DATASET}
        and not each.get("delete")
        and (each.get("outputs") or {}).get("name") == workload
    }
    version, dataset = found.get(_VERSION, {}), found.get(_DATASET, {})
    side = Side(
        str(version.get("servedModelUri") or ""),
        data_digest=str((dataset.get("address") or {}).get("digest") or ""),
        rows=dict(dataset.get("rows") or {}),
    )
    return SideAddresses(side, str(version.get("reportUri") or ""), str(dataset.get("schemaUri") or ""))


def comparison(workload: str, ours: Side, theirs: Side, beside: str) -> str:
    """The candidate's metrics overall and by slice beside those of what another stack serves, and what differs in the data.

    Empty where neither has a model or data of it.
    """
    parts = [*_metrics(ours, theirs, beside), *_data(ours, theirs, beside)]
    return "\n\n".join([f"#### {text_of(workload)}, beside {text_of(beside)}", *parts]) if parts else ""


def nothing_beside(beside: str) -> str:
    """What to say in the place of comparisons where the other stack is not there yet."""
    return (
        f"#### Beside {text_of(beside)}\n\nThere is no stack {text_of(beside)} yet: models and data of this branch are "
        "compared with it once it was brought up."
    )


def _metrics(ours: Side, theirs: Side, beside: str) -> Iterator[str]:
    if ours.version and ours.version == theirs.version:
        yield f"The model is the same: {text_of(ours.version)}."
        return
    mine, other = (side.report.get("candidate") or {} for side in (ours, theirs))
    if not mine:
        return
    for whose, side in (("This branch's figures", ours), (f"Those of {text_of(beside)}", theirs)):
        if (share := side.report.get("sample")) is not None:
            yield f"**{whose} are of {sample_text(share)}.**"
    if ours.report.get("dataset") != theirs.report.get("dataset") and other:
        yield "_They were measured on different test data: read the figures as such._"
    heads = ["", text_of(ours.version) or "this branch", text_of(f"{theirs.version} in {beside}") if other else "not known"]
    rows = _rows(mine.get("overall") or {}, other.get("overall") or {})
    yield table(heads, rows)
    slices = [each.get("slices") or {} for each in (mine, other)]
    for column in sorted({*slices[0], *slices[1]}):
        here, there = ({value: entry.get("value") for value, entry in (each.get(column) or {}).items()} for each in slices)
        rows = _rows(here, there, by_difference(here, there))
        more = [[f"and {len(rows) - _MANY} more", "", ""]] if len(rows) > _MANY else []
        yield table([text_of(column), *heads[1:]], [*rows[:_MANY], *more])


def by_difference(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """The names of figures of either side: those that differ most come first, what one side does not have comes last."""
    return sorted({*ours, *theirs}, key=lambda name: (-_difference(ours.get(name), theirs.get(name)), name))


def _difference(ours: Any, theirs: Any) -> float:
    both = (ours, theirs)
    if not all(isinstance(each, int | float) and math.isfinite(each) for each in both):
        return -1.0 if None in both else math.inf
    return abs(float(ours) - float(theirs))


def _rows(ours: Mapping[str, Any], theirs: Mapping[str, Any], names: Iterable[str] = ()) -> list[list[str]]:
    return [[text_of(name), figure(ours.get(name)), figure(theirs.get(name))] for name in names or sorted({*ours, *theirs})]


def _data(ours: Side, theirs: Side, beside: str) -> Iterator[str]:
    if not ours.data_digest or not theirs.data_digest:
        return
    if ours.data_digest == theirs.data_digest:
        yield f"The data is the same: {ours.data_digest[:12]}."
        return
    rows = [
        [text_of(name), str(ours.rows.get(name, "")), str(theirs.rows.get(name, ""))]
        for name in sorted({*ours.rows, *theirs.rows})
    ]
    yield table(["rows", f"this branch, {ours.data_digest[:12]}", f"{text_of(beside)}, {theirs.data_digest[:12]}"], rows)
    changed = [
        [text_of(name), text_of(ours.schema.get(name, "not there")), text_of(theirs.schema.get(name, "not there"))]
        for name in sorted({*ours.schema, *theirs.schema})
        if ours.schema.get(name) != theirs.schema.get(name)
    ]
    if changed:
        yield table(["column", "this branch", text_of(beside)], changed)
    elif ours.schema:
        yield "The schema is the same."
