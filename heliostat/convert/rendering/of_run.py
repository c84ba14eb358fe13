"""The files of a workload that an MLflow run becomes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from heliostat.convert.rendering.naming import field_of, fields_of

_TYPES = {
    "double": ("float", "float64"),
    "float": ("float", "float32"),
    "long": ("int", "int64"),
    "integer": ("int", "int32"),
    "boolean": ("bool", "bool"),
    "string": ("str", "str"),
    "datetime": ("dt.datetime", "datetime64[ns]"),
}


class Model(Protocol):
    """What is known of a logged model."""

    inputs: tuple[tuple[str, str, bool], ...]
    example: Mapping[str, Any] | None
    requirements: tuple[str, ...]
    is_classifier: bool
    labels: tuple[Any, ...]


def files(name: str, interface: str, source: str, estimator: str, classes: Sequence[str], model: Any) -> dict[str, str]:
    """Every file but QUESTIONS.md. What a run cannot tell raises, and says which question it waits for."""
    module = name.replace("-", "_")
    package, below = f"workloads.{module}", f"workloads/{module}"
    fields = fields_of({column: "" for column, *_ in model.inputs})
    return {
        "workloads/__init__.py": "",
        f"{below}/__init__.py": f'"""Converted from {source}: QUESTIONS.md says what is left to answer."""\n',
        f"{below}/flow.yaml": _flow(package, interface),
        f"{below}/dataset.py": _dataset(package, module),
        f"{below}/features.py": _features(model, fields, source),
        f"{below}/parameters.py": _parameters(),
        f"{below}/train.py": _train(package, estimator, classes, model),
        f"{below}/predictor.py": _predictor(package, model),
        f"{below}/contract.py": _contract(package, name, source, model, fields),
        f"{below}/workload.py": _declaration(package),
        f"{below}/requirements.txt": "".join(f"{line}\n" for line in model.requirements if line.strip()),
    }


def _flow(package: str, interface: str) -> str:
    return (
        "# The steps from data to the model, in their order: functions of the modules beside this file, in one process.\n"
        f"interface: {interface}\nsteps:\n"
        f"  - name: load\n    run: {package}.dataset:load\n    outputs: [rows]\n"
        f"  - name: split\n    run: {package}.dataset:split\n    inputs: {{rows: rows}}\n    outputs: [tables]\n"
        f"  - name: fit\n    run: {package}.train:fit\n    inputs: {{tables: tables}}\n    outputs: [model]\n"
    )


def _dataset(package: str, module: str) -> str:
    where = f"workloads/{module}/QUESTIONS.md"
    return (
        '"""The data, which a run does not keep: to be written."""\n\nimport pandas as pd\nfrom heliostat.ml import flow\n'
        "from heliostat.ml.datasets import Tables\nfrom heliostat.ml.frameworks.scikit_learn.frames import tables\n\n"
        f"from {package}.features import LABEL\n\n\n"
        f'def load() -> pd.DataFrame:\n    """All rows: INPUTS and LABEL of features.py.\n\n    Raises:\n        '
        f'NotImplementedError: until it is written.\n    """\n'
        f'    raise NotImplementedError("where do the rows come from? The first question in {where}")\n\n\n'
        'def split(rows: pd.DataFrame) -> Tables:\n    """Three fifths to train on, one to validate and one to test."""\n'
        "    mixed = rows.sample(frac=1, random_state=0)\n    ends = len(mixed) * 3 // 5, len(mixed) * 4 // 5\n"
        "    return tables(mixed.iloc[: ends[0]], mixed.iloc[ends[0] : ends[1]], mixed.iloc[ends[1] :], LABEL)\n\n\n"
        'snapshot = flow.snapshot(flow.beside(__file__), "load")\n'
    )


def _features(model: Model, fields: Mapping[str | int, str], source: str) -> str:
    columns = {fields[name]: (name, _TYPES.get(kind, ("str", "str"))[1]) for name, kind, _ in model.inputs}
    classes = f'\nCLASSES = {model.labels!r}\n"""What the model tells apart."""' if model.is_classifier else ""
    return (
        f'"""From rows to what the model sees: the columns that the model of {source} takes, as its signature names '
        f'them."""\n\n'
        f"from typing import Any\n\nCOLUMNS: dict[str, tuple[str | int, str]] = {columns!r}\n"
        f'"""The columns, and pandas\' name of each one\'s type."""\nINPUTS = {tuple(columns)!r}\nLABEL = '
        f'"label"{classes}\n\n\n'
        'def features(rows: Any) -> Any:\n    """The features of rows."""\n    return rows\n'
    )


def _parameters() -> str:
    return (
        '"""The parameters of the training: the estimator in train.py has those of the run; name here what stacks may '
        'say otherwise."""\n\n'
        'from heliostat.spec.parameters import JobParameters\n\n\nclass Training(JobParameters):\n    """How the '
        'model is fitted."""\n'
    )


