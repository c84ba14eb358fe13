"""`dataset.py`: the rows that a training learns from, split as the program splits them."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass

from heliostat.convert.effects import effects_of, needed, table
from heliostat.convert.kinds import Event, Happening, Kind, constant, keyword
from heliostat.convert.plan import Plan, Problem
from heliostat.convert.rendering.lines import (
    annotated,
    function_source,
    imports_of,
    indented,
    is_import,
    shared_functions,
    tops,
    verbatim,
)
from heliostat.convert.rendering.naming import Workload, field_of
from heliostat.convert.rewriting import Rewriter


@dataclass(frozen=True)
class File:
    """A file that the program reads, which becomes a parameter of the data set."""

    name: str
    path: str
    node: int


def files_of(plan: Plan, folder: str) -> list[File]:
    """The files that the rows are read from, by whole paths."""
    found: list[File] = []
    places = {*plan.load, *plan.label_path}
    for event in plan.seen.events:
        node = event.node.args[0] if event.what is Happening.FILE and event.index in places and event.node.args else None
        path = constant(node)
        if isinstance(path, str):
            whole = path if "://" in path or path.startswith("/") else f"{folder}/{path}"
            name = field_of(path.rpartition("/")[2])
            found.append(File(name, whole, id(node)))
    return list({each.node: each for each in found}.values())


def dataset_module(workload: Workload) -> str:
    """The module's text."""
    plan = workload.plan
    places = sorted({*plan.load, *plan.label_path})
    files = files_of(plan, workload.folder)
    top = tops(plan, places)
    shared = shared_functions(plan)
    functions = [_top(plan, index) for index in top if index not in shared]
    body = [index for index in places if index not in top and not is_import(plan.program.statements[index])]
    load = _load(workload, body, Rewriter(plan, {each.node: f"parameters.{each.name}" for each in files}, for_labels=True))
    split = _split(workload)
    code = "\n\n\n".join([*functions, load, split])
    data = "Data" if files else "JobParameters"
    source = (
        f"from {workload.package}.parameters import Data" if files else "from heliostat.spec.parameters import JobParameters"
    )
    constants = [
        "COLUMNS",
        "INPUTS",
        "LABEL",
        *(["CLASSES"] if workload.classes else []),
        *(["ROW"] if workload.keeps_order else []),
    ]
    imported = [*constants, *(shared[index] for index in top if index in shared)]
    used = [name for name in imported if any(getattr(each, "id", "") == name for each in ast.walk(ast.parse(code)))]
    return (
        f'"""The data: the rows of {workload.source} before any feature, split as it splits them."""\n\n'
        f"from typing import Any\n\nimport numpy as np\nimport pandas as pd\n{imports_of(plan, [code])}\n"
        "from heliostat.ml import flow\nfrom heliostat.ml.datasets import Tables\n"
        f"from heliostat.ml.frameworks.scikit_learn.frames import named, tables\n{source}\n"
        f"from {workload.package}.features import {', '.join(used)}\n\n\n"
        f"{code.replace('DATA_PARAMETERS', data)}\n\n\n"
        f'snapshot = flow.snapshot(flow.beside(__file__), "load")\n'
    )


def _top(plan: Plan, index: int) -> str:
    statement = plan.program.statements[index]
    if isinstance(statement.node, ast.FunctionDef):
        return function_source(ast.parse(ast.unparse(statement.node)).body[0], statement.place)  # type: ignore[arg-type]
    return statement.text


