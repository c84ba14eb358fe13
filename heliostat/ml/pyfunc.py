"""How a model of ours is loaded; MLflow's pyfunc flavour calls it (`mlflow.pyfunc.load_model`, `mlflow models serve`)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from heliostat.ml.contracts import Predictor, columns_of, load_entry_point
from heliostat.ml.ensembles import load_model
from heliostat.ml.predictions import parts_of

RESULT_FILE = "result.json"
DATA_FOLDER = "data"
"""Where MLflow keeps what was logged, in a model."""
MODEL_FOLDER = "model"
BASELINE_FOLDER = "baseline"


def trained_folder(model: Path) -> Path:
    """The folder that the training handed back, inside an MLflow model's.

    Raises:
        ValueError: the model is none of ours.
    """
    found = sorted(model.glob(f"{DATA_FOLDER}/*/{RESULT_FILE}"))
    if not found:
        raise ValueError(f"the MLflow model in {model} was not logged by a training of ours: it has no data/*/{RESULT_FILE}")
    return found[0].parent


def load(trained: Path) -> tuple[Predictor, Predictor | None]:
    """The model that a training handed back, and its baseline."""
    result = json.loads((trained / RESULT_FILE).read_text())
    model: Predictor = load_model(load_entry_point(result["predictor"]), trained / MODEL_FOLDER)
    if not result["baseline"]:
        return model, None
    return model, load_entry_point(result["baseline"]).load(trained / BASELINE_FOLDER)


def columns_in(trained: Path) -> tuple[str, ...]:
    """What the numbers of a row's prediction are called; empty where that is open."""
    return tuple(json.loads((trained / RESULT_FILE).read_text()).get("columns", ("score",)))


class Scorer:
    """Pyfunc's interface: a pandas frame in, a frame with a column for each of the task's names out.

    For the task Free it has those that the predictor gives by name, or `prediction`.
    """

    def __init__(self, predictor: Predictor, columns: Sequence[str] = ("score",)) -> None:
        self._predictor, self._columns = predictor, columns

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        """The scores of a frame's rows."""
        import pandas as pd
        import pyarrow as pa

        table = pa.Table.from_pandas(pd.DataFrame(model_input), preserve_index=False)
        return pd.DataFrame(dict(self._named(self._predictor.predict(columns_of(table)))))

    def _named(self, predicted: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(predicted, Mapping):
            yield from ((name, parts_of(part)) for name, part in predicted.items())
        elif not self._columns:
            yield "prediction", parts_of(predicted)
        elif len(self._columns) == 1 and predicted.ndim == 1:
            yield self._columns[0], predicted
        else:
            yield from zip(self._columns, predicted.T, strict=True)


def _load_pyfunc(data_path: str) -> Scorer:
    trained = Path(data_path)
    return Scorer(load(trained)[0], columns_in(trained))
