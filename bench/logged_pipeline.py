"""Plain MLflow: `python -m bench.logged_pipeline TRACKING_URI NAME` logs and registers a scikit-learn pipeline."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


def flats(rows: int) -> dict[str, Any]:
    """Columns of made-up flats, always the same ones."""
    rng = np.random.default_rng(7)
    numbers = {name: rng.uniform(0, 100, rows).round(2) for name in ("area", "age", "distance", "floor", "noise", "light")}
    return {**numbers, "rooms": rng.integers(1, 6, rows)}


def main(tracking_uri: str, name: str) -> None:
    """Fit a pipeline and register it."""
    import mlflow
    import pandas as pd
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    table = pd.DataFrame(flats(2_000))
    model = make_pipeline(StandardScaler(), Ridge()).fit(table, table["area"] * 12 + table["rooms"] * 50)
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.sklearn.log_model(model, name=name, input_example=table.head(), registered_model_name=name)


if __name__ == "__main__":
    main(*sys.argv[1:])
