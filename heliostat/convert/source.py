"""What is converted: the cells of a notebook or the lines of a script, and the statements in them."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field


class ConversionError(ValueError):
    """What cannot be converted; the text says where, why and what to do."""


@dataclass(frozen=True)
class Place:
    """Where something stands: a line of a code cell, both counted from 1; a script has no cells."""

    cell: int | None
    line: int

    def __str__(self) -> str:
        return f"line {self.line}" if self.cell is None else f"cell {self.cell}, line {self.line}"


@dataclass(frozen=True)
class Cell:
    """A code cell; a script is one, without a number."""

    number: int | None
    count: int | None
    """When it ran last, as the notebook says; None where it says nothing."""
    text: str
    first_line: int = 1


@dataclass(frozen=True)
class Source:
    """What was read."""

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Question:
    """What a person has to answer, or, where `is_open` is not set, what was left out or decided and is said."""

    text: str
    place: Place | None = None
    is_open: bool = True


@dataclass(frozen=True)
class Statement:
    """One statement at the top of a cell."""

    node: ast.stmt
    place: Place
    text: str


@dataclass
class Program:
    """The statements in the order in which they run, and what was said on the way to them."""

    statements: list[Statement]
    questions: list[Question] = field(default_factory=list)
    requirements: list[str] = field(default_factory=list)
    """Packages that the source itself installs."""

    def tell(self, text: str, place: Place | None = None) -> None:
        """Say what was left out or decided."""
        self.questions.append(Question(text, place, is_open=False))

    def ask(self, text: str, place: Place | None = None) -> None:
        """Leave something to a person."""
        self.questions.append(Question(text, place))


def shown(node: ast.AST, length: int = 60) -> str:
    """The code of a node, for a line of text."""
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= length else f"{text[: length - 3]}..."
