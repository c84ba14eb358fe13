"""Lines of Python: what a module imports of what its program does, indentation, and variables that mypy shall not
guess at. Pure."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import cast

from heliostat.convert.effects import Effects, effects_of, needed, table
from heliostat.convert.kinds import Kind
from heliostat.convert.plan import Plan
from heliostat.convert.rewriting import Rewriter, source_of, stateful_functions
from heliostat.convert.source import Place, Statement


def indented(lines: Iterable[str], by: int = 4) -> str:
    """Lines further to the right, as they stand in a function; empty ones stay empty."""
    return "\n".join(f"{' ' * by}{line}" if line.strip() else "" for line in lines)


def imports_of(plan: Plan, texts: Iterable[str]) -> str:
    """The program's own imports of the names that some code uses."""
    used = {name for text in texts for name in effects_of(ast.parse(text)).uses}
    found = dict.fromkeys(
        f"{_imported(alias, statement.node)}"
        for statement in plan.program.statements
        if isinstance(statement.node, ast.Import | ast.ImportFrom)
        for alias in statement.node.names
        if (alias.asname or alias.name.partition(".")[0]) in used
    )
    return "\n".join(found)


def _imported(alias: ast.alias, node: ast.Import | ast.ImportFrom) -> str:
    name = f"{alias.name} as {alias.asname}" if alias.asname else alias.name
    return f"import {name}" if isinstance(node, ast.Import) else f"from {'.' * node.level}{node.module or ''} import {name}"


def is_import(statement: Statement) -> bool:
    """Whether a statement only imports."""
    return isinstance(statement.node, ast.Import | ast.ImportFrom)


def is_function(statement: Statement) -> bool:
    """Whether a statement defines a function or a class."""
    return isinstance(statement.node, ast.FunctionDef | ast.ClassDef)


def tops(plan: Plan, places: Sequence[int]) -> list[int]:
    """Of some statements, those that stand at the top of a module: functions, and what functions use from outside."""
    statements = plan.program.statements
    functions = [index for index in places if is_function(statements[index])]
    shared = {name for index in functions for name in effects_of(statements[index].node).uses}
    last = max(places, default=-1) + 1
    outer = {each for each in needed(statements, shared, last) if not reads_rows(plan, each)}
    return sorted({*functions, *outer} & set(places) | {each for each in outer if not is_import(statements[each])})


def reads_rows(plan: Plan, index: int) -> bool:
    """Whether a statement has to do with rows, so that it cannot stand at the top of a module."""
    effects = effects_of(plan.program.statements[index].node)
    before, after = plan.seen.history[index], plan.seen.history[index + 1]
    rows = (Kind.ROWS, Kind.BUNCH, Kind.GROUPS, Kind.VALUE)
    if any(name in before and before[name].kind in rows for name in effects.uses):
        return True
    return any(event.index == index for event in plan.seen.events) or any(
        name in after and after[name].kind in (Kind.ROWS, Kind.BUNCH) for name in effects.defines
    )


def annotated(lines: Sequence[str]) -> list[str]:
    """Lines of a function whose variables may be anything: what pandas' stubs think of a notebook's lines is no help."""
    text = "\n".join(lines)
    tree = ast.parse(text)
    source = text.splitlines()
    declared: set[str] = set()
    before: list[str] = []
    changed = dict(enumerate(source))
    for node in tree.body:
        names = _new(node, declared)
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name) and names:
            target = node.targets[0]
            line = changed[target.lineno - 1]
            changed[target.lineno - 1] = f"{line[: target.end_col_offset]}: Any{line[target.end_col_offset :]}"
        else:
            before += [f"{name}: Any" for name in names]
        declared |= set(names)
    return [*before, *(changed[number] for number in range(len(source)))]


def _new(node: ast.stmt, declared: set[str]) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom | ast.AnnAssign):
        return []
    return sorted(effects_of(node).defines - declared)


def function_source(node: ast.FunctionDef, place: Place) -> str:
    """A function of the program with types that say nothing: mypy asks for some."""
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
    for each in arguments:
        if each is not None:
            each.annotation = ast.Name("Any", ast.Load())
    node.returns = ast.Name("Any", ast.Load())
    if ast.get_docstring(node) is None:
        node.body.insert(0, ast.Expr(ast.Constant(f"`{node.name}` of {place}.")))
    return ast.unparse(ast.fix_missing_locations(node))


def verbatim(plan: Plan, places: Sequence[int], rewriter: Rewriter | None = None) -> list[str]:
    """The lines of some statements, each cell of them with its place."""
    lines: list[str] = []
    effects: list[Effects] = table([each.node for each in plan.program.statements])
    last: object = None
    for position, index in enumerate(places):
        statement = plan.program.statements[index]
        later = {name for each in places[position + 1 :] for name in effects[each].uses} | set(effects_of(plan.features).uses)
        nodes = rewriter.statement(index, later) if rewriter else [statement.node]
        if not nodes:
            continue
        if statement.place.cell != last and statement.place.cell is not None:
            lines.append(f"# cell {statement.place.cell}")
        last = statement.place.cell
        lines += source_of(nodes, statement)
    return lines


def source_of_places(plan: Plan, places: Sequence[int], rewriter: Rewriter | None = None) -> list[str]:
    """The lines of some statements, functions with types that say nothing."""
    lines: list[str] = []
    for index in places:
        statement = plan.program.statements[index]
        if isinstance(statement.node, ast.FunctionDef):
            copy = cast("ast.FunctionDef", ast.parse(ast.unparse(statement.node)).body[0])
            lines.append(function_source(copy, statement.place))
        else:
            lines += verbatim(plan, [index], rewriter)
    return lines


def shared_functions(plan: Plan) -> dict[int, str]:
    """The functions that stand in `features.py` as they are in the program, by their places: other modules import them
    there."""
    stateful = stateful_functions(plan)
    found = {}
    for index in tops(plan, plan.path):
        node = plan.program.statements[index].node
        if isinstance(node, ast.FunctionDef) and node.name not in stateful:
            found[index] = node.name
    return found
