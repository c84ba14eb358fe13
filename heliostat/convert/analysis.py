"""Takes a program apart: from the statement that fits the model back to the data. Pure, but that it looks up
estimators' classes."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterable, Sequence
from typing import Final

from heliostat.convert.effects import needed, table
from heliostat.convert.interpreter import Interpreter
from heliostat.convert.kinds import Event, Happening, Kind, keyword
from heliostat.convert.plan import Answer, Plan, Problem
from heliostat.convert.slices import behind_split, from_root, live_names, names_in, path_of
from heliostat.convert.source import ConversionError, Program, shown

FITTING: Final = frozenset({Happening.AGGREGATE, Happening.FIT, Happening.FIT_TRANSFORM, Happening.DUMMIES})
_PROBABLE: Final = "predict_proba"


def plan_of(program: Program, model: str | None = None) -> Plan:
    """What each statement of a program is for; `model` names the variable of the model to serve, where there are several.

    Raises:
        ConversionError: there is nothing to serve, or what there is cannot be taken apart.
    """
    seen = Interpreter()
    seen.run(program.statements)
    fit = _chosen(program, seen, model)
    call: ast.Call = fit.node
    features = call.args[0] if call.args else keyword(call, "X")
    labels = call.args[1] if len(call.args) > 1 else keyword(call, "y")
    if features is None or labels is None:
        raise ConversionError(f"{_at(program, fit)}: `{fit.text}` has no labels: what is told without any is not converted")
    path = path_of(program, seen, names_in(features), fit.index)
    splits = [each for each in seen.events if each.what is Happening.SPLIT and each.index in path and not each.in_function]
    label_path = path_of(program, seen, names_in(labels), fit.index)
    start, root = _root(program, seen, path, features, splits[0].index if splits else fit.index, fit.index)
    name = _variable(call) or _assigned(program, fit)
    building, handed = _building(program, seen, call, fit.index, start, path)
    load = _load(program, seen, path, root, start, splits[0].index if splits else fit.index)
    plan = Plan(
        program=program,
        seen=seen,
        fit=fit,
        model=name,
        problem=_problem(program, fit),
        features=features,
        labels=labels,
        root=root,
        root_from=start,
        path=from_root(program, seen, path, features, root, start, fit.index),
        load=load,
        label_path=label_path,
        building=building,
        handed=handed,
        splits=splits,
        leaks=_leaks(program, seen, path, start, splits),
        answer=_answer(program, seen, fit, name),
    )
    plan.unseeded = [
        each for each in seen.events if each.what is Happening.UNSEEDED and each.index in {*path, *plan.label_path, *building}
    ]
    return plan


# The model


def _chosen(program: Program, seen: Interpreter, wanted: str | None) -> Event:
    """Where the model that is served is fitted."""
    fits = [each for each in seen.events if each.what is Happening.FIT and _tells(each, seen)]
    if not fits:
        fitted = [each for each in seen.events if each.what in (Happening.FIT, Happening.FIT_TRANSFORM)]
        also = f" ({_at(program, fitted[0])} fits `{fitted[0].text}`, which only transforms)" if fitted else ""
        raise ConversionError(
            f"there is nothing to serve: no estimator of {', '.join(('scikit-learn', 'LightGBM', 'XGBoost'))} that "
            f"predicts is fitted "
            f"in its statements{also}"
        )
    named = [each for each in fits if wanted is None or _variable(each.node) == wanted]
    if not named:
        there = ", ".join(dict.fromkeys(_variable(each.node) or shown(each.node) for each in fits))
        raise ConversionError(f"no model called {wanted!r} is fitted: there are {there}")
    chosen = named[-1]
    if chosen.in_function or not isinstance(program.statements[chosen.index].node, ast.Expr | ast.Assign):
        raise ConversionError(
            f"{_at(program, chosen)}: the model is fitted inside of a function or a loop, `{chosen.text}`: fit the "
            f"one to serve in a "
            "statement of its own"
        )
    others = [each for each in fits if each is not chosen and _variable(each.node) != _variable(chosen.node)]
    if others and wanted is None:
        listed = "; ".join(f"`{each.text}` ({_at(program, each)})" for each in others)
        program.ask(
            f"several models are fitted, and the last, `{chosen.text}`, is the one that is served: is it the one that "
            f"is meant? "
            f"--model NAME takes another: {listed}",
            program.statements[chosen.index].place,
        )
    return chosen


def _tells(event: Event, seen: Interpreter) -> bool:
    """Whether an estimator predicts, and does not only transform."""
    if not event.value.classes:
        return False
    loaded = class_of(event.value.classes[-1])
    if loaded is not None:
        return hasattr(loaded, "predict")
    name = _variable(event.node)
    return any(each.what is Happening.PREDICT and _variable(each.node) == name for each in seen.events)


def _problem(program: Program, fit: Event) -> Problem:
    for path in reversed(fit.value.classes):
        kind = getattr(class_of(path), "_estimator_type", None) or _type_of_tags(path)
        if kind in ("classifier", "regressor"):
            return Problem.CLASSES if kind == "classifier" else Problem.NUMBERS
    place = program.statements[fit.index].place
    raise ConversionError(
        f"{place}: `{fit.text}` fits a {fit.value.classes[-1] if fit.value.classes else 'model'}, which is neither a "
        f"classifier nor a "
        "regressor that is installed here"
    )


def _type_of_tags(path: str) -> str | None:
    """What scikit-learn says of a class that has to be made to be asked."""
    from sklearn.base import ClassifierMixin, RegressorMixin

    loaded = class_of(path)
    if isinstance(loaded, type):
        if issubclass(loaded, ClassifierMixin):
            return "classifier"
        return "regressor" if issubclass(loaded, RegressorMixin) else None
    return None


def class_of(path: str) -> object | None:
    """The class at a path, where it is installed here."""
    module, _, name = path.rpartition(".")
    try:
        found: object = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        return None
    return found


def _assigned(program: Program, fit: Event) -> str:
    """The variable that `model = Estimator().fit(...)` gives the model to.

    Raises:
        ConversionError: it is in none.
    """
    statement = program.statements[fit.index].node
    if isinstance(statement, ast.Assign) and statement.value is fit.node and isinstance(statement.targets[0], ast.Name):
        return statement.targets[0].id
    raise ConversionError(f"{_at(program, fit)}: the model of `{fit.text}` is in no variable: give it a name")


def _variable(call: ast.Call) -> str:
    """The variable that a method is called on; empty where it is on none."""
    function = call.func
    return function.value.id if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) else ""


# Where what begins


def _root(
    program: Program, seen: Interpreter, path: list[int], features: ast.expr, split_at: int, fit_at: int
) -> tuple[int, str]:
    """The first place from which on the features need one variable with rows alone, and that variable."""
    structure = [each.index for each in seen.events if each.what is Happening.STRUCTURE and each.index in path]
    start = max(structure, default=-1) + 1
    for place in range(start, split_at + 1):
        live = live_names(program, seen, path, names_in(features), place, fit_at)
        if any((found := seen.history[place].get(name)) and found.kind is Kind.BUNCH for name in live):
            continue
        rows = [name for name in sorted(live) if seen.history[place].get(name) and seen.history[place][name].kind is Kind.ROWS]
        if len(rows) == 1:
            return place, rows[0]
    raise ConversionError(
        f"the features `{shown(features)}` are made of several tables that are never one: put them into one frame "
        f"before anything "
        "is computed, and before the split"
    )


def _load(program: Program, seen: Interpreter, path: list[int], root: str, start: int, split_at: int) -> list[int]:
    """The statements that make the rows; those after the root stand there for the rows that they leave out."""
    filters = [each.index for each in filters_of(seen) if each.index in path and start <= each.index <= split_at]
    last = max(filters, default=start - 1)
    return [index for index in path if index < start or index <= last] or needed(program.statements, [root], start)


def filters_of(seen: Interpreter) -> list[Event]:
    """Where rows are left out; not those of which only a mean or the like is taken."""
    counted = [each.node for each in seen.events if each.what is Happening.AGGREGATE]
    inside = {id(each) for node in counted for each in ast.walk(node)}
    return [each for each in seen.events if each.what is Happening.FILTER and id(each.node) not in inside]


def _leaks(program: Program, seen: Interpreter, path: list[int], start: int, splits: Sequence[Event]) -> list[Event]:
    """What is fitted on all rows although a split keeps some for the test."""
    if not splits:
        return []
    behind = behind_split(program, path, splits[0].index)
    return [
        each
        for each in seen.events
        if each.what in FITTING and each.index in path and each.index >= start and each.index not in behind
    ]


def _building(
    program: Program, seen: Interpreter, call: ast.Call, at: int, start: int, path: list[int]
) -> tuple[list[int], dict[int, list[str]]]:
    """The statements that make the model, and what those before it hand to them that they read off the rows."""
    wanted = {*names_in(receiver_of(call)), *(name for each in [*call.args[2:], *call.keywords] for name in names_in(each))}
    wanted -= {name for each in call.keywords if each.arg in ("X", "y") for name in names_in(each)}
    all_of_it = [index for index in needed(program.statements, wanted, at) if not _is_fit(seen, index)]
    effects = table([each.node for each in program.statements[:at]])
    off_rows = {
        index
        for index in all_of_it
        if any((found := seen.history[index].get(name)) and found.kind is Kind.ROWS for name in effects[index].uses)
        or _defines_rows(seen, effects[index].defines, index)
    }
    building = [index for index in all_of_it if index not in off_rows]
    used = {name for index in building for name in effects[index].uses} | wanted
    handed: dict[int, list[str]] = {}
    for index in sorted(off_rows):
        names = sorted(name for name in effects[index].defines & used if not _is_rows(seen, name, index + 1))
        if index >= start and names:
            handed[index] = names
    return building, handed


def receiver_of(call: ast.Call) -> ast.expr:
    """What a method is called on."""
    return call.func.value if isinstance(call.func, ast.Attribute) else call.func


def _is_fit(seen: Interpreter, index: int) -> bool:
    return any(
        each.index == index and each.what in (Happening.FIT, Happening.FIT_TRANSFORM, Happening.SPLIT) for each in seen.events
    )


def _defines_rows(seen: Interpreter, names: Iterable[str], index: int) -> bool:
    return any(_is_rows(seen, name, index + 1) for name in names)


def _is_rows(seen: Interpreter, name: str, place: int) -> bool:
    found = seen.history[place].get(name)
    return found is not None and found.kind in (Kind.ROWS, Kind.BUNCH)


# How it answers


def _answer(program: Program, seen: Interpreter, fit: Event, name: str) -> Answer:
    """How the program asks its model: the last time that it asks of the test rows, or of any."""
    asked = [
        each
        for each in seen.events
        if each.what is Happening.PREDICT
        and each.index >= fit.index
        and not each.in_function
        and _variable(each.node) == name
        and name
    ]
    tested = [each for each in asked if each.part == "test"] or asked
    probable = [each for each in tested if each.node.func.attr == _PROBABLE]
    if not tested:
        return Answer("predict", None, None, fit.part)
    chosen = tested[-1] if not probable else probable[-1]
    plain = [each for each in tested if each.node.func.attr == "predict"]
    after, call = _computed(
        program.statements[(plain[-1] if plain else chosen).index].node, (plain[-1] if plain else chosen).node
    )
    return Answer(
        chosen.node.func.attr, chosen.index, chosen.node.args[0] if chosen.node.args else None, chosen.part, after, call
    )


def _computed(statement: ast.stmt, call: ast.expr) -> tuple[ast.expr | None, ast.expr | None]:
    """What an assignment computes from an answer, where that is more than the answer or a column of it."""
    if not isinstance(statement, ast.Assign):
        return None, None
    value = statement.value
    if value is call or (isinstance(value, ast.Subscript) and value.value is call):
        return None, None
    return (value, call) if any(each is call for each in ast.walk(value)) else (None, None)


def _at(program: Program, event: Event) -> str:
    return str(program.statements[event.index].place)
