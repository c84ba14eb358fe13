"""All files of a workload, by their paths below the repository."""

from __future__ import annotations

import json
from collections.abc import Mapping

from heliostat.convert.parameters import parameters_of
from heliostat.convert.plan import Problem
from heliostat.convert.rendering.dataset import dataset_module, files_of
from heliostat.convert.rendering.features import features_module
from heliostat.convert.rendering.naming import Workload
from heliostat.convert.rendering.serving import contract_module, field_values
from heliostat.convert.rendering.training import parameters_module, predictor_module, train_module
from heliostat.spec.workload import Serving


def files(workload: Workload) -> dict[str, str]:
    """Every file but QUESTIONS.md, which comes last: what is asked depends on whether these answer as the source did."""
    parameters, data = parameters_of(workload.plan), files_of(workload.plan, workload.folder)
    below = f"workloads/{workload.module}"
    found = {
        "workloads/__init__.py": "",
        f"{below}/__init__.py": f'"""Converted from {workload.source}: QUESTIONS.md says what is left to answer."""\n',
        f"{below}/flow.yaml": _flow(workload),
        f"{below}/dataset.py": dataset_module(workload),
        f"{below}/features.py": features_module(workload),
        f"{below}/parameters.py": parameters_module(workload, parameters, data),
        f"{below}/train.py": train_module(workload, parameters),
        f"{below}/predictor.py": predictor_module(workload),
        f"{below}/contract.py": contract_module(workload),
        f"{below}/workload.py": _declaration(workload, bool(data)),
        f"{below}/requirements.txt": _requirements(workload),
        f"tests/test_{workload.module}.py": _tests(workload),
    }
    if workload.facts is not None and workload.facts.recorded:
        found[f"tests/{workload.module}_answers.json"] = recorded_answers(workload)
    return found


def section(workload: Workload) -> Mapping[str, object]:
    """The workload's section of a stack's config."""
    metric = "accuracy" if workload.plan.problem is Problem.CLASSES else "r2"
    found: dict[str, object] = {"training": {"scaling": {"workers": 1}}, "gate": {"metric": metric, "margin": 0.01}}
    if workload.interface != "rest" and "interface" in Serving.model_fields:
        found["serving"] = {"interface": workload.interface}
    return found


def recorded_answers(workload: Workload) -> str:
    """The answers of the source, row by row, as the tests read them."""
    found = [
        {
            "request": field_values(workload, each),
            "prediction": each.prediction,
            **({"probabilities": each.probabilities} if each.probabilities is not None else {}),
        }
        for each in workload.recorded
    ]
    return json.dumps({"rows": workload.facts.part if workload.facts else "", "answers": found}, indent=1) + "\n"


def _flow(workload: Workload) -> str:
    return (
        f"# The steps from data to the model of {workload.name}, in their order: functions of the modules beside this "
        f"file, in one process.\n"
        "# `parameters` of a step stand over the defaults in parameters.py; a stack's config stands over these.\n"
        f"interface: {workload.interface}\n"
        "steps:\n"
        "  - name: load\n"
        f"    run: {workload.package}.dataset:load\n"
        "    outputs: [rows]\n"
        "  - name: split\n"
        f"    run: {workload.package}.dataset:split\n"
        "    inputs: {rows: rows}\n"
        "    outputs: [tables]\n"
        "  # Computes the features (features.py) on the way, which serving computes by the same code.\n"
        "  - name: fit\n"
        f"    run: {workload.package}.train:fit\n"
        "    inputs: {tables: tables}\n"
        "    outputs: [model]\n"
    )


def _declaration(workload: Workload, has_data: bool) -> str:
    task = _task(workload)
    imported = f"from heliostat.spec.tasks import {task.partition('(')[0]}\n" if task else ""
    data = ', FLOW.parameters("load", Data)' if has_data else ""
    names = "Data, Training" if has_data else "Training"
    return (
        '"""Declares this workload: data, training, model and application, of the modules beside this one and of '
        'flow.yaml."""\n\n'
        f"from heliostat.resources.served_model import by_convention\nfrom heliostat.spec import flow\n{imported}\n"
        f"from {workload.package}.parameters import {names}\n\n"
        f'FLOW = flow.beside(__file__)\nTRAINING = FLOW.parameters("fit", Training)\n'
        f"declare = by_convention(__name__, TRAINING{data}{f', task={task}' if task else ''})\n"
    )


