"""A scikit-learn pipeline that plain MLflow logged, served by its address alone, against `mlflow models serve` of it.

It is served beside the stack's own application, with as many replicas as MLflow's server has workers, by the contract that
`heliostat contract` writes: what that asks is answered with what a person would write who reviews it for the first time.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import partial
from typing import Any

from bench import baselines
from bench.commands import run
from bench.loadgen import Generator
from bench.logged_pipeline import flats
from bench.rows import Result
from bench.serving import Side, against
from bench.session import SOURCE, Session

_NAME = "flats"
_MODEL = f"models:/{_NAME}/1"
_ROWS = 2_000


def served_by_name(session: Session) -> Iterable[Result]:
    """The same model, behind both."""
    workspace, stack = session.stack.workspace, session.stack
    run([sys.executable, "-m", "bench.logged_pipeline", stack.outputs["platform"]["trackingUri"], _NAME], SOURCE)
    workspace.heliostat("contract", _NAME, "--model", _MODEL, "--stack", workspace.stack, seconds=300)
    _review(session)
    replicas = {"serving": {"replicas": stack.replicas, "cpusPerReplica": 0.1, "predictionLog": {"samplingRate": 1.0}}}
    workspace.edit("workloads", lambda workloads: workloads[_NAME].update(replicas))
    workspace.up()
    columns = flats(_ROWS)
    rows = [{name: values[row].item() for name, values in columns.items()} for row in range(_ROWS)]
    url = f"{workspace.outputs()[_NAME]['url']}/predict"
    ours = Side(url, Generator.of(rows, session.folder / "load", "flats"))
    theirs = Generator.of([{"dataframe_records": [row]} for row in rows], session.folder / "load", "flats-mlflow")
    contender = partial(baselines.mlflow, model=_MODEL, row=rows[0], answer="predictions")
    yield against(session, "serving/model-of-others", contender, theirs, ours)


def _review(session: Session) -> None:
    """Answer what the contract asks."""
    from ruamel.yaml import YAML

    file = session.stack.workspace.root / "workloads" / _NAME / "contract.yaml"
    yaml = YAML()
    document: Any = yaml.load(file)
    document.update(description="The monthly rent of a flat.", ranges="open")
    for field in document["answer"].values():
        field["description"] = "Euro a month"
    yaml.dump(document, file)
