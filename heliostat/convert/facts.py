"""What only running the program tells: its columns, its classes, what it answers. Written by `recording`, read by what
is rendered."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

LITERALS = 50
"""So many different texts of a column are listed in a contract; more are not."""


class Column(BaseModel):
    """A column of the rows, before any feature."""

    model_config = ConfigDict(frozen=True)

    name: str | int
    """What the program calls it; a place, where the rows are an array."""
    title: str = ""
    """What else it is called, where its name is a place."""
    type: str
    """pandas' name of its type."""
    has_missing: bool = False
    values: tuple[str, ...] | None = None
    """All its texts, where there are few."""
    is_fraction_of_second: bool = False
    """Whether it holds times that whole seconds do not tell."""


class Recorded(BaseModel):
    """One row, and what the program's model says of it."""

    model_config = ConfigDict(frozen=True)

    row: dict[str, Any]
    """By the columns' names in the program, as text."""
    prediction: Any
    probabilities: list[float] | None = None


class Facts(BaseModel):
    """What a run told."""

    model_config = ConfigDict(frozen=True)

    columns: tuple[Column, ...]
    rows: int
    is_array: bool = False
    """Whether the program has its rows in an array, whose columns it knows by their places."""
    used: tuple[str | int, ...]
    """The columns that the features depend on."""
    classes: tuple[Any, ...] | None = None
    has_probabilities: bool = False
    recorded: tuple[Recorded, ...] = ()
    part: str = "test"
    """Which rows those are."""
    versions: dict[str, str] = {}
    """Of the packages that the program imports."""
    notes: tuple[str, ...] = ()
    """What could not be found out, in words."""


class Failure(BaseModel):
    """That the program did not run to its end."""

    model_config = ConfigDict(frozen=True)

    cell: int | None
    line: int
    error: str


class Outcome(BaseModel):
    """The end of a run."""

    facts: Facts | None = None
    failure: Failure | None = None


class Line(BaseModel):
    """A statement to run."""

    code: str
    cell: int | None
    line: int


class Task(BaseModel):
    """What `recording` is asked to run and to look at. Places are those of statements."""

    name: str
    folder: str
    statements: tuple[Line, ...]
    root: str
    root_from: int
    splits: tuple[tuple[int, str], ...]
    """The place of each split, and the part of the rows that it splits."""
    fit_at: int
    model: str
    features: str
    answer_at: int
    answer_rows: str
    answer_part: str
    computed: str
    """What the program computes from its model's answer, where it is more than that; else empty."""
    probe: str
    """The features' code, with `features` or with `before_split` and `after_split`."""
    examples: int = 20