def _task(workload: Workload) -> str:
    """The kind of problem as the declaration says it; empty where the library does not know kinds, or a run has not
    told it."""
    if not workload.has_tasks:
        return ""
    if workload.plan.problem is Problem.NUMBERS:
        return "Regression()"
    if not workload.classes:
        return ""
    return "Binary()" if workload.is_binary else f"Multiclass(classes={tuple(map(str, workload.classes))!r})"


def _requirements(workload: Workload) -> str:
    versions = dict(workload.facts.versions) if workload.facts else {}
    lines = [f"{name}=={version}" for name, version in versions.items()]
    named = {line.partition("==")[0].lower() for line in lines}
    asked = [each for each in workload.plan.program.requirements if _package(each) not in named]
    return "".join(f"{line}\n" for line in sorted({*lines, *asked}, key=str.lower))


def _package(requirement: str) -> str:
    name = requirement
    for mark in "=<>!~[; @":
        name = name.partition(mark)[0]
    return name.strip().lower()


def _tests(workload: Workload) -> str:
    facts = workload.facts
    package = workload.package
    head = (
        f'"""The workload `{workload.name}`: its data, its model, its contract, and the answers of {workload.source}."""\n\n'
    )
    if facts is None:
        return (
            f"{head}from heliostat.ml import flow\nfrom heliostat.ml.datasets import Tables, check\n\n"
            f"from {package} import train\n\n\n"
            "def test_the_data_can_be_a_snapshot() -> None:\n"
            '    tables: Tables = flow.run(flow.beside(train.__file__), ["tables"])["tables"]\n    check(tables)\n'
        )
    recorded = bool(facts.recorded)
    imports = "import json\nfrom pathlib import Path\nfrom typing import Any\n" if recorded else "from pathlib import Path\n"
    return (
        f"{head}{imports}from heliostat.ml import flow\nfrom heliostat.ml.datasets import Tables, check\n"
        f"from heliostat.testing import {'assert_answers, ' if recorded else ''}assert_contract, "
        f"assert_workload\n\n"
        f"from {package} import train\nfrom {package}.contract import CONTRACT\n"
        f"from {package}.predictor import Model\n\n"
        'MADE = flow.run(flow.beside(train.__file__), ["tables", "model"])\n'
        'TABLES: Tables = MADE["tables"]\nMODEL: Model = MADE["model"]\n'
        + (
            f"RECORDED: list[dict[str, Any]] = "
            f'json.loads(Path(__file__).with_name("{workload.module}_answers.json").read_text())["answers"]\n'
            if recorded
            else ""
        )
        + "\n\ndef test_the_data_can_be_a_snapshot() -> None:\n    check(TABLES)\n\n\n"
        + (_RECORDED_TEST if recorded else "")
        + "def test_a_saved_model_keeps_the_contract_and_answers_as_before(tmp_path: Path) -> None:\n"
        "    MODEL.save(tmp_path)\n    saved, columns = Model.load(tmp_path), CONTRACT.columns(CONTRACT.examples)\n"
        "    assert_contract(CONTRACT, saved)\n    assert saved.predict(columns).tolist() == "
        "MODEL.predict(columns).tolist()\n\n\n"
        "def test_the_code_has_no_mistake_that_the_preview_would_tell() -> None:\n"
        f'    assert_workload("{package}")\n'
    )


_RECORDED_TEST = """def test_each_row_is_answered_as_the_source_answered_it(tmp_path: Path) -> None:
    MODEL.save(tmp_path)
    assert_answers(CONTRACT, Model.load(tmp_path), RECORDED)


"""
