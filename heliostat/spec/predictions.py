"""Predictions made beforehand, as they lie in the object store.

    batches/<name>/declared/<digest>.json          whose they are and where they go: `Declared`, before anything else is there
    batches/<name>/parts/<digest>.parquet          a part's predictions, by what it was made of
    batches/<name>/rows/<digest>/...               the rows of a query, as they were
    batches/<name>/results/<run>/table.sqlite      all of a result, for a lookup; or one that has its place, beside it
    batches/<name>/results/<run>/manifest.json     the result, written when all of it is there
    batches/<name>/current/<model>-<version>.json  the newest result of a model version: `Current`
    batches/<name>/runs/<moment>.json              how a run ended that was due
    schedules/<name>.json                          when it is made again: `Scheduled`

A run's name is the digest of its rows and of what predicts, so that the same again is found done.
"""

from __future__ import annotations

import hashlib
from typing import Final, Literal

from pydantic import Field

from heliostat.spec.base import Digest, Model, Name
from heliostat.spec.batch import Sink


class Declared(Model):
    """Whose predictions of a name are, and where a run of it put them."""

    application: Name
    sink: Sink


class ResultPart(Model):
    """A part of a result."""

    key: str
    """Of its Parquet file in the object store."""
    source: Digest
    """Of its rows."""
    rows: int


class Result(Model):
    """A whole result: the manifest."""

    name: Name
    application: Name
    run: str
    model_uri: str
    predictor: Digest
    """Of all that decides a prediction: model, code, library and what is kept."""
    data: Digest
    """Of all rows."""
    rows: int
    parts: tuple[ResultPart, ...]
    key: tuple[str, ...]
    table: str = ""
    """Key of the SQLite file; empty where there is none."""
    table_sha256: str = ""


class Current(Model):
    """Which result is a model version's newest, and when its rows were read."""

    result: Result
    at: float
    """Unix time, seconds: when the run that found the rows so began. The age of an answer counts from then."""


class Scheduled(Model):
    """A job that is due again when its schedule says so: what the controller reads."""

    name: Name
    """Of the prediction, or of the application that is looked at."""
    module: Literal["heliostat.jobs.batch_predict", "heliostat.jobs.monitor"] = "heliostat.jobs.batch_predict"
    """The job; what was written before there were several predicts."""
    runs: str = ""
    """Where it is noted how runs ended, ending with `/`; by default below the prediction."""
    schedule: str
    since: float
    """From when on it is due, Unix time."""
    base: str
    """Of the job's submission id."""
    specification: str
    """Key of the job's specification."""
    code_uri: str
    """The code package that it runs with."""
    environment_uri: str | None = None
    """Packages of the model's own, before those that are installed."""
    timeout_seconds: float = Field(gt=0)


TOP: Final = "batches/"


def top(name: str) -> str:
    """Where all of a prediction lies."""
    return f"{TOP}{name}/"


def declared_key(name: str, declared: Declared) -> str:
    """Where it is said; each that there ever was is kept."""
    return f"{top(name)}declared/{hashlib.sha256(declared.model_dump_json().encode()).hexdigest()[:32]}.json"


def part_key(name: str, digest: str) -> str:
    """Where a part's predictions lie."""
    return f"{top(name)}parts/{digest}.parquet"


def rows_key(name: str, digest: str) -> str:
    """Where the rows of a part of a query lie."""
    return f"{top(name)}rows/{digest}.parquet"


def manifest_key(name: str, run: str) -> str:
    """Where a result's manifest lies."""
    return f"{top(name)}results/{run}/manifest.json"


def table_key(name: str, run: str) -> str:
    """Where a result's SQLite file lies."""
    return f"{top(name)}results/{run}/table.sqlite"


def current_key(name: str, model_uri: str) -> str:
    """Where the newest result of a model version is named."""
    model, _, version = model_uri.removeprefix("models:/").partition("/")
    return f"{top(name)}current/{model}-{version}.json"


def run_key(scheduled: Scheduled, moment: str) -> str:
    """Where it is noted how the run that was due at a moment ended."""
    return f"{scheduled.runs or f'{top(scheduled.name)}runs/'}{moment}.json"


SCHEDULES = "schedules/"
"""Where `Scheduled` lie."""


def schedule_key(name: str) -> str:
    """Where the schedule of a prediction lies, or of what is called otherwise than any prediction can be."""
    return f"{SCHEDULES}{name}.json"
