"""What a program's statements are for: which load data, which make features, what is fitted and what answers."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from heliostat.convert.interpreter import Interpreter
from heliostat.convert.kinds import Event
from heliostat.convert.source import Program


class Problem(StrEnum):
    """What kind of thing the model tells."""

    CLASSES = "classes"
    NUMBERS = "numbers"


@dataclass(frozen=True)
class Answer:
    """How the program asks its model."""

    method: str
    """`predict`, `predict_proba` or `decision_function`."""
    statement: int | None
    """The place of the statement that asks; None where the program never does."""
    rows: ast.expr | None
    """The features that it asks about."""
    part: str
    """Which rows they are of."""
    after: ast.expr | None = None
    """What is computed from the answer in the same expression, where it is more than a column of probabilities."""
    call: ast.expr | None = None


@dataclass
class Plan:
    """A program, taken apart.

    Statements are named by their places in `program.statements`.
    """

    program: Program
    seen: Interpreter
    fit: Event
    """Where the model is fitted."""
    model: str
    """The variable that the model is in."""
    problem: Problem
    features: ast.expr
    """What the model is fitted on."""
    labels: ast.expr
    """What it is to tell."""
    root: str
    """The variable that holds the rows as they are before any feature is computed."""
    root_from: int
    """The place from which on it does."""
    path: list[int]
    """The statements from there to the features."""
    load: list[int]
    """The statements that make the rows: up to the root, and up to the last that leaves rows out."""
    label_path: list[int]
    """The statements that make the labels."""
    building: list[int]
    """The statements that make the model, unfitted."""
    handed: dict[int, list[str]]
    """Names that the features' statements give to those, by statement."""
    splits: list[Event]
    leaks: list[Event]
    """What is fitted on rows that a later split keeps for the test."""
    answer: Answer
    unseeded: list[Event] = field(default_factory=list)

    @property
    def split_at(self) -> int | None:
        """The place of the first split."""
        return self.splits[0].index if self.splits else None

    def nodes(self, places: Iterable[int]) -> list[ast.stmt]:
        """The statements at these places."""
        return [self.program.statements[index].node for index in places]
