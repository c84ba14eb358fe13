"""What becomes known, by labels that come late, of versions that do not serve now. Pure.

A version is judged by its own answers, whichever serves when their labels come: as a look judges the one that serves, by
quality and bias, against its own reference. Nobody is called by it: what an alarm is about has to be there to be mended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import AwareDatetime, Field

from heliostat.monitoring.windows import (
    OUTSIDE,
    Looked,
    Micros,
    Window,
    assign,
    counts,
    from_micros,
    numbers_of,
    open_window,
    to_micros,
    window,
)
from heliostat.spec.base import Model
from heliostat.spec.findings import Finding
from heliostat.spec.monitors import Monitor
from heliostat.spec.watches import CalendarWindows, Windows

_MOST: Final = 20
"""Versions that are remembered."""
Flags = NDArray[np.bool_]


class OtherVersion(Model):
    """What is remembered of one."""

    looked: dict[int, Looked] = Field(default_factory=dict)
    """What each of its windows held when it was looked at last, by the window's number."""
    findings: dict[str, Finding] = Field(default_factory=dict)
    """The newest of each key."""
    at: AwareDatetime
    """When something was found of it last."""


@dataclass(frozen=True)
class Cut:
    """The windows of one version's rows."""

    held: Mapping[int, Looked]
    due: tuple[int, ...]
    """Those to look at, the oldest first: they are over, and more of their rows have a label than before."""
    number_of: Callable[[Micros, Flags], NDArray[np.int64]]
    name_of: Callable[[int], Window]
    waits: bool = False
    """Whether it has rows in a window that is not over."""


def cut(
    windows: Windows,
    times: Micros,
    timed: Flags,
    labelled: Flags,
    before: Mapping[int, Looked],
    first: datetime,
    now: datetime,
) -> Cut:
    """The windows of one version's rows.

    Windows of so many rows are numbered by what serves: here all rows that are read are one.

    Args:
        windows: As they are declared.
        times: Of each row of the version, microseconds since 1970.
        timed: Which rows have a time.
        labelled: Which rows have a label.
        before: What each window held when it was looked at last.
        first: The first moment of what was read: an older window is not whole.
        now: The time by our clock.
    """
    if not isinstance(windows, CalendarWindows):
        return _in_one(times, timed, labelled, before)
    every, grace = windows.every, timedelta(seconds=windows.grace_seconds)
    least = int(numbers_of(np.array([to_micros(first) - 1]), every)[0]) + 1
    following = open_window(every, now, grace)
    held = {n: each for n, each in _held(assign(times, timed, every, now).numbers, labelled).items() if n >= least}
    over = {n: each for n, each in held.items() if n < following}
    return Cut(
        held,
        tuple(sorted(n for n, each in over.items() if _has_news(each, before.get(n)))),
        lambda some, there: assign(some, there, every, now).numbers,
        lambda number: window(number, every),
        waits=len(over) < len(held),
    )


def _in_one(times: Micros, timed: Flags, labelled: Flags, before: Mapping[int, Looked]) -> Cut:
    held = _held(np.where(timed, 0, OUTSIDE), labelled)
    there = times[timed]
    start, end = (int(there.min()), int(there.max())) if len(there) else (0, 0)
    return Cut(
        held,
        tuple(n for n, each in held.items() if _has_news(each, before.get(n))),
        lambda some, there: np.where(there, 0, OUTSIDE),
        lambda _: Window(from_micros(start), from_micros(end + 1), "all rows that are read"),
    )


def _has_news(each: Looked, before: Looked | None) -> bool:
    return each.labels > (before.labels if before is not None else 0)


def _held(numbers: NDArray[np.int64], labelled: Flags) -> dict[int, Looked]:
    rows, labels = counts(numbers), counts(np.where(labelled, numbers, OUTSIDE))
    return {number: Looked(count, labels.get(number, 0)) for number, count in rows.items()}


def judged_by_labels(monitor: Monitor) -> Monitor:
    """What is watched, as far as labels alone tell it."""
    fairness = tuple(watch for watch in monitor.fairness if watch.metric.labels_needed)
    return monitor.model_copy(update={"estimate": (), "concept_drift": (), "fairness": fairness})


def told_of(finding: Finding, version: str) -> Finding:
    """A finding of a version that does not serve, which says so first."""
    return finding.model_copy(update={"text": f"of version {version}, which is not watched now: {finding.text}"})


def unanswered(rows: int, unpredicted: int, field: str) -> str:
    """Why nothing can be told of a version's answers: its contract may have had no such field; empty where some have one."""
    return f"none of its {rows:,} answers has a finite {field!r}" if rows and rows == unpredicted else ""


def remembered(known: Mapping[str, OtherVersion], fresh: Mapping[str, OtherVersion], serving: str) -> dict[str, OtherVersion]:
    """All that is known of other versions after a look.

    Args:
        known: Before it, by the version's number.
        fresh: Those of which rows were read: what each window held when it was looked at last, and what was found now.
        serving: The number of the version that serves: of it the monitor's own findings tell.
    """
    found = {version: each.model_copy(update={"looked": {}}) for version, each in known.items()}
    for version, each in fresh.items():
        old = known.get(version, each)
        at = each.at if each.findings else old.at
        found[version] = OtherVersion(looked=each.looked, findings={**old.findings, **each.findings}, at=at)
    found.pop(serving, None)
    newest = sorted(found, key=lambda version: found[version].at)[-_MOST:]
    return {version: each for version, each in found.items() if version in newest}
