"""Runs a program once, as a process of its own, and writes down what it is and what it answers: `recording TASK OUTCOME`."""

from __future__ import annotations

import ast
import builtins
import importlib.metadata
import linecache
import os
import sys
import traceback
import types
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from heliostat.convert.facts import LITERALS, Column, Facts, Failure, Outcome, Recorded, Task

_SAMPLE = 200
"""Rows on which it is tried which columns matter."""


class _Split:
    """Stands in the place of `train_test_split`, and keeps which rows went where."""

    def __init__(self, split: Callable[..., Any]) -> None:
        self._split = split
        self.index = -1
        self.calls: dict[int, tuple[Any, Any, Any]] = {}

    def __call__(self, *arrays: Any, **options: Any) -> Any:
        rows = np.arange(len(arrays[0]) if hasattr(arrays[0], "__len__") else arrays[0].shape[0])
        *found, first, second = self._split(*arrays, rows, **options)
        indexes = [each.index for each in arrays if hasattr(each, "iloc")]
        self.calls[self.index] = (first, second, indexes[0] if indexes else None)
        return found


def record(task: Task) -> Outcome:
    """Run the program of a task and look at it where the task says."""
    from sklearn import model_selection

    split = _Split(model_selection.train_test_split)
    model_selection.train_test_split = split
    namespace = types.ModuleType("__main__").__dict__ | {"__name__": "__main__", "__file__": str(Path(task.folder, task.name))}
    looked: dict[str, Any] = {}
    for index, statement in enumerate(task.statements):
        split.index = index
        if index == task.root_from:
            looked["root"] = _copied(namespace[task.root])
        try:
            _execute(statement.code, f"<{task.name} {index}>", namespace)
        except BaseException as error:
            return Outcome(failure=_failure(task, index, error))
        if index == task.fit_at:
            looked["model"] = eval(task.model, namespace)  # noqa: S307 - the program's own expression
            looked["fitted"] = _copied(eval(task.features, namespace))  # noqa: S307
            looked["index"] = getattr(looked["fitted"], "index", None)
        if index == task.answer_at:
            looked["asked"] = _copied(eval(task.answer_rows, namespace))  # noqa: S307
            looked["answers"] = _answers(looked["model"], looked["asked"])
            if task.computed:
                looked["answers"] = np.asarray(eval(task.computed, namespace)), looked["answers"][1]  # noqa: S307
    return Outcome(facts=_facts(task, looked, split, namespace))


def _execute(code: str, file: str, namespace: dict[str, Any]) -> None:
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    exec(compile(code, file, "exec"), namespace)  # noqa: S102 - the program that is converted


def _failure(task: Task, index: int, error: BaseException) -> Failure:
    """Where in the source it failed: the last of its lines that was running."""
    inside = 1
    at = index
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith(f"<{task.name} "):
            at = int(frame.filename.rstrip(">").rpartition(" ")[2])
            inside = frame.lineno or 1
    statement = task.statements[at]
    return Failure(cell=statement.cell, line=statement.line + inside - 1, error=f"{type(error).__name__}: {error}")


def _copied(value: Any) -> Any:
    return value.copy() if hasattr(value, "copy") else value


def _answers(model: Any, rows: Any) -> tuple[Any, Any]:
    """Predictions, and probabilities where there are some."""
    proba = None
    if hasattr(model, "predict_proba"):
        proba = np.asarray(model.predict_proba(rows))
    return np.asarray(model.predict(rows)), proba


def _facts(task: Task, looked: dict[str, Any], split: _Split, namespace: dict[str, Any]) -> Facts:
    root = looked["root"]
    names = _array_names(root, namespace)
    rows = root if isinstance(root, pd.DataFrame) else pd.DataFrame(np.asarray(root))
    parts = _parts(task, split, looked["index"], rows)
    notes: list[str] = []
    used = _used(task, rows, parts, notes, not isinstance(root, pd.DataFrame))
    columns = [_column(rows[name], name, names.get(name, "")) for name in rows.columns]
    model, (predictions, proba) = looked["model"], looked["answers"]
    places = parts.get(task.answer_part)
    if places is not None and len(places) != len(predictions):
        places, task = parts.get("train"), task.model_copy(update={"answer_part": "train"})
        predictions, proba = _answers(model, looked["fitted"])
    recorded: list[Recorded] = []
    if places is None or len(places) != len(predictions):
        notes.append(f"which rows the answers are of cannot be told: {len(predictions)} answers to {task.answer_rows}")
    else:
        recorded = [
            Recorded(
                row={str(name): _plain(value) for name, value in rows.iloc[place].items()},
                prediction=_plain(predictions[number]),
                probabilities=None if proba is None else [float(each) for each in proba[number]],
            )
            for number, place in enumerate(places[: task.examples])
        ]
    classes = getattr(model, "classes_", None)
    return Facts(
        columns=tuple(columns),
        rows=len(parts["all"]),
        is_array=not isinstance(root, pd.DataFrame),
        used=tuple(name if isinstance(name, int) else str(name) for name in used),
        classes=None if classes is None else tuple(map(_plain, classes)),
        has_probabilities=proba is not None,
        recorded=tuple(recorded),
        part=task.answer_part,
        versions=_versions(task),
        notes=tuple(notes),
    )


def _array_names(root: Any, namespace: dict[str, Any]) -> dict[Any, str]:
    """The names that a data set of scikit-learn has for the columns of an array."""
    if isinstance(root, pd.DataFrame):
        return {}
    for value in namespace.values():
        names = getattr(value, "feature_names", None)
        data = getattr(value, "data", None)
        if names is not None and data is not None and np.shape(data) == np.shape(root) and np.array_equal(data, root):
            return {place: str(name) for place, name in enumerate(names)}
    return {}


