"""`contract.py`: what clients send and get, of the columns and answers that a run told."""

from __future__ import annotations

import ast
from typing import Any

from heliostat.convert.effects import effects_of
from heliostat.convert.facts import Column, Recorded
from heliostat.convert.rendering.lines import imports_of
from heliostat.convert.rendering.naming import Workload
from heliostat.convert.rendering.training import has_probabilities

_TYPES = {
    "int": "int",
    "uint": "int",
    "float": "float",
    "bool": "bool",
    "str": "str",
    "object": "str",
    "category": "str",
    "string": "str",
}


def contract_module(workload: Workload) -> str:
    """The module's text; without a run, one that says what has to be answered first."""
    if workload.facts is None:
        return _unanswered(workload)
    row = "".join(_field(workload, column) for column in workload.facts.columns if column.name in workload.facts.used)
    answer, respond = _answer(workload)
    text = row + answer + respond
    example = _example(workload)
    classes = "CLASSES, " if "CLASSES" in respond else ""
    title = workload.name.replace("-", " ").capitalize()
    return (
        '"""What clients send and get, and requests that prove that a version works before it takes traffic."""\n\n'
        + ("import datetime as dt\n" if "dt." in row else "")
        + ("from typing import Literal\n" if "Literal[" in text else "")
        + f"{imports_of(workload.plan, [respond])}\n{'import numpy as np' if 'np.' in respond else ''}\n"
        + "from heliostat.ml.contracts import Contract, Golden\nfrom pydantic import BaseModel\n\n"
        + (f"from {workload.package}.features import {classes.rstrip(', ')}\n" if classes else "")
        + f"from {workload.package}.predictor import Model\n\n\n"
        + 'class Row(BaseModel, extra="forbid", allow_inf_nan=False):\n'
        + f'    """One row of a request, before any feature."""\n\n{row}\n\n'
        + f'class Answer(BaseModel):\n    """The answer to one row."""\n\n{answer}\n\n{respond}\n\n'
        + f"EXAMPLE = {example}\n"
        + 'GOLDEN = (Golden("a row", EXAMPLE.model_dump(mode="json")), Golden("a row with nothing in it", {}, status=422))\n'
        + f'CONTRACT = Contract({title!r}, "{workload.label}, as {workload.source} tells it.", Row, Answer, Model, respond, '
        + "examples=(EXAMPLE,), golden=GOLDEN)\n"
    )


def field_values(workload: Workload, recorded: Recorded) -> dict[str, Any]:
    """A recorded row as a request."""
    used = [each for each in workload.columns if each.name in workload.used]
    return {workload.fields[each.name]: _value(recorded.row[str(each.name)], each) for each in used}


def _value(value: Any, column: Column) -> Any:
    return int(value) if _python(column) == "int" and isinstance(value, float) else value


def _field(workload: Workload, column: Column) -> str:
    kind = _python(column)
    if column.values and kind == "str":
        kind = f"Literal[{', '.join(map(repr, column.values))}]"
    described = "" if workload.fields[column.name] == column.name else f'    """`{column.name}` in the source."""\n'
    return f"    {workload.fields[column.name]}: {kind}{' | None' if column.has_missing else ''}\n{described}"


def _python(column: Column) -> str:
    if column.type.startswith("datetime64"):
        return "dt.datetime"
    return next((python for name, python in _TYPES.items() if column.type.lower().startswith(name)), "str")


def _answer(workload: Workload) -> tuple[str, str]:
    """The fields of an answer, and the function that makes it of a score."""
    if not workload.classes:
        computed = computed_answer(workload, "np.array([score])")
        value = f"float(({computed})[0])" if computed else "score"
        return (
            "    prediction: float\n",
            f'def respond(score: float) -> Answer:\n    """The answer that a model\'s number means."""\n    return '
            f"Answer(prediction={value})\n",
        )
    kind = {bool: "bool", int: "int", float: "float"}.get(type(workload.classes[0]), "str")
    if workload.is_binary:
        computed = computed_answer(workload, "np.array([[1 - score, score]])")
        chosen = f"({computed})[0]" if computed else "CLASSES[score > 0.5]"
        kind = kind if not computed else _computed_kind(workload, kind)
        chosen = f"{kind}({chosen})" if computed else chosen
        extra = (
            ("    probability: float\n" + f'    """Of {workload.classes[1]!r}."""\n') if has_probabilities(workload) else ""
        )
        given = ", probability=score" if extra else ""
        return (
            f"    prediction: {kind}\n{extra}",
            f'def respond(score: float) -> Answer:\n    """The answer that a model\'s probability means."""\n'
            f"    return Answer(prediction={chosen}{given})\n",
        )
    extra = '    probabilities: dict[str, float]\n    """By class."""\n' if has_probabilities(workload) else ""
    given = ", probabilities=dict(zip(map(str, CLASSES), scores, strict=True))" if extra else ""
    return (
        f"    prediction: {kind}\n{extra}",
        f'def respond(scores: list[float]) -> Answer:\n    """The answer that the classes\' probabilities mean."""\n'
        f"    return Answer(prediction=CLASSES[scores.index(max(scores))]{given})\n",
    )


def _computed_kind(workload: Workload, kind: str) -> str:
    first = workload.facts.recorded[0].prediction if workload.facts and workload.facts.recorded else None
    return {"bool": "bool", "int": "int", "float": "float", "str": "str"}.get(type(first).__name__, kind)


def computed_answer(workload: Workload, score: str) -> str:
    """What the source computes from its model's answer, with `score` in the place of that; empty where it computes nothing.

    Only what a module's functions and constants make of the answer alone: anything else needs a person.
    """
    answer = workload.plan.answer
    if answer.after is None or answer.call is None:
        return ""
    others = set(effects_of(answer.after).uses) - effects_of(answer.call).uses
    modules = {name for name, value in workload.plan.seen.variables.items() if value.name}
    if others - modules:
        return ""
    marked = ast.parse(ast.unparse(_replaced(answer.after, answer.call)), mode="eval")
    return ast.unparse(marked).replace("_ANSWER_", score)


def _replaced(node: ast.expr, call: ast.expr) -> ast.expr:
    class Replacing(ast.NodeTransformer):
        def visit(self, each: ast.AST) -> Any:
            return ast.Name("_ANSWER_", ast.Load()) if each is target else super().visit(each)

    copy = ast.parse(ast.unparse(node), mode="eval").body
    target = next(
        each for each in ast.walk(copy) if ast.dump(each) == ast.dump(ast.parse(ast.unparse(call), mode="eval").body)
    )
    found: ast.expr = Replacing().visit(copy)
    return found


def _example(workload: Workload) -> str:
    if not workload.recorded:
        return "Row.model_validate({})"
    values = field_values(workload, workload.recorded[0])
    parts = []
    for column in workload.columns:
        if column.name in workload.used:
            value = values[workload.fields[column.name]]
            is_time = column.type.startswith("datetime64") and value is not None
            parts.append(
                f"{workload.fields[column.name]}={f'dt.datetime.fromisoformat({value!r})' if is_time else repr(value)}"
            )
    return f"Row({', '.join(parts)})"


def _unanswered(workload: Workload) -> str:
    return (
        '"""What clients send and get: to be written, or made by `heliostat convert` where the source can run."""\n\n'
        'raise NotImplementedError(\n    "the source was not run, so the columns of a request, their types and the '
        "answers are not known: "
        f'answer the questions in workloads/{workload.module}/QUESTIONS.md, or convert it again without --no-run"\n)\n'
    )
