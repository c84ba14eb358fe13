"""Another workload for a copied checkout: its rows are files, and its data is held to a schema."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Final

import numpy as np

NAME: Final = "tides"
START: Final = dt.datetime(2020, 1, 1)
_WORKLOAD = """
from datetime import datetime
from pathlib import Path

from heliostat.data.ingestion import Ingestion
from heliostat.data.splits import TimeSplit
from heliostat.resources.served_model import by_convention
from heliostat.spec.ingestion import FilesSource
from heliostat.spec.parameters import JobParameters
from heliostat.spec.tasks import Binary

declare = by_convention(
    __name__, JobParameters(), JobParameters(), task=Binary(),
    ingestion=Ingestion(
        source=FilesSource(uri=(Path(__file__).parents[2] / "rows").as_uri(), format="csv"),
        key=("id",), time="seen", label="big",
        split=TimeSplit(column="seen", validation_from=datetime(2020, 1, 5), test_from=datetime(2020, 1, 7)),
    ),
)
"""
_DATASET = """
def snapshot(parameters, rows):
    return rows.drop_columns(["id"])
"""
_TRAIN = """
import numpy as np
from heliostat.ml.training import Trained
from workloads.tides.predictor import Model


def train(context):
    height = context.dataset.table("train")["height"].to_numpy()
    context.finish(Trained(save_model=Model({"middle": np.array(height.mean())}).save, predictor=Model, metrics={}))
"""
_PREDICTOR = """
import numpy as np
from heliostat.ml.arrays import ArrayModel


class Model(ArrayModel):
    def predict(self, columns):
        return 1 / (1 + np.exp(-8 * (np.asarray(columns["height"], dtype=float) - self.arrays["middle"])))
"""
_CONTRACT = """
import datetime as dt
from pydantic import BaseModel, ConfigDict
from heliostat.ml.contracts import Contract
from workloads.tides.predictor import Model


class Wave(BaseModel):
    model_config = ConfigDict(extra="forbid")
    seen: dt.datetime
    height: float


class Answer(BaseModel):
    probability: float


CONTRACT = Contract(title="Tides", description="Is a wave a big one?", row=Wave, answer=Answer, predictor=Model,
                    respond=lambda score: Answer(probability=score),
                    examples=(Wave(seen=dt.datetime(2020, 1, 1), height=0.5),))
"""
WAVE: Final = {"seen": "2020-01-03T00:00:00", "height": 0.7}


def write(root: Path) -> None:
    """The workload, and its first 1,600 rows, of eight days."""
    folder = root / "workloads" / NAME
    folder.mkdir()
    files = {"workload": _WORKLOAD, "dataset": _DATASET, "train": _TRAIN, "predictor": _PREDICTOR, "contract": _CONTRACT}
    for name, text in {**files, "__init__": ""}.items():
        (folder / f"{name}.py").write_text(text.lstrip())
    (root / "rows").mkdir()
    for number in range(2):
        put(root, f"{number}", START + dt.timedelta(days=4 * number), 800)


def put(root: Path, name: str, start: dt.datetime, count: int, tall: float = 1.0) -> None:
    """A file of rows, seven minutes apart; the highest wave is `tall`."""
    draw = np.random.default_rng(sum(name.encode()))
    lines = ["id,seen,height,big"]
    for number in range(count):
        height = draw.random()
        seen = start + dt.timedelta(minutes=7 * number)
        lines.append(f"{name}-{number},{seen:%Y-%m-%d %H:%M:%S},{height * tall:.5f},{str(draw.random() < height).lower()}")
    (root / "rows" / f"{name}.csv").write_text("\n".join(lines) + "\n")
