"""What a workload expects of its data: `schema.yaml` in its folder, inferred once, reviewed by people, then held to."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, model_validator

from heliostat.data.comparison import Distance
from heliostat.data.leakage_expectations import LeakageExpectations, unknown_columns
from heliostat.spec.base import EntryPoint, Model, is_empty, is_none
from heliostat.spec.data_sets import SCHEMA_FILE as FILE
from heliostat.spec.flow import path_of
from heliostat.spec.mistakes import mistakes_in

JSON_SCHEMA_FILE: Final = "data-schema.schema.json"
"""In the folder of the configs: what editors check such a file against."""
ENVIRONMENTS: Final = ("training", "serving")
Share = Annotated[float, Field(ge=0, le=1)]


class SchemaError(ValueError):
    """A file that is no schema; with every mistake."""


class DriftExpectation(Model):
    """How far a column may be from the reference's."""

    distance: Distance
    """By which measure: Kolmogorov-Smirnov, Wasserstein (in standard deviations of the reference) of numbers only."""
    limit: Annotated[float, Field(ge=0)]
    """The greatest distance."""


class ListLength(Model):
    """How many values a row may have in a column of lists."""

    minimum: Annotated[int, Field(ge=0)] = 0
    """At least."""
    maximum: Annotated[int, Field(ge=0)] | None = None
    """At most."""


class ColumnExpectations(Model):
    """What is expected of one column."""

    type: str
    """Arrow's name of its type, as `pyarrow.DataType` prints it: `double`, `int64`, `string`, `timestamp[us]`."""
    max_missing: Share = 0.0
    """The share of rows in which it may be missing. NaN is missing, too."""
    max_infinite: Share = Field(0.0, exclude_if=lambda value: not value)
    """The share of rows in which it may be infinite."""
    minimum: float | None = Field(None, exclude_if=is_none)
    """The least number; of a time its microseconds since 1970, of a date its days."""
    maximum: float | None = Field(None, exclude_if=is_none)
    """The greatest number."""
    values: tuple[str, ...] | None = Field(None, exclude_if=is_none)
    """The texts that may be there."""
    max_unknown: Share = Field(0.0, exclude_if=lambda value: not value)
    """The share of rows that may have another one."""
    length: ListLength | None = Field(None, exclude_if=is_none)
    """Of lists: how many values a row has."""
    unique: bool = Field(False, exclude_if=lambda value: not value)
    """Whether no two rows may have the same value."""
    drift: DriftExpectation | None = Field(None, exclude_if=is_none)
    """How far from the reference's; None: as the monitor's limits say."""
    absent_in: tuple[str, ...] = Field((), exclude_if=is_empty)
    """Environments in which the column is not there, as the label while serving."""
    known_at_prediction: bool = True
    """Whether the value is known when a prediction is asked for. What is not must not be a feature."""

    @model_validator(mode="after")
    def _consistent(self) -> ColumnExpectations:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"the minimum {self.minimum:g} is above the maximum {self.maximum:g}: exchange them")
        if self.length is not None and self.length.maximum is not None and self.length.minimum > self.length.maximum:
            raise ValueError(f"lists of {self.length.minimum} to {self.length.maximum} values: exchange them")
        return self


class Transformed(Model):
    """What is expected of the columns that a model is given in the end, after the workload's own transformation."""

    by: EntryPoint
    """A function `(columns) -> columns` of the workload, `package.module:name`, which makes them of those of a predictor."""
    columns: dict[str, ColumnExpectations]
    """Of its columns: type, what may be missing or infinite, ranges, values, lengths."""

    @model_validator(mode="after")
    def _of_rows(self) -> Transformed:
        wrong = [
            f"{name} has {key}, which is of columns before the transformation"
            for name, column in self.columns.items()
            for key, is_there in (
                ("absentIn", bool(column.absent_in)),
                ("drift", column.drift is not None),
                ("knownAtPrediction", not column.known_at_prediction),
            )
            if is_there
        ]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @property
    def schema_of_columns(self) -> Schema:
        """The same as a schema, for whoever holds a table to it."""
        return Schema(columns=self.columns)


