"""The numbers and words that a program makes its model with, as typed parameters of a training."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from heliostat.convert.analysis import class_of
from heliostat.convert.kinds import Kind, constant
from heliostat.convert.plan import Plan


@dataclass(frozen=True)
class Parameter:
    """One argument of an estimator."""

    name: str
    annotation: str
    default: Any
    node: int
    """The identity of the node that it stands in the place of."""
    estimator: str
    """The estimator's class, without its module."""


def parameters_of(plan: Plan) -> list[Parameter]:
    """The constants that the estimators of the model are made with; those of the model itself without a prefix."""
    found = [*_found(plan)]
    counts = Counter(name for name, *_ in found)
    last = plan.fit.value.classes[-1].rpartition(".")[2]
    parameters: list[Parameter] = []
    for name, path, value, node in found:
        estimator = path.rpartition(".")[2]
        called = name if estimator == last or counts[name] == 1 else f"{_snake(estimator)}_{name}"
        while any(each.name == called for each in parameters):
            called += "_"
        parameters.append(Parameter(called, _annotation(path, name, value), _default(path, name, value), id(node), estimator))
    return parameters


def _found(plan: Plan) -> Iterator[tuple[str, str, Any, ast.expr]]:
    """Each argument: its name, the estimator, the value, and the node that says it."""
    assigned = {
        each.targets[0].id: each.value
        for each in plan.nodes(plan.building)
        if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name) and constant(each.value) is not None
    }
    roots: list[ast.AST] = [*plan.nodes(plan.building), plan.fit.node.func.value]
    seen: set[int] = set()
    for call in (each for root in roots for each in ast.walk(root) if isinstance(each, ast.Call)):
        value = plan.seen.kinds.get(id(call))
        if value is None or value.kind is not Kind.ESTIMATOR or not value.name.rpartition(".")[2][:1].isupper():
            continue
        for each in call.keywords:
            node = assigned.get(each.value.id, each.value) if isinstance(each.value, ast.Name) else each.value
            found = constant(node)
            if each.arg and isinstance(found, bool | int | float | str) and id(node) not in seen:
                seen.add(id(node))
                yield each.arg, value.name, found, node


def _annotation(path: str, name: str, value: Any) -> str:
    kind = type(_default(path, name, value)).__name__
    limits = [each for each in _constraints(path, name) if type(each).__name__ == "Interval" and _fits(each, value)]
    if isinstance(value, str):
        options = [each for each in _constraints(path, name) if type(each).__name__ == "StrOptions"]
        known = sorted(options[0].options) if options else []
        return f"Literal[{', '.join(map(repr, known))}]" if value in known else "str"
    if isinstance(value, bool) or not limits:
        return kind
    interval = limits[0]
    parts = []
    if interval.left is not None and abs(interval.left) != float("inf"):
        parts.append(f"{'ge' if interval.closed in ('left', 'both') else 'gt'}={interval.left!r}")
    if interval.right is not None and abs(interval.right) != float("inf") and interval.right < 2**31:
        parts.append(f"{'le' if interval.closed in ('right', 'both') else 'lt'}={interval.right!r}")
    return f"Annotated[{kind}, Field({', '.join(parts)})]" if parts else kind


def _default(path: str, name: str, value: Any) -> Any:
    """The value; a whole number as a float where the estimator takes any number."""
    if isinstance(value, int) and not isinstance(value, bool):
        intervals = [each for each in _constraints(path, name) if type(each).__name__ == "Interval"]
        if intervals and all(each.type.__name__ in ("Real", "RealNotInt") for each in intervals):
            return float(value)
    return value


def _fits(interval: Any, value: Any) -> bool:
    return isinstance(value, int | float) and isinstance(value, interval.type) and value in interval


def _constraints(path: str, name: str) -> list[Any]:
    """What scikit-learn itself says of an argument."""
    found = getattr(class_of(path), "_parameter_constraints", {}).get(name, [])
    return found if isinstance(found, list) else []


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
