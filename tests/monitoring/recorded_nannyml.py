"""What nannyml 0.13.1 estimates of these data: `python tests/monitoring/recorded_nannyml.py` in an environment that has it.

It prints the figures that `test_estimates.py` holds ours against; the data are made of the generator's raw numbers alone.
"""

from __future__ import annotations

import json

import numpy as np

ROWS = 4_000


def binary(rows=ROWS, seed=5, power=1.0):
    """A feature, which a lower power has more often high, probabilities that are too sure of themselves, and labels."""
    random = np.random.Generator(np.random.PCG64(seed))
    x = random.random(rows) ** power * 4 - 2
    true = 1 / (1 + np.exp(-x))
    labels = (random.random(rows) < true).astype(float)
    return x, 1 / (1 + np.exp(-1.5 * x)), labels


def numbers(rows=ROWS, seed=6, noisy=0.3):
    """Two features, predictions, and labels whose noise grows with the second feature; `noisy` of the rows have much."""
    random = np.random.Generator(np.random.PCG64(seed))
    x, kind = random.random(rows), (random.random(rows) < noisy).astype(float)
    noise = (random.random(rows) - 0.5) * (1 + 3 * kind)
    return np.column_stack([x, kind]), 2 * x, 2 * x + noise


def main():
    import nannyml
    import pandas as pd

    def frame(seed, power=1.0):
        x, probability, labels = binary(seed=seed, power=power)
        return pd.DataFrame({"x": x, "p": probability, "y_hat": (probability >= 0.5).astype(int), "y": labels.astype(int)})

    metrics = ["roc_auc", "accuracy", "precision", "recall", "f1"]
    cbpe = nannyml.CBPE(
        y_pred_proba="p", y_pred="y_hat", y_true="y", metrics=metrics, problem_type="classification_binary", chunk_size=ROWS
    )
    cbpe.fit(frame(5))
    found = cbpe.estimate(frame(7, 0.8).drop(columns="y")).filter(period="analysis").to_df()
    told = {name: float(found[(name, "value")].iloc[0]) for name in metrics}

    def table(seed, noisy):
        features, predictions, labels = numbers(seed=seed, noisy=noisy)
        return pd.DataFrame({"x": features[:, 0], "kind": features[:, 1], "y_hat": predictions, "y": labels})

    dle = nannyml.DLE(feature_column_names=["x", "kind"], y_pred="y_hat", y_true="y", metrics=["mae", "mse"], chunk_size=ROWS)
    dle.fit(table(6, 0.3))
    found = dle.estimate(table(8, 0.6).drop(columns="y")).filter(period="analysis").to_df()
    told |= {name: float(found[(name, "value")].iloc[0]) for name in ("mae", "mse")}
    print(json.dumps(told, indent=1))  # noqa: T201


if __name__ == "__main__":
    main()
