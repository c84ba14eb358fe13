"""`parameters.py`, `train.py` and `predictor.py`: how the model is fitted and how it answers."""

from __future__ import annotations

import ast

from heliostat.convert.parameters import Parameter
from heliostat.convert.plan import Plan
from heliostat.convert.rendering.dataset import File
from heliostat.convert.rendering.lines import (
    annotated,
    imports_of,
    indented,
    is_import,
    shared_functions,
    source_of_places,
    tops,
    verbatim,
)
from heliostat.convert.rendering.naming import Workload
from heliostat.convert.rewriting import Rewriter


def parameters_module(workload: Workload, parameters: list[Parameter], files: list[File]) -> str:
    """The module's text."""
    data = "".join(
        f'    {each.name}: str = {each.path!r}\n    """Where the source reads it."""\n'
        for each in {each.name: each for each in files}.values()
    )
    training = "".join(f"    {each.name}: {each.annotation} = {each.default!r}\n" for each in parameters)
    text = data + training
    imports = [
        *(
            ["from typing import " + ", ".join(each for each in ("Annotated", "Literal") if f"{each}[" in text)]
            if "[" in training
            else []
        ),
        "from heliostat.spec.parameters import JobParameters",
        *(["from pydantic import Field"] if "Field(" in text else []),
    ]
    classes = [
        f'class Training(JobParameters):\n    """How the model is fitted, as {workload.source} does."""\n\n{training}'.rstrip()
    ]
    if files:
        classes.insert(0, f'class Data(JobParameters):\n    """Where the rows are."""\n\n{data}'.rstrip())
    return (
        '"""The parameters, each with its type, range and default: flow.yaml says others, and a stack\'s config over '
        'it."""\n\n'
        f"{chr(10).join(imports)}\n\n\n" + "\n\n\n".join(classes) + "\n"
    )


def train_module(workload: Workload, parameters: list[Parameter]) -> str:
    """The module's text."""
    plan = workload.plan
    rewriter = Rewriter(plan, {each.node: f"parameters.{each.name}" for each in parameters})
    rewriter.only_parameters()
    top = tops(plan, plan.building)
    shared = shared_functions(plan)
    functions = source_of_places(plan, [index for index in top if index not in shared])
    body = [index for index in plan.building if index not in top and not is_import(plan.program.statements[index])]
    model = plan.model
    call = plan.fit.node
    rest = [ast.unparse(each) for each in [*call.args[2:], *(each for each in call.keywords if each.arg not in ("X", "y"))]]
    receiver = ast.unparse(rewriter.expression(call.func.value))
    handed = [f"{name} = state.fitted({name!r})" for names in plan.handed.values() for name in names]
    lines = [
        "state = State()",
        *_rows(workload),
        *_labels(workload),
        *handed,
        *verbatim(plan, body, rewriter),
        f"{model} = {receiver}.fit({', '.join(['found', 'labels', *rest])})",
    ]
    code = "\n\n\n".join([
        *functions,
        'def fit(tables: Tables, parameters: Training) -> Model:\n    """The model of the training rows."""\n'
        f'{indented([*_typed(lines), f"return Model({{**state.values, MODEL: {model}}})"])}',
    ])  # fmt: skip
    imported = [shared[index] for index in top if index in shared]
    used = [
        *imported,
        *(
            name
            for name in ("CLASSES", "COLUMNS", "INPUTS", "LABEL", "ROW", "after_split", "before_split", "features")
            if _names(code, name)
        ),
    ]
    arrow = "import pyarrow as pa\n" if workload.keeps_order else ""
    return (
        f'"""The training, as {workload.source} has it."""\n\nfrom typing import Any\n\nimport numpy as np\n{arrow}'
        f"{imports_of(plan, [code])}\nfrom heliostat.ml import flow\nfrom heliostat.ml.datasets import Tables\n"
        "from heliostat.ml.frameworks.scikit_learn.frames import frame_of\nfrom "
        "heliostat.ml.frameworks.scikit_learn.state import State\n\n"
        f"from {workload.package}.features import {', '.join(used)}\nfrom {workload.package}.parameters import Training\n"
        f"from {workload.package}.predictor import MODEL, Model\n\n\n{code}\n\n\n"
        'train = flow.training(flow.beside(__file__), "fit")\n'
    )


