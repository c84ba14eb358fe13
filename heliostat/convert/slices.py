"""Which statements a value depends on, through splits: what goes into a part is what comes out of it. Pure."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from heliostat.convert.effects import effects_of, needed, table
from heliostat.convert.interpreter import Interpreter
from heliostat.convert.kinds import Happening
from heliostat.convert.source import Program


def path_of(program: Program, seen: Interpreter, names: set[str], at: int) -> list[int]:
    """The statements that some names depend on at a place: of a split, only on what went into the parts that are used."""
    whole = needed(program.statements, names, at)
    splits = [index for index in whole if index in splits_of(program, seen)]
    if not splits:
        return whole
    last = splits[-1]
    live = live_names(program, seen, whole, names, last, at)
    return [*path_of(program, seen, live, last), last, *(index for index in whole if index > last)]


def splits_of(program: Program, seen: Interpreter) -> dict[int, tuple[list[str], list[ast.expr]]]:
    """The splits whose parts all have names: those names, and what is split."""
    found: dict[int, tuple[list[str], list[ast.expr]]] = {}
    for event in seen.events:
        statement = program.statements[event.index].node
        if event.what is Happening.SPLIT and not event.in_function and isinstance(statement, ast.Assign):
            target = statement.targets[0]
            if isinstance(target, ast.Tuple | ast.List):
                names = [each.id if isinstance(each, ast.Name) else "" for each in target.elts]
                found[event.index] = (names, event.node.args)
    return found


def from_root(
    program: Program, seen: Interpreter, path: list[int], features: ast.expr, root: str, start: int, fit_at: int
) -> list[int]:
    """The statements from the root to the features, and those before it that these need beside the rows: constants,
    functions."""
    live = live_names(program, seen, path, names_in(features), start, fit_at) - {root}
    return [*needed(program.statements, live, start), *(index for index in path if index >= start)]


def live_names(program: Program, seen: Interpreter, path: Iterable[int], names: set[str], place: int, at: int) -> set[str]:
    """The names that are needed at a place, for some names at a later one."""
    live = set(names)
    effects = table([each.node for each in program.statements[:at]])
    splits = splits_of(program, seen)
    for index in sorted((each for each in path if place <= each < at), reverse=True):
        if index in splits:
            targets, arguments = splits[index]
            used = {
                name for number, target in enumerate(targets) if target in live for name in names_in(arguments[number // 2])
            }
            live = (live - {*targets}) | used
        else:
            live -= effects[index].defines - effects[index].changes
            live |= effects[index].uses
    return live


def behind_split(program: Program, path: list[int], split: int) -> set[int]:
    """The statements of a path that depend on what a split gives: others behind it are as if they stood before it."""
    effects = table([each.node for each in program.statements])
    given = set(effects[split].defines)
    found = set()
    for index in (each for each in path if each > split):
        if effects[index].uses & given:
            found.add(index)
            given |= effects[index].defines | effects[index].changes
    return found


def names_in(node: ast.AST) -> set[str]:
    """The variables that an expression uses."""
    return set(effects_of(node).uses)
