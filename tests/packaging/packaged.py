"""A small workload in a folder of its own, and packages of its models."""

from __future__ import annotations

import importlib
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from heliostat.packaging.contents import Contents

CONTRACT = '''
"""What the application of the birds promises."""
import datetime as dt
from typing import Annotated, Literal
from pydantic import BaseModel, ConfigDict, Field
from heliostat.ml.contracts import Contract, Golden
from {top}.predictor import Model


class Bird(BaseModel):
    """One bird."""
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    kind: Literal["duck", "goose"]
    """Of which it is."""
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    seen: dt.datetime


class Range(BaseModel):
    kilometres: float


def respond(score: float) -> Range:
    return Range(kilometres=score)


CONTRACT = Contract(
    title="Birds", description="How far it flies.", row=Bird, answer=Range, predictor=Model, respond=respond,
    examples=(Bird(kind="duck", weight=1.5, seen=dt.datetime(2013, 7, 9, 19, 30)),),
    golden=(
        Golden("a goose", {{"kind": "goose", "weight": 3.1, "seen": "2013-07-09T19:30:00"}}),
        Golden("two", {{"rows": [{{"kind": "duck", "weight": 0.3, "seen": "2013-07-09T19:30:00"}}] * 2}}),
        Golden("no weight", {{"kind": "goose"}}, 422),
    ),
)
'''
PREDICTOR = '''
"""How far a bird flies."""
import numpy as np
from heliostat.ml.arrays import ArrayModel
from . import kinds


class Model(ArrayModel):
    """Weights by kind."""

    def predict(self, columns):
        by_kind = np.array([self.arrays["factors"][kinds.NUMBERS[kind]] for kind in columns["kind"]])
        return np.exp(np.asarray(columns["weight"]) / 3) * by_kind / 7
'''
KINDS = 'NUMBERS = {"duck": 0, "goose": 1}\n'


def workload(root: Path, top: str, **changes: str) -> Contents:
    """Write a workload into the top-level package `top` below `root`, a trained model beside it."""
    files = {"__init__": "", "contract": CONTRACT.format(top=top), "predictor": PREDICTOR, "kinds": KINDS, **changes}
    for name, text in files.items():
        path = root / "code" / top / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    model = root / "model"
    model.mkdir(exist_ok=True)
    np.savez(model / "arrays.npz", **{"array.factors": np.array([1.1, 2.3])})
    for name in [name for name in sys.modules if name.partition(".")[0] == top]:
        del sys.modules[name]
    importlib.invalidate_caches()
    sys.path.insert(0, str(root / "code"))
    try:
        contract = importlib.import_module(f"{top}.contract").CONTRACT
    finally:
        sys.path.remove(str(root / "code"))
    return Contents(
        distribution=f"{top}-model",
        application="birds",
        entry_point=f"{top}.contract:CONTRACT",
        contract=contract,
        root=root / "code",
        model=model,
        model_uri="models:/birds/3",
        data_digest="d" * 64,
    )


def installed(wheel: Path, folder: Path) -> Any:
    """The module of a wheel, unpacked into `folder` as an installer does, and imported from there."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
        module = archive.namelist()[0].partition("/")[0]
    importlib.invalidate_caches()
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(module)
    finally:
        sys.path.remove(str(folder))
