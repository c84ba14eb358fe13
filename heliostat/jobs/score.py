"""Scores one model on a table, with the model's own code: `python -m heliostat.jobs.score <model> <parquet> <scores>`.

The evaluation starts it with the `code` folder of the MLflow model first on the path. So a version is judged by the code
that it was logged with, however much the checkout has changed since. The three arguments are therefore never to change.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.parquet as pq

from heliostat.ml import predictions
from heliostat.ml.contracts import columns_of
from heliostat.ml.pyfunc import load, trained_folder


def main(model: str, table: str, scores: str) -> None:
    """Write the predictions of the model and of its baseline as `model` and `baseline`, as `heliostat.ml.predictions` does."""
    predictor, baseline = load(trained_folder(Path(model)))
    columns = columns_of(pq.read_table(table))
    found = baseline.predict(columns) if baseline else None
    predictions.save(scores, model=predictor.predict(columns), baseline=found)


if __name__ == "__main__":
    main(*sys.argv[1:])