def _train(package: str, estimator: str, classes: Sequence[str], model: Model) -> str:
    imports = "\n".join(f"from {_public(path.partition(':')[0])} import {path.partition(':')[2]}" for path in classes)
    labels = "np.array(CLASSES)[tables.train[LABEL].to_numpy()]" if model.is_classifier else "tables.train[LABEL].to_numpy()"
    names = "CLASSES, COLUMNS, INPUTS, LABEL, features" if model.is_classifier else "COLUMNS, INPUTS, LABEL, features"
    return (
        '"""The training: the estimator of the run, fitted anew."""\n\nfrom typing import Any\n\nimport numpy as '
        "np\nfrom heliostat.ml import flow\n"
        "from heliostat.ml.datasets import Tables\nfrom heliostat.ml.frameworks.scikit_learn.frames import frame_of\n"
        f"{imports}\n\nfrom {package}.features import {names}\nfrom {package}.parameters import Training\n"
        f"from {package}.predictor import MODEL, Model\n\n\n"
        'def fit(tables: Tables, parameters: Training) -> Model:\n    """The model of the training rows."""\n'
        f"    model: Any = {estimator}\n    model.fit(features(frame_of(tables.train, COLUMNS, INPUTS)), {labels})\n"
        '    return Model({MODEL: model})\n\n\ntrain = flow.training(flow.beside(__file__), "fit")\n'
    )


def _public(module: str) -> str:
    """`sklearn.linear_model` of `sklearn.linear_model._logistic`."""
    return re.sub(r"\._.*", "", module)


def _predictor(package: str, model: Model) -> str:
    binary = len(model.labels) == 2
    asked = (
        f"self.kept[MODEL].predict_proba(found){'[:, 1]' if binary else ''}"
        if model.is_classifier
        else "self.kept[MODEL].predict(found)"
    )
    return (
        '"""How the model answers."""\n\nimport numpy as np\nfrom heliostat.ml.contracts import Columns\n'
        "from heliostat.ml.frameworks.scikit_learn.frames import frame\n"
        "from heliostat.ml.frameworks.scikit_learn.state import StatefulModel\nfrom numpy.typing import NDArray\n\n"
        f"from {package}.features import COLUMNS, INPUTS, features\n\n"
        'MODEL = "served_model"\n"""What the fitted model is kept under."""\n\n\n'
        'class Model(StatefulModel):\n    """The model of the run."""\n\n'
        "    def predict(self, columns: Columns) -> NDArray[np.float64]:\n"
        f'        """{"Probabilities." if model.is_classifier else "One number a row."}"""\n'
        f"        found = features(frame(columns, COLUMNS, INPUTS))\n        return np.asarray({asked}, dtype=np.float64)\n"
    )


def _contract(package: str, name: str, source: str, model: Model, fields: Mapping[str | int, str]) -> str:
    lines = "".join(
        f"    {fields[column]}: {_TYPES.get(kind, ('str', ''))[0]}{'' if required else ' | None'}\n"
        for column, kind, required in model.inputs
    )
    kind = {bool: "bool", int: "int", float: "float"}.get(type(model.labels[0]), "str") if model.labels else "float"
    answer, respond = "    prediction: float\n", "def respond(score: float) -> Answer:\n    return Answer(prediction=score)\n"
    if len(model.labels) == 2:
        answer = f"    prediction: {kind}\n    probability: float\n"
        respond = (
            "def respond(score: float) -> Answer:\n    return Answer(prediction=CLASSES[score > 0.5], probability=score)\n"
        )
    elif model.labels:
        answer = f"    prediction: {kind}\n"
        respond = (
            "def respond(scores: list[float]) -> Answer:\n    return Answer(prediction=CLASSES[scores.index(max(scores))])\n"
        )
    respond = respond.replace("Answer:\n", 'Answer:\n    """The answer that a model\'s score means."""\n')
    example = (
        "Row.model_validate("
        + repr({fields[key]: value for key, value in (model.example or {}).items() if key in fields})
        + ")"
    )
    example = example if model.example else _asking(field_of(name))
    return (
        '"""What clients send and get."""\n\n'
        + ("import datetime as dt\n\n" if "dt." in lines else "")
        + "from heliostat.ml.contracts import Contract\nfrom pydantic import BaseModel\n\n"
        + (f"from {package}.features import CLASSES\n" if model.is_classifier else "")
        + f"from {package}.predictor import Model\n\n\n"
        + f'class Row(BaseModel, extra="forbid", allow_inf_nan=False):\n    """One row of a request."""\n\n{lines}\n\n'
        + f'class Answer(BaseModel):\n    """The answer to one row."""\n\n{answer}\n\n{respond}\n\n'
        + f"EXAMPLE = {example}\n"
        + f'CONTRACT = Contract({name!r}, "The model of {source}.", Row, Answer, Model, respond, examples=(EXAMPLE,))\n'
    )


def _asking(module: str) -> str:
    return f"Row.model_validate({{}})  # what is a row? workloads/{module}/QUESTIONS.md"


def _declaration(package: str) -> str:
    return (
        '"""Declares this workload: data, training, model and application, of the modules beside this one and of '
        'flow.yaml."""\n\n'
        "from heliostat.resources.served_model import by_convention\nfrom heliostat.spec import flow\n\n"
        f"from {package}.parameters import Training\n\n"
        'FLOW = flow.beside(__file__)\nTRAINING = FLOW.parameters("fit", Training)\ndeclare = by_convention(__name__, '
        "TRAINING)\n"
    )
