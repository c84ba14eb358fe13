"""Predictions made beforehand: what a stack may say of them, and of a lookup over them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from heliostat.spec.addresses import Variable
from heliostat.spec.base import Model, Name

Column = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")]
"""The name of a column, as databases take it without quotes."""


class SqliteDatabase(Model):
    """A SQLite database, as a file that each node of the cluster has at the same place."""

    kind: Literal["sqlite"] = "sqlite"
    path: Annotated[str, Field(pattern=r"^/")]
    """Absolute path."""


class PostgresDatabase(Model):
    """A PostgreSQL database."""

    kind: Literal["postgres"] = "postgres"
    host: str
    """Its name or address."""
    port: Annotated[int, Field(ge=1, le=65535)] = 5432
    """Its port."""
    database: str
    """The database's name there."""
    user: str
    """Who connects."""
    password_variable: Variable | None = None
    """The environment variable of the cluster's nodes that the password is in; by default where libpq looks, as ~/.pgpass."""


Database = Annotated[SqliteDatabase | PostgresDatabase, Field(discriminator="kind")]


class SnapshotSource(Model):
    """A split of the workload's own data set."""

    kind: Literal["snapshot"] = "snapshot"
    split: Literal["train", "validation", "test"] = "test"
    """Which of the three."""


class ParquetSource(Model):
    """Every Parquet file below a prefix; all with the same columns."""

    kind: Literal["parquet"] = "parquet"
    uri: Annotated[str, Field(pattern=r"^(file:///|s3://|gs://).+")]
    """`file:///absolute/path`, `s3://bucket/prefix` or `gs://bucket/prefix`."""


class QuerySource(Model):
    """The rows of a query, read in one transaction and kept as they were then."""

    kind: Literal["query"] = "query"
    database: Database
    """Where it is asked."""
    query: Annotated[str, Field(min_length=1)]
    """A SELECT; name its columns as the contract's fields, and order it where runs are to know rows that they had before."""


Source = Annotated[SnapshotSource | ParquetSource | QuerySource, Field(discriminator="kind")]


class ParquetSink(Model):
    """Parquet files in the object store alone, which each prediction has in any case."""

    kind: Literal["parquet"] = "parquet"


class SqliteSink(Model):
    """A SQLite file in the object store as well, which a lookup is answered from."""

    kind: Literal["sqlite"] = "sqlite"


class PostgresSink(Model):
    """A view in a PostgreSQL database as well, which moves to the new rows at once when all are there."""

    kind: Literal["postgres"] = "postgres"
    database: PostgresDatabase
    """Where the view is."""
    table: Column
    """The view's name; tables of the same beginning are the prediction's own."""


Sink = Annotated[ParquetSink | SqliteSink | PostgresSink, Field(discriminator="kind")]


class BatchRun(Model):
    """How a prediction runs."""

    workers: Annotated[int, Field(ge=1, le=512)] = 2
    """Processes that predict beside each other, each with the model."""
    cpus_per_worker: Annotated[float, Field(gt=0)] = 1.0
    """What each of them holds of its node."""
    batch_rows: Annotated[int, Field(ge=1, le=10_000_000)] = 65_536
    """Rows that are predicted at a time; a worker's memory holds them."""
    part_rows: Annotated[int, Field(ge=1)] = 1_000_000
    """Rows that are written at a time: what a run that was killed may have to do again."""
    checked_rows: Annotated[int, Field(ge=0)] | Literal["all"] = 1_000
    """Rows of each part that are held against the contract one by one, as the service does; `all` takes longer.
    Columns, their types and missing values are looked at in all."""
    timeout_seconds: Annotated[float, Field(gt=0)] = 86_400.0
    """How long a run may take; then it is stopped and has failed."""


def require_cron(given: str | None) -> str | None:
    """A schedule as it was given; a validator of fields that have one.

    Raises:
        ValueError: it is none.
    """
    from datetime import UTC, datetime

    from cronsim import CronSim, CronSimError

    if given is None:
        return None
    try:
        next(CronSim(given, datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        why = error or "it is never due"
        raise ValueError(
            f"{given!r} is no schedule ({why}): give minute, hour, day, month and weekday as cron has them"
        ) from None
    return given


class Batch(BatchRun):
    """Predictions of a workload's model over many rows, made beforehand."""

    source: Source = Field(default_factory=SnapshotSource)
    """The rows."""
    sink: Sink = Field(default_factory=ParquetSink)
    """Where the predictions go."""
    key: tuple[Column, ...] = ()
    """Columns that tell rows apart; a lookup asks by them. A SQLite or PostgreSQL sink needs them."""
    columns: tuple[Column, ...] = ()
    """Further columns of the rows that are kept beside the predictions."""
    schedule: str | None = None
    """When it is made again, as cron says it and in UTC: `0 3 * * *` is each night at three. By default with each `up` that
    changes it."""

    _is_cron = field_validator("schedule")(require_cron)

    @model_validator(mode="after")
    def _has_key(self) -> Self:
        if not self.key and not isinstance(self.sink, ParquetSink):
            raise ValueError(f"a {self.sink.kind} sink needs `key`: the columns that tell rows apart")
        if twice := sorted({name for name in self.key if self.key.count(name) > 1} | {*self.key} & {*self.columns}):
            raise ValueError(f"{', '.join(twice)} stands twice in `key` and `columns`: name each column once")
        if PREDICTION in (*self.key, *self.columns):
            raise ValueError(f"`{PREDICTION}` is the name of what is predicted: no column of the rows may have it")
        return self


ANSWER = "answer"
"""The column of answers behind post-processing, as JSON, where there are steps."""
CHANGES = "changes"
"""The column of what steps changed, as JSON; null where they changed nothing."""
PREDICTION = "prediction"
"""The column of what the model predicts."""


def batch_name(workload: str, batch: str) -> str:
    """What a workload's prediction is called, beside those of others."""
    return f"{workload}-{batch}"


class Missing(StrEnum):
    """What a lookup does about a row that was not predicted, or too long ago."""

    MODEL = "model"
    """The model behind it answers."""
    REFUSE = "refuse"
    """404 where it was not predicted, 503 where that is too long ago."""


class Lookup(Model):
    """That an application answers from predictions that were made beforehand."""

    batch: Name
    """Which of the workload's `batch`; its sink is a SQLite file."""
    max_age_seconds: Annotated[float, Field(gt=0)] | None = None
    """How old a prediction may be that is answered; by default any age is right."""
    missing: Missing = Missing.MODEL
    """What happens to rows that have none, or an older one."""
    refresh_seconds: Annotated[float, Field(gt=0)] = 30.0
    """How often a replica looks for a newer result."""