def _names(code: str, name: str) -> bool:
    return any(isinstance(each, ast.Name) and each.id == name for each in ast.walk(ast.parse(code)))


def _typed(lines: list[str]) -> list[str]:
    return [line.replace("state: Any = State()", "state = State()") for line in annotated(lines)]


def _rows(workload: Workload) -> list[str]:
    """The features of the training's rows."""
    if not workload.keeps_order:
        return ["found = features(frame_of(tables.train, COLUMNS, INPUTS), state)"]
    return [
        "# Something is fitted on all rows, in the order that the source has them in.",
        "rows = pa.concat_tables([tables.train, tables.validation, tables.test]).sort_by(ROW)",
        "whole = before_split(frame_of(rows, COLUMNS, INPUTS), state)",
        "places = tables.train[ROW].to_numpy()",
        'found = after_split(whole.iloc[places] if hasattr(whole, "iloc") else whole[places], state)',
    ]


def _labels(workload: Workload) -> list[str]:
    if workload.classes:
        return ["labels = np.array(CLASSES)[tables.train[LABEL].to_numpy()]"]
    return ["labels = tables.train[LABEL].to_numpy()"]


def predictor_module(workload: Workload) -> str:
    """The module's text."""
    plan = workload.plan
    return (
        '"""How the model answers: by the same features as in the training."""\n\nimport numpy as np\n'
        "from heliostat.ml.contracts import Columns\nfrom heliostat.ml.frameworks.scikit_learn.frames import frame\n"
        "from heliostat.ml.frameworks.scikit_learn.state import StatefulModel\nfrom numpy.typing import NDArray\n\n"
        f"from {workload.package}.features import {_predicting_names(workload)}\n\n"
        'MODEL = "served_model"\n"""What the fitted model is kept under."""\n\n\n'
        f'class Model(StatefulModel):\n    """{plan.fit.value.classes[-1].rpartition(".")[2]}, and what its features '
        f'were fitted on."""\n\n'
        "    def predict(self, columns: Columns) -> NDArray[np.float64]:\n"
        f'        """{_told(workload)}"""\n'
        "        found = features(frame(columns, COLUMNS, INPUTS), self.state())\n"
        f"        return np.asarray({_asked(workload)}, dtype=np.float64)\n"
    )


def _predicting_names(workload: Workload) -> str:
    names = ["COLUMNS", "INPUTS", "features"]
    return ", ".join([*(["CLASSES"] if "CLASSES" in _asked(workload) else []), *names])


def _told(workload: Workload) -> str:
    if not workload.classes:
        return "One number a row."
    if workload.is_binary:
        return (
            "The probability of the second class."
            if has_probabilities(workload)
            else "1 where a row is of the second class, else 0."
        )
    return "A probability for each class." if has_probabilities(workload) else "1 for the class of a row, 0 for the others."


def _asked(workload: Workload) -> str:
    model = "self.kept[MODEL]"
    if not workload.classes:
        return f"{model}.predict(found)"
    if has_probabilities(workload):
        return f"{model}.predict_proba(found){'[:, 1]' if workload.is_binary else ''}"
    if workload.is_binary:
        return f"{model}.predict(found) == np.array(CLASSES)[1]"
    return f"{model}.predict(found)[:, None] == np.array(CLASSES)[None, :]"


def has_probabilities(workload: Workload) -> bool:
    """Whether an answer has probabilities, by which its class is chosen."""
    return bool(workload.facts and workload.facts.has_probabilities and plain_probabilities(workload.plan))


def plain_probabilities(plan: Plan) -> bool:
    """Whether a class is the one with the highest probability: of SVC, whose two ways of answering may differ, it is not."""
    return not any(each.rpartition(".")[2] in ("SVC", "NuSVC") for each in plan.fit.value.classes)
