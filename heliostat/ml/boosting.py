"""Distributed LightGBM on the training context: rounds, evaluation, checkpoints and resuming.

LightGBM connects its workers itself, by `machines`. While they meet, for a moment at the start, each listens on a port on
all addresses, which LightGBM gives no way to change.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from heliostat.ml.training import Context

MODEL_FILE: Final = "model.txt"
_ABSENT: Final = ("sklearn", "dask", "matplotlib", "graphviz")


@dataclass(frozen=True)
class Examples:
    """A feature matrix and its labels."""

    features: NDArray[np.float64]
    labels: NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """How long and how closely watched a training runs, in boosting rounds."""

    rounds: int
    evaluate_every: int = 10
    checkpoint_every: int = 50


def lightgbm() -> Any:
    """The package, imported without the parts that are its users' convenience: half a second instead of three.

    LightGBM does without scikit-learn where that is not installed; here it is told so.
    """
    with _hidden(_ABSENT):
        import lightgbm as package

    return package


def boost(
    context: Context,
    parameters: Mapping[str, Any],
    train: Examples,
    validation: Examples,
    names: Sequence[str],
    categorical: Sequence[str],
    plan: Plan,
) -> Any:
    """The trained `lightgbm.Booster`, the same in every worker.

    `train` is this worker's part of the data, `validation` the whole split. Goes on from the last checkpoint.
    """
    lgb = lightgbm()
    settings = {"verbose": -1, "metric": ["auc", "binary_logloss"], **parameters, **_network(context)}
    data = lgb.Dataset(train.features, train.labels, feature_name=list(names), categorical_feature=list(categorical))
    watched = lgb.Dataset(validation.features, validation.labels, reference=data)
    with context.resumed() as folder:
        start = lgb.Booster(model_file=str(folder / MODEL_FILE)) if folder else None
        begun = start.current_iteration() if start else 0
        if begun >= plan.rounds:
            return start
        booster = lgb.train(
            settings, data, 1, valid_sets=[watched], valid_names=["validation"], init_model=start, keep_training_booster=True
        )
    for done in range(begun + 1, plan.rounds + 1):
        if done > begun + 1:
            booster.update()
        if done % plan.evaluate_every == 0 or done == plan.rounds:
            figures = {f"validation_{_NAMES[name]}": value for _, name, value, _ in booster.eval_valid()}
            context.tell(done, plan.rounds, figures, begun)
        if done % plan.checkpoint_every == 0 and done < plan.rounds:
            context.checkpoint(lambda folder: _save(booster, folder), {"round": done})
    return booster


_NAMES: Final = {"auc": "roc_auc", "binary_logloss": "log_loss"}


def _save(booster: Any, folder: Path) -> None:
    booster.save_model(str(folder / MODEL_FILE), num_iteration=-1)


def _network(context: Context) -> dict[str, Any]:
    alone: dict[str, Any] = {"num_threads": context.threads}
    if context.workers == 1:
        return alone
    return {
        **alone,
        "tree_learner": "data",
        "pre_partition": True,
        "num_machines": context.workers,
        "machines": ",".join(context.machines),
        "local_listen_port": int(context.machines[context.rank].rpartition(":")[2]),
    }


@contextmanager
def _hidden(names: Sequence[str]) -> Any:
    """Packages that are not imported yet look as if they were not installed."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None is how Python marks them
    try:
        yield
    finally:
        for name in absent:
            if sys.modules.get(name, ...) is None:
                del sys.modules[name]
