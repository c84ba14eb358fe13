"""Names of the program as names of a workload's modules, fields and parameters. Pure."""

from __future__ import annotations

import ast
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass

from heliostat.convert.facts import Column, Facts, Recorded
from heliostat.convert.plan import Plan, Problem
from heliostat.convert.rendering.labels import label_name

ROW_NUMBER = "notebook_row"
"""The column that keeps the order of all rows, where something is fitted on all of them."""


@dataclass(frozen=True)
class Workload:
    """What is rendered: a plan, the name of the workload, and what a run told, where it ran."""

    name: str
    plan: Plan
    facts: Facts | None
    interface: str
    source: str
    """The file's name."""
    folder: str
    """The folder that the program's paths are relative to."""
    has_tasks: bool
    """Whether the library knows kinds of problem."""

    @property
    def module(self) -> str:
        """The workload's package below `workloads`."""
        return self.name.replace("-", "_")

    @property
    def package(self) -> str:
        """The same from the top."""
        return f"workloads.{self.module}"

    @property
    def fields(self) -> dict[str | int, str]:
        """The field of each column, in their order; without a run, of the columns that the program names."""
        return fields_of({each.name: each.title for each in self.facts.columns} if self.facts else {})

    @property
    def columns(self) -> tuple[Column, ...]:
        """What a run told of each column."""
        return self.facts.columns if self.facts else ()

    @property
    def used(self) -> tuple[str | int, ...]:
        """The columns that an answer depends on."""
        return self.facts.used if self.facts else ()

    @property
    def recorded(self) -> tuple[Recorded, ...]:
        """Rows, and what the source's model says of them."""
        return self.facts.recorded if self.facts else ()

    @property
    def inputs(self) -> list[str]:
        """The fields that clients are asked for."""
        return [self.fields[name] for name in self.facts.used] if self.facts else []

    @property
    def label(self) -> str:
        """The field of what is told."""
        name = field_of(label_name(self._labels))
        return f"{name}_label" if name in self.inputs else name

    @property
    def _labels(self) -> ast.expr:
        """The labels, followed from the training's back through splits and names to a column, where they are one."""
        found = self.plan.labels
        for node in reversed(self.plan.nodes(self.plan.label_path)):
            if not isinstance(node, ast.Assign) or not isinstance(found, ast.Name):
                continue
            target, value = node.targets[0], node.value
            names = [getattr(each, "id", "") for each in getattr(target, "elts", [target])]
            if (
                found.id in names
                and isinstance(value, ast.Call)
                and isinstance(target, ast.Tuple)
                and len(value.args) > names.index(found.id) // 2
            ):
                found = value.args[names.index(found.id) // 2]
            elif names == [found.id] and isinstance(value, ast.Subscript | ast.Attribute | ast.Name):
                found = value
        return found

    @property
    def classes(self) -> tuple[object, ...]:
        """What a classifier tells apart; empty of a regressor, or where it did not run."""
        return (self.facts.classes or ()) if self.facts and self.plan.problem is Problem.CLASSES else ()

    @property
    def is_binary(self) -> bool:
        """Whether it tells two classes apart."""
        return len(self.classes) == 2

    @property
    def keeps_order(self) -> bool:
        """Whether something is fitted on the rows of all parts."""
        return bool(self.plan.leaks)


def fields_of(names: Mapping[str | int, str]) -> dict[str | int, str]:
    """A field's name for each column's, all different; a column may have another title."""
    found: dict[str | int, str] = {}
    for name, title in names.items():
        field = field_of(title or name)
        while field in found.values():
            field += "_"
        found[name] = field
    return found


def field_of(name: str | int) -> str:
    """`mean radius (mm)` as `mean_radius_mm`; a column without a name by its place."""
    if isinstance(name, int):
        return f"x{name}"
    field = re.sub(r"\W+", "_", name).strip("_").lower() or "column"
    field = f"x_{field}" if field[0].isdigit() or field.startswith("model_") else field
    return (
        f"{field}_"
        if keyword.iskeyword(field) or field in ("json", "copy", "schema", "dict", "validate", "construct")
        else field
    )