def _load(workload: Workload, places: list[int], rewriter: Rewriter) -> str:
    plan = workload.plan
    early = [index for index in places if index < plan.root_from]
    late = [index for index in places if index >= plan.root_from]
    copy = ".copy()" if late else ""
    is_array = bool(workload.facts and workload.facts.is_array)
    rows = f"pd.DataFrame({plan.root}){copy}" if is_array else f"{plan.root}{copy}"
    lines = [*_read(plan, early, rewriter), f"rows = {rows}", *_read(plan, late, rewriter)]
    if filtered := _filtered(plan, late):
        lines.append(f"rows = rows.loc[{filtered}.index]")
    label = ast.unparse(plan.labels)
    lines.append(f"labels = np.asarray({label})")
    if workload.classes:
        lines.append("labels = pd.Index(CLASSES).get_indexer(pd.Index(labels))")
    elif plan.problem is Problem.NUMBERS:
        lines.append("labels = labels.astype(np.float64)")
    added = ["LABEL: labels", *(["ROW: np.arange(len(rows))"] if workload.keeps_order else [])]
    returned = f"return named(rows, COLUMNS, INPUTS).assign(**{{{', '.join(added)}}})"
    what = "the columns that an answer depends on and the label" if workload.facts else "the columns and the label"
    return (
        f'def load(parameters: DATA_PARAMETERS) -> pd.DataFrame:\n    """All rows, {what}."""\n'
        f"{indented([*annotated(lines), returned])}"
    )


def _read(plan: Plan, places: Iterable[int], rewriter: Rewriter) -> list[str]:
    """The lines as they are, but for the files that they read."""
    rewriter.only_parameters()
    return verbatim(plan, list(places), rewriter)


def _filtered(plan: Plan, places: list[int]) -> str:
    """The variable that has fewer rows than were read; empty where there is none."""
    marked = {event.index for event in plan.seen.events if event.what is Happening.FILTER} & set(places) & set(plan.load)
    if not marked:
        return ""
    last = max(marked)
    effects = table([each.node for each in plan.program.statements])
    named = sorted(effects[last].defines | effects[last].changes)
    rows = [
        name for name in named if plan.seen.history[last + 1].get(name) and plan.seen.history[last + 1][name].kind is Kind.ROWS
    ]
    return rows[0] if rows else ""


def _split(workload: Workload) -> str:
    plan = workload.plan
    lines: list[str] = []
    names = {"all": "rows", "train": "train", "test": "test", "validation": "validation"}
    made: set[str] = set()
    for event in plan.splits:
        if event.part not in names:
            continue
        first, second = {"all": ("train", "test"), "train": ("train", "validation")}.get(event.part, ("validation", "test"))
        wanted = {name for each in event.node.keywords if each.arg != "stratify" for name in effects_of(each.value).uses}
        constants = [index for index in needed(plan.program.statements, wanted, event.index) if _is_plain(plan, index)]
        lines += verbatim(plan, [index for index in constants if not is_import(plan.program.statements[index])])
        lines.append(f"{first}, {second} = train_test_split({', '.join([names[event.part], *_options(event)])})")
        made |= {first, second}
    if not plan.splits:
        lines.append("train, validation, test = rows, rows.iloc[::2], rows.iloc[1::2]")
        notes = '("every row is in the training: the source has no split, so that figures on its test rows flatter it",)'
    elif "validation" not in made:
        lines.append("validation, test = test.iloc[::2], test.iloc[1::2]")
        notes = '("the rows that the source tests on are halved, into validation and test",)'
    else:
        notes = "()"
    return (
        f"def split(rows: pd.DataFrame) -> Tables:\n"
        f'    """The rows of the training, as the source has them; the others are to validate and to test."""\n'
        f"{indented([*annotated(lines), f'return tables(train, validation, test, LABEL, {notes})'])}"
    )


def _is_plain(plan: Plan, index: int) -> bool:
    return not any(event.index == index for event in plan.seen.events)


def _options(event: Event) -> list[str]:
    """The options of a split; the rows to keep in proportion are those of the snapshot."""
    found = []
    for each in event.node.keywords:
        value = (
            "rows[LABEL]"
            if each.arg == "stratify" and constant(each.value) is None and not _is_none(each.value)
            else ast.unparse(each.value)
        )
        found.append(f"{each.arg}={value}" if each.arg else f"**{value}")
    found += [ast.unparse(each) for each in event.node.args if isinstance(each, ast.Starred)]
    if keyword(event.node, "random_state") is None and constant(keyword(event.node, "shuffle")) is not False:
        found.append("random_state=0")
    return found


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