def _parts(task: Task, split: _Split, index: Any, rows: pd.DataFrame) -> dict[str, Any]:
    """The places of the rows of each part, among those before any feature."""
    if not task.splits:
        return {"all": _placed(index, None, rows)}
    first, second, kept = split.calls[task.splits[0][0]]
    everything = _placed(kept, len(first) + len(second), rows)
    parts = {"all": everything, "train": everything[first], "test": everything[second]}
    for place, of in task.splits[1:]:
        first, second, _ = split.calls[place]
        before = parts[of]
        parts["train" if of == "train" else "validation"] = before[first]
        parts["validation" if of == "train" else "test"] = before[second]
    return parts


def _placed(index: Any, count: int | None, rows: pd.DataFrame) -> Any:
    """The places of rows by their index, where they have one that still names them."""
    if index is not None and not callable(index) and rows.index.is_unique and pd.Index(index).isin(rows.index).all():
        return rows.index.get_indexer(index)
    if count is not None and count != len(rows):
        raise ValueError(
            f"{count} rows are split and there were {len(rows)}: which were left out cannot be told without an index"
        )
    return np.arange(len(rows))


def _used(task: Task, rows: pd.DataFrame, parts: dict[str, Any], notes: list[str], is_array: bool) -> list[Any]:
    """The columns that the features depend on: those whose values, given to other rows, change them."""
    from heliostat.ml.frameworks.scikit_learn.state import State

    namespace: dict[str, Any] = {"as_source": lambda rows: rows.to_numpy() if is_array else rows.copy()}
    try:
        _execute(task.probe, "<features>", namespace)
        fitting = State()
        train = parts.get("train", parts["all"])
        if "before_split" in namespace:
            before = namespace["before_split"](rows.iloc[parts["all"]], fitting)
            places = pd.Index(parts["all"]).get_indexer(train)
            namespace["after_split"](before.iloc[places] if hasattr(before, "iloc") else before[places], fitting)
        else:
            namespace["features"](rows.iloc[train], fitting)
        sample = rows.iloc[parts["all"][:_SAMPLE]]
        wanted = _matrix(namespace["features"](sample.copy(), State(fitting.values)))
    except Exception as error:
        notes.append(
            f"the features' lines do not run apart from the rest ({type(error).__name__}: {error}): every column is asked for"
        )
        return list(rows.columns)
    return [name for name in rows.columns if _matters(namespace["features"], sample, name, State, fitting.values, wanted)]


def _matters(features: Any, sample: pd.DataFrame, name: Any, state: Any, kept: Any, wanted: Any) -> bool:
    for shift in (1, max(len(sample) // 2, 1)):
        other = sample.copy()
        other[name] = (
            np.roll(sample[name].to_numpy(), shift) if sample[name].dtype.kind != "O" else _rolled(sample[name], shift)
        )
        other[name] = other[name].astype(sample[name].dtype)
        try:
            found = _matrix(features(other, state(kept)))
        except Exception:
            return True
        if found.shape != wanted.shape or not _alike(found, wanted):
            return True
    return False


def _rolled(column: pd.Series[Any], shift: int) -> list[Any]:
    values = list(column)
    return values[-shift:] + values[:-shift]


def _matrix(features: Any) -> Any:
    return np.asarray(features.toarray() if hasattr(features, "toarray") else features)


def _alike(one: Any, other: Any) -> bool:
    return bool(((one == other) | ((one != one) & (other != other))).all())


def _column(column: pd.Series[Any], name: Any, title: str) -> Column:
    kind = str(column.dtype)
    is_text = kind in ("str", "object", "string", "category")
    values = sorted({str(each) for each in column.dropna()}) if is_text else []
    fractions = False
    if kind.startswith("datetime64"):
        fractions = bool((column.dropna() != column.dropna().dt.floor("s")).any())
    return Column(
        name=name if isinstance(name, int) else str(name),
        title=title,
        type=kind,
        has_missing=bool(column.isna().any()),
        values=tuple(values) if is_text and 0 < len(values) <= LITERALS else None,
        is_fraction_of_second=fractions,
    )


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return None if value is pd.NaT or value is pd.NA or (isinstance(value, float) and value != value) else value


def _versions(task: Task) -> dict[str, str]:
    """The packages that the program imports, with their versions here."""
    tops: set[str] = set()
    for statement in task.statements:
        for node in ast.walk(ast.parse(statement.code)):
            if isinstance(node, ast.Import):
                tops |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                tops.add(node.module.partition(".")[0])
    there = importlib.metadata.packages_distributions()
    names = sorted({there[top][0] for top in tops if top in there})
    return {name: importlib.metadata.version(name) for name in names}


def _display(*values: Any, **_: Any) -> None:
    print(*values)  # noqa: T201 - what a notebook shows


def main(arguments: Sequence[str]) -> None:
    """Run the task in the file that is named first, and write its outcome into the second."""
    task = Task.model_validate_json(Path(arguments[0]).read_text())
    outcome = Path(arguments[1])
    os.environ["MPLBACKEND"] = "Agg"  # a plot of a program that nobody looks at
    os.chdir(task.folder)
    sys.path.insert(0, task.folder)
    builtins.__dict__["display"] = _display
    with redirect_stdout(sys.stderr):
        found = record(task)
    outcome.write_text(found.model_dump_json())


if __name__ == "__main__":
    main(sys.argv[1:])
