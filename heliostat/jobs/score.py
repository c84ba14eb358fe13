"""Scores one model on a table, with the model's own code: `python -m heliostat.jobs.score <model> <parquet> <scores>`.

The evaluation starts it with the `code` folder of the MLflow model first on the path. So a version is judged by the code
that it was logged with, however much the checkout has changed since. The three arguments are therefore never to change.

The rows are read and predicted in parts, as they are in a service; memory holds a part's columns and all predictions.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from heliostat.ml import predictions
from heliostat.ml.contracts import columns_of
from heliostat.ml.pyfunc import load, trained_folder

PART_ROWS: Final = 65_536


def main(model: str, table: str, scores: str) -> None:
    """Write the predictions of the model and of its baseline as `model` and `baseline`, as `heliostat.ml.predictions` does."""
    predictor, baseline = load(trained_folder(Path(model)))
    found: list[Any] = []
    of_baseline: list[Any] = []
    with pq.ParquetFile(table) as file:
        for batch in file.iter_batches(PART_ROWS):
            columns = columns_of(pa.Table.from_batches([batch]))
            found.append(predictor.predict(columns))
            if baseline is not None:
                of_baseline.append(baseline.predict(columns))
        if not found:  # of no rows there is one part
            columns = columns_of(file.read())
            found, of_baseline = [predictor.predict(columns)], [baseline.predict(columns)] if baseline else []
    joined = predictions.joined(of_baseline) if of_baseline else None
    predictions.save(scores, model=predictions.joined(found), baseline=joined)


if __name__ == "__main__":
    main(*sys.argv[1:])
