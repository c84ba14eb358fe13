"""What each expression of a program is (rows, a value of all rows, an estimator ...), found by reading it. Pure."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final


class Kind(StrEnum):
    """What an expression stands for."""

    CONST = "const"
    """Something that does not depend on the data."""
    ROWS = "rows"
    """One value a row of the data: a frame, a series, an array."""
    VALUE = "value"
    """Something of all rows together: a mean, a fitted attribute."""
    BUNCH = "bunch"
    """One of scikit-learn's data sets: rows and their description."""
    GROUPS = "groups"
    """Rows by group."""
    ESTIMATOR = "estimator"
    PREDICTION = "prediction"
    NAME = "name"
    """A module, or something in one: `name` is its whole path."""
    FUNCTION = "function"
    """A function of the program's own."""


@dataclass(frozen=True)
class Value:
    """What is known of an expression's value."""

    kind: Kind = Kind.CONST
    name: str = ""
    """The path of what is imported; of an estimator, its class."""
    part: str = "all"
    """Which rows: all, train, validation or test."""
    classes: tuple[str, ...] = ()
    """Of an estimator: its class, and before it those of the estimators that it is made of."""
    is_series: bool = False
    node: Any = None
    """Of a function: its definition."""
    items: tuple[Value, ...] = ()
    """Of something that is taken apart by an assignment: its parts."""


class Happening(StrEnum):
    """Something that an expression does which decides where it belongs."""

    STRUCTURE = "structure"
    """Rows are loaded, made or put together."""
    FILTER = "filter"
    AGGREGATE = "aggregate"
    FIT = "fit"
    FIT_TRANSFORM = "fit_transform"
    TRANSFORM = "transform"
    DUMMIES = "dummies"
    SPLIT = "split"
    PREDICT = "predict"
    UNSEEDED = "unseeded"
    """A random choice that is another one each time."""
    NETWORK = "network"
    FILE = "file"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Event:
    """One such happening."""

    what: Happening
    node: Any
    """The expression, a call in most cases."""
    index: int
    """The place of its statement."""
    part: str = "all"
    text: str = ""
    value: Value = field(default_factory=Value)
    """The estimator, where there is one."""
    in_function: bool = False


CONST: Final = Value()


def joined(*values: Value) -> Value:
    """What comes of values that are computed with each other."""
    by_kind = {kind: [value for value in values if value.kind is kind] for kind in Kind}
    for kind in (Kind.PREDICTION, Kind.ROWS, Kind.GROUPS, Kind.BUNCH, Kind.VALUE):
        if found := by_kind[kind]:
            parts = [each.part for each in [*by_kind[Kind.ROWS], *found] if each.part != "all"]
            return Value(kind, part=parts[0] if parts else "all", is_series=all(each.is_series for each in found))
    estimators = by_kind[Kind.ESTIMATOR]
    if estimators:
        return replace(estimators[-1], classes=tuple(name for each in estimators for name in each.classes))
    return CONST


def constants(node: ast.AST) -> Iterator[Any]:
    """The constants in an expression."""
    for each in ast.walk(node):
        if isinstance(each, ast.Constant):
            yield each.value


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The argument of a call that is given by name."""
    return next((each.value for each in call.keywords if each.arg == name), None)


def constant(node: ast.expr | None) -> Any:
    """The value of a constant; None of anything else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        number = node.operand.value
        return -number if isinstance(number, int | float) else None
    return node.value if isinstance(node, ast.Constant) else None
