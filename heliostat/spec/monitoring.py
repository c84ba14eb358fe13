"""A monitor's job, and what it keeps, as it lies in the object store.

monitors/<name>/state/<revision>.json           alarms, what waits to be sent, what was looked at: the last one counts
monitors/<name>/windows/<window>.json           what was found in a window when it was looked at last
monitors/<name>/others/<version>/<window>.json   the same of a version that did not serve by then, whose labels came late
monitors/<name>/references/<digest>/            what a version is held against; `about.json` is written last
monitors/<name>/proposals/<moment>.json         a retraining that was proposed
monitors/<name>/runs/<moment>.json              how a look ended that was due
schedules/monitor.<name>.json                   when it looks: `heliostat.spec.predictions.Scheduled`
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from pydantic import Field

from heliostat.spec.addresses import StoreAddress
from heliostat.spec.base import Digest, EntryPoint, Model, Name, is_empty, is_none
from heliostat.spec.fairness import FairnessAtGate
from heliostat.spec.ingestion import WatchedSource
from heliostat.spec.monitors import Monitor
from heliostat.spec.personal import Privacy
from heliostat.spec.problem import Problem


class MonitorSpecification(Model):
    """Look at an application once."""

    name: Name
    """The monitor's, which is the application's."""
    contract: EntryPoint
    code_digest: Digest
    """Of the contract's code, and of metrics of the workload's own."""
    model_uri: str
    """`models:/<name>/<version>`, which serves."""
    dataset_key: str = ""
    """Of the snapshot that it was trained and tested on; empty of a model of others."""
    dataset_digest: Digest | None = None
    problem: Problem
    monitor: Monitor
    transformed: dict[str, Any] | None = None
    """What the workload's schema expects after its own transformation (`heliostat.data.schema.Transformed`)."""
    privacy: Privacy | None = Field(default=None, exclude_if=is_none)
    """The application's: what the contract marks as personal is treated in what the version is held against."""
    store: StoreAddress
    tracking_uri: str
    data_value: str | None = None
    """What the parameter that a retraining sets was declared to be when what serves came; None where nobody knows."""
    new_data: WatchedSource | None = Field(default=None, exclude_if=is_none)
    """What new rows are counted of beside the log's; None where nothing trains here, or rows are not ingested."""
    usd_an_hour: float | None = None
    """What an hour of a training costs by list, where a retraining has a budget."""
    result_key: str = ""
    """Where to say that it looked; empty where nobody waits for it."""
    at: float | None = None
    """The time that it is, Unix time, for a simulation; by default that of the clock."""


class Refusal(Model):
    """A candidate that the gate refused, or that its rollout went back from."""

    at: float
    """Unix time."""
    candidate: str
    reasons: tuple[str, ...]
    report: str = ""
    """Where the whole report is."""
    by_group: tuple[FairnessAtGate, ...] = Field(default=(), exclude_if=is_empty)
    """How it treats groups of people, where the gate asks."""


class Acceptance(Model):
    """A candidate that the gate accepted."""

    at: float
    """Unix time."""
    version: str
    """As the registry has it, `models:/NAME/VERSION`."""
    summary: str
    """Its figure beside that of what served and the baseline's."""
    report: str = ""
    """Where the whole report is."""
    by_group: tuple[FairnessAtGate, ...] = Field(default=(), exclude_if=is_empty)
    """How it treats groups of people, where the gate asks."""


TOP: Final = "monitors/"


def top(name: str) -> str:
    """Where all of a monitor lies."""
    return f"{TOP}{name}/"


def states(name: str) -> str:
    """Where its state lies, a revision an object."""
    return f"{top(name)}state/"


def window_key(name: str, window: str) -> str:
    """Where a window's report lies."""
    return f"{top(name)}windows/{_file_of(window)}"


def window_place(key: str) -> list[int | str]:
    """What a window's key is ordered by: windows of so many rows are called by numbers of any length."""
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", key.rpartition("/")[2])]


def newest_windows(keys: Iterable[str], most: int) -> list[str]:
    """The keys of the last windows, `most` of those by time and as many of those of so many rows, where both were declared."""
    kinds: dict[int | str, list[str]] = {}
    for key in sorted(keys, key=window_place):
        kinds.setdefault(window_place(key)[0], []).append(key)
    return [key for kind in kinds.values() for key in kind[-most:]]


def other_windows(name: str) -> str:
    """Where windows of versions lie that did not serve when they were looked at."""
    return f"{top(name)}others/"


def other_window_key(name: str, version: str, window: str) -> str:
    """Where the report of such a window lies."""
    return f"{other_windows(name)}{version}/{_file_of(window)}"


def _file_of(window: str) -> str:
    return f"{window.replace(' ', '-').replace(':', '')}.json"


def references(name: str) -> str:
    """Where all references lie."""
    return f"{top(name)}references/"


def reference_top(name: str, digest: str) -> str:
    """Where a reference lies."""
    return f"{references(name)}{digest}/"


def proposal_key(name: str, moment: str) -> str:
    """Where a retraining is proposed."""
    return f"{top(name)}proposals/{moment}.json"


def acceptances(name: str) -> str:
    """Where candidates lie that the gate accepted."""
    return f"{top(name)}acceptances/"


def refusals(name: str) -> str:
    """Where refused candidates are."""
    return f"{top(name)}refusals/"


def runs(name: str) -> str:
    """Where it is noted how looks ended."""
    return f"{top(name)}runs/"


def schedule_name(name: str) -> str:
    """What its schedule is called; no batch prediction can have that name."""
    return f"monitor.{name}"
