"""Where the rows of a data set come from."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from heliostat.spec.base import Model, Name, is_empty, is_none
from heliostat.spec.batch import Column, Database, PostgresDatabase

Format = Literal["parquet", "csv", "jsonl"]
ColumnType = Literal["string", "int64", "double", "bool", "date32[day]", "timestamp[us]", "timestamp[us, tz=UTC]"]
"""Arrow's names, as in a schema.yaml."""
COMPRESSIONS: Final = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
"""Of files of text, by their last ending: what Arrow calls them. Parquet compresses its columns by itself."""


def _is_comma(separator: str) -> bool:
    return separator == ","


def _is_utf_8(encoding: str) -> bool:
    return encoding == "utf-8"


class FilesSource(Model):
    """Every file below a prefix, in folders or in a bucket: each is read once, and anew where it changed."""

    kind: Literal["files"] = "files"
    uri: Annotated[str, Field(pattern=r"^(file:///|s3://|gs://).+")]
    """`file:///absolute/path`, which each node of the cluster has, `s3://bucket/prefix` or `gs://bucket/prefix`."""
    format: Format = "parquet"
    """Files with another ending (`.parquet`, `.csv`, `.jsonl`) are left aside. Those of text may be compressed: `.csv.gz`,
    `.csv.bz2` and `.csv.zst` are read as `.csv` is."""
    types: Mapping[str, ColumnType] = Field(default={}, exclude_if=is_empty)
    """Of columns of CSV and JSON whose type the values of each file should not tell: `string` keeps the zeros of `00501`."""
    separator: Annotated[str, Field(min_length=1, max_length=1)] = Field(default=",", exclude_if=_is_comma)
    """Between the cells of CSV."""
    encoding: str = Field(default="utf-8", exclude_if=_is_utf_8)
    """Of CSV, by Python's names."""
    endpoint: str | None = Field(default=None, exclude_if=is_none)
    """URL of the bucket's server, where that is neither the cloud's nor that of the platform's own bucket."""
    region: str | None = Field(default=None, exclude_if=is_none)
    """Of the bucket, as its server names it."""

    @property
    def endings(self) -> tuple[str, ...]:
        """Of the names of its files."""
        plain = f".{self.format}"
        return (plain,) if self.format == "parquet" else (plain, *(f"{plain}{ending}" for ending in COMPRESSIONS))

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str) -> str:
        try:
            return codecs.lookup(encoding).name
        except LookupError:
            raise ValueError(f"{encoding!r} is no encoding that Python knows, as utf-8 or latin-1") from None

    @model_validator(mode="after")
    def _fits_format(self) -> Self:
        wrong = []
        if self.types and self.format == "parquet":
            wrong.append("Parquet files say the types of their columns: leave `types` out")
        if self.format != "csv" and (self.separator != "," or self.encoding != "utf-8"):
            wrong.append(f"`separator` and `encoding` are of CSV, and the format is {self.format}: leave them out")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


class IncrementalQuery(Model):
    """The rows of a SQL query, of which each run reads those that came since the last one."""

    kind: Literal["query"] = "query"
    database: Database
    """Where it is asked."""
    query: Annotated[str, Field(min_length=1)]
    """A SELECT without an end: it is asked as `SELECT * FROM (…) WHERE cursor >= …`."""
    cursor: Column
    """A column of it that rises with every row that is written or changed, as a number or a time: `updated_at`."""
    lateness: Annotated[timedelta, Field(ge=timedelta())] = timedelta()
    """How far behind the last cursor a run looks again, where that is a time: transactions may be written late. The data set's
    `key` tells rows that are read twice."""
    behind: Annotated[int, Field(ge=0)] = 0
    """The same where the cursor is a number."""


class PredictionsSource(Model):
    """The prediction log of an application, joined with the labels that came for its answers: numbers, or true and false. Rows
    without one are left out."""

    kind: Literal["predictions"] = "predictions"
    application: Name
    """Whose log; its columns `input_<field>` are the columns `<field>`, beside `request_id`, `row` and `time`."""
    fields: Annotated[tuple[str, ...], Field(min_length=1)]
    """The fields of the contract that are taken."""


class DataSetSource(Model):
    """The rows of another data set of the same store, which becomes a parent of the one that is made of them."""

    kind: Literal["data-set"] = "data-set"
    name: Name
    """Its name."""
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{12,64}$")]
    """Of the snapshot, 12 digits at least, as `heliostat datasets list` shows them. Another one asks for other rows."""
    splits: Annotated[tuple[Literal["train", "validation", "test"], ...], Field(min_length=1)] = (
        "train",
        "validation",
        "test",
    )
    """Whose rows are taken. A model that was trained on some of them has seen these."""


RowSource = Annotated[FilesSource | IncrementalQuery | PredictionsSource | DataSetSource, Field(discriminator="kind")]


class WatchedSource(Model):
    """What a monitor counts new rows of: the source of a workload's data, or of the labels that people make of them."""

    source: Annotated[FilesSource | IncrementalQuery, Field(discriminator="kind")]
    label: str
    """The column with the label: rows without one are not counted."""

    @property
    def place(self) -> str:
        """Where it is, for people."""
        if isinstance(self.source, FilesSource):
            return self.source.uri
        database = self.source.database
        if isinstance(database, PostgresDatabase):
            return f"the query of PostgreSQL at {database.host}:{database.port}/{database.database}"
        return f"the query of {database.path}"


class DataSettings(Model):
    """What a stack says of its data where a workload ingests them; all else is the workload's own."""

    source: RowSource | None = Field(default=None, exclude_if=is_none)
    """Where the rows come from; by default where the workload says."""
    until: datetime | None = Field(default=None, exclude_if=is_none)
    """Rows from this moment on are left out. A later one asks for new data: a training on them follows."""
