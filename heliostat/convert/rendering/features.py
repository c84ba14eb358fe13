"""`features.py`: from rows to what the model sees, for training and for serving."""

from __future__ import annotations

import ast
from typing import Any

from heliostat.convert.effects import effects_of, table
from heliostat.convert.plan import Plan
from heliostat.convert.rendering.lines import (
    annotated,
    function_source,
    imports_of,
    indented,
    is_import,
    reads_rows,
    tops,
    verbatim,
)
from heliostat.convert.rendering.naming import Workload
from heliostat.convert.rewriting import Rewriter
from heliostat.convert.slices import behind_split, live_names

_WHOLE = "The features of rows, which have the columns of the source."
_STATE = "from heliostat.ml.frameworks.scikit_learn.state import State"


def features_module(workload: Workload) -> str:
    """The module's text."""
    code = feature_code(workload.plan, "rows.to_numpy()" if workload.facts and workload.facts.is_array else "rows.copy()")
    head = (
        f'"""From rows to what the model sees: the one piece of code for training and for serving.\n\n'
        f"These are the lines of {workload.source}. What they fit on the rows of a training, `state` keeps for the answers.\n"
        f'"""\n\nfrom typing import Any\n\n{imports_of(workload.plan, [code])}\n{_STATE}\n'
    )
    return f"{head}\n{_constants(workload)}\n\n{code}\n"


def probe_code(plan: Plan) -> str:
    """The same functions, to be run apart from any workload: `as_source` gives them rows as the program had them."""
    code = feature_code(plan, "as_source(rows)")
    return f"from typing import Any\n{imports_of(plan, [code])}\n{_STATE}\n\n{code}\n"


def feature_code(plan: Plan, rows: str) -> str:
    """The functions of the module, and what they use; `rows` makes what the program began with."""
    rewriter = Rewriter(plan)
    top = tops(plan, plan.path)
    parts = _top_code(plan, top, rewriter)
    places = sorted({*plan.path, *(index for index in plan.handed if index >= plan.root_from)} - {*top})
    body = [index for index in places if not is_import(plan.program.statements[index]) and not _only_seeds(plan, index)]
    first = f"{plan.root} = {rows}"
    if not plan.leaks:
        lines = [first, *_lines(plan, body, rewriter)]
        return "\n\n\n".join([*parts, _function("features", "rows", _WHOLE, lines, _unparsed(plan.features, rewriter))])
    split = plan.splits[0]
    behind = behind_split(plan.program, body, split.index)
    ahead = [index for index in body if index not in behind and index != split.index]
    before = [first, *_lines(plan, ahead, rewriter)]
    crossed = _unparsed(split.node.args[0], rewriter)
    after = [
        f"{_crossing(plan)} = rows",
        *_brought(plan, ahead, sorted(behind), rewriter),
        *_lines(plan, sorted(behind), rewriter),
    ]
    return "\n\n\n".join([
        *parts,
        _function("before_split", "rows", "What is computed of all rows, before they are split.", before, crossed),
        _function("after_split", "rows", "What is computed of one part.", after, _unparsed(plan.features, rewriter)),
        f'def features(rows: Any, state: State) -> Any:\n    """{_WHOLE}"""\n'
        "    return after_split(before_split(rows, state), state)",
    ])  # fmt: skip


def _brought(plan: Plan, ahead: list[int], behind: list[int], rewriter: Rewriter) -> list[str]:
    """What the lines behind the split need of those before it, beside the rows: constants again, and what was kept."""
    effects = table([each.node for each in plan.program.statements])
    wanted = live_names(
        plan.program, plan.seen, behind, set(effects_of(plan.features).uses), plan.splits[0].index + 1, plan.fit.index
    )
    plain = [index for index in ahead if not reads_rows(plan, index)]
    names = {name for index in plain for name in effects[index].defines & wanted}
    return [
        *verbatim(plan, [index for index in plain if effects[index].defines & wanted], rewriter),
        *(f"{name} = state.fitted({name!r})" for name in sorted(wanted - names) if name in rewriter.names),
    ]


def _only_seeds(plan: Plan, index: int) -> bool:
    """Whether a statement only seeds a generator: features choose nothing at random."""
    node = plan.program.statements[index].node
    call = node.value if isinstance(node, ast.Expr) else None
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "seed"


def _top_code(plan: Plan, top: list[int], rewriter: Rewriter) -> list[str]:
    """Functions of the program, and what they use from outside, in their order."""
    constants: list[str] = []
    functions: list[str] = []
    for index in top:
        statement = plan.program.statements[index]
        if isinstance(statement.node, ast.FunctionDef):
            functions.append(function_source(rewriter.function(statement.node), statement.place))
        else:
            constants.append(statement.text)
    return [*(["\n".join(constants)] if constants else []), *functions]


def _lines(plan: Plan, places: list[int], rewriter: Rewriter) -> list[str]:
    """The lines of statements, and after them what they hand to those that make the model."""
    lines: list[str] = []
    run: list[int] = []
    for index in places:
        run.append(index)
        if index in plan.handed:
            lines += verbatim(plan, run, rewriter)
            lines += [f"state.value({each!r}, lambda: {each})" for each in plan.handed[index]]
            run = []
    return [*lines, *verbatim(plan, run, rewriter)]


def _function(name: str, argument: str, text: str, lines: list[str], returned: str) -> str:
    body = indented([*annotated(lines), f"return {returned}"])
    return f'def {name}({argument}: Any, state: State) -> Any:\n    """{text}"""\n{body}'


def _unparsed(node: ast.expr, rewriter: Rewriter) -> str:
    return ast.unparse(ast.fix_missing_locations(rewriter.expression(node)))


def _crossing(plan: Plan) -> str:
    """The name that the rows of the training have behind the first split."""
    statement: Any = plan.program.statements[plan.splits[0].index].node
    return str(getattr(statement.targets[0].elts[0], "id", "split_rows"))


def _constants(workload: Workload) -> str:
    facts = workload.facts
    types = {field: (name, "") for name, field in workload.fields.items()}
    if facts is not None:
        types = {workload.fields[each.name]: (each.name, each.type) for each in facts.columns}
    classes = (
        f'\nCLASSES = {workload.classes!r}\n"""What the model tells apart, in the order of its probabilities."""'
        if workload.classes
        else ""
    )
    row = '\nROW = "notebook_row"\n"""The place of a row among all of them: something is fitted on all, in their order."""'
    return (
        f"COLUMNS: dict[str, tuple[str | int, str]] = {types!r}\n"
        '"""Every column that the lines below are written for: what they call it, and pandas\' name of its type."""\n'
        f'INPUTS = {tuple(workload.inputs)!r}\n"""The columns that an answer depends on: what clients send."""\n'
        f"LABEL = {workload.label!r}{classes}{row if workload.keeps_order else ''}"
    )