class Schema(Model):
    """What is expected of the columns of a table."""

    version: Literal[1] = 1
    label: str | None = None
    """The column to predict."""
    environments: tuple[str, ...] = ENVIRONMENTS
    """Where data is held to this: each may lack columns that others have."""
    allow_new_columns: bool = True
    """Whether columns may be there that are not named here."""
    leakage: LeakageExpectations | None = Field(None, exclude_if=is_none)
    """What must not give the answer away; by default it is not looked for."""
    columns: dict[str, ColumnExpectations]
    transformed: Transformed | None = Field(None, exclude_if=is_none)
    """What is expected after the workload's own transformation; by default that is not looked at."""

    @model_validator(mode="after")
    def _names_exist(self) -> Schema:
        wrong = []
        if self.label is not None and self.label not in self.columns:
            wrong.append(f"the label {self.label!r} is no column of the schema: add it to `columns`")
        for name, column in self.columns.items():
            wrong += [
                f"the column {name!r} is absent in {environment!r}, which is not among {', '.join(self.environments)}"
                for environment in column.absent_in
                if environment not in self.environments
            ]
        if self.leakage is not None:
            wrong += unknown_columns(self.leakage, [*self.columns])
            if self.leakage.knows_label is not None and self.label is None:
                wrong.append("`leakage.knowsLabel` needs the label: name it in `label`")
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def expected_in(self, environment: str) -> Mapping[str, ColumnExpectations]:
        """The columns that are there in an environment.

        Raises:
            ValueError: the schema has no such environment.
        """
        if environment not in self.environments:
            raise ValueError(f"there is no environment {environment!r}: the schema has {', '.join(self.environments)}")
        return {name: column for name, column in self.columns.items() if environment not in column.absent_in}

    @property
    def features(self) -> tuple[str, ...]:
        """The columns that are known at prediction time and that serving has, without the label."""
        return tuple(
            name
            for name, column in self.columns.items()
            if name != self.label and column.known_at_prediction and "serving" not in column.absent_in
        )

    @property
    def digest(self) -> str:
        """SHA-256 of what it says, however it is written."""
        return hashlib.sha256(self.model_dump_json(exclude_none=True).encode()).hexdigest()

    def to_yaml(self) -> str:
        """The schema as a file that people review; what is as by default is left out."""
        from ruamel.yaml import YAML

        yaml = YAML()
        yaml.width = 120
        yaml.indent(mapping=2, sequence=4, offset=2)
        text = io.StringIO()
        text.write(_HEAD)
        yaml.dump(_flow_lists(self.model_dump(mode="json", exclude_none=True)), text)
        return text.getvalue()


_HEAD: Final = """\
# What this workload expects of its data. It was inferred from data once: review it, and change what does not hold.
# Look above all at knownAtPrediction (a value that comes after the event must not be a feature) and at ranges and values.
# yaml-language-server: $schema=../../configs/data-schema.schema.json
"""


def schema_text() -> str:
    """The JSON Schema that editors check a schema's file against, as the committed file holds it."""
    from heliostat.spec.describing import Described

    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What a workload expects of its data",
        "description": "A workload's schema.yaml. Made from heliostat.data.schema; do not edit.",
    }
    schema = Schema.model_json_schema(by_alias=True, schema_generator=Described)
    return json.dumps({**schema, **head}, indent=2) + "\n"


def read(text: str, file: str = FILE) -> Schema:
    """The schema that `text` is, in YAML; `file` is its name, for what is told.

    Raises:
        SchemaError: with every mistake.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        given: Any = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise SchemaError(f"{file} cannot be read: {' '.join(str(error).split())}") from None
    try:
        return Schema.model_validate(given)
    except ValidationError as error:
        mistakes = [
            f"{path_of(each.path)}: {each.text}" if each.path else each.text for each in mistakes_in(Schema, error, given)
        ]
        raise SchemaError(f"{file}: " + "; ".join(mistakes)) from None


def load(path: str | Path) -> Schema:
    """The schema in a file.

    Raises:
        SchemaError: it is none; with every mistake.
        OSError: it cannot be read.
    """
    return read(Path(path).read_text(), str(path))


def _flow_lists(value: Any) -> Any:
    """Lists on one line each, so that a domain takes a line and not a page."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    if isinstance(value, dict):
        return CommentedMap({key: _flow_lists(each) for key, each in value.items()})
    if isinstance(value, list):
        sequence = CommentedSeq(value)
        sequence.fa.set_flow_style()
        return sequence
    return value
