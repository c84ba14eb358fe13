"""How the flights workload trains: what one training worker runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heliostat.ml import metrics
from heliostat.ml.boosting import Examples, Plan, boost
from heliostat.ml.contracts import Columns, columns_of
from heliostat.ml.training import Context, Trained
from heliostat.spec.base import Parameters
from workloads.flights.features import CATEGORICAL, FEATURES, INPUTS, LABEL, transform
from workloads.flights.predictor import FORM_FILE, MODEL_FILE, FlightsPredictor, RateByCarrierAndHour, form

PARAMETERS: Parameters = {
    "rounds": 300,
    "num_leaves": 63,
    "learning_rate": 0.1,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.8,
    "cat_smooth": 50.0,
    "lambda_l2": 0.0,
    "seed": 7,
    "checkpoint_every": 50,
}
"""What a stack may override. Whole numbers stay whole."""


@dataclass(frozen=True)
class _Split:
    columns: Columns
    examples: Examples


def train(context: Context) -> None:
    """Boosted trees on this worker's part of the flights, and beside them the baseline on all of them.

    Raises:
        ValueError: an unknown parameter or one of the wrong type, all named at once.
    """
    parameters = settled(context.parameters)
    part = _split(context, "train", context.rank, context.workers)
    validation = _split(context, "validation")
    booster = boost(
        context,
        {"objective": "binary", "deterministic": True, **_for_lightgbm(parameters)},
        part.examples,
        validation.examples,
        FEATURES,
        CATEGORICAL,
        Plan(int(parameters["rounds"]), checkpoint_every=int(parameters["checkpoint_every"])),
    )
    if context.rank:
        context.finish(None)
        return

    def save_model(folder: Path) -> None:
        booster.save_model(str(folder / MODEL_FILE), num_iteration=-1)
        (folder / FORM_FILE).write_text(json.dumps(form()))

    whole = _split(context, "train") if context.workers > 1 else part
    baseline = RateByCarrierAndHour.fit(whole.columns, whole.examples.labels)
    labels, scores = validation.examples.labels, np.asarray(booster.predict(validation.examples.features))
    trained = Trained(
        save_model=save_model,
        predictor=FlightsPredictor,
        metrics=metrics.overall(labels, scores),
        save_baseline=baseline.save,
        baseline=RateByCarrierAndHour,
        baseline_metrics=metrics.overall(labels, baseline.predict(validation.columns)),
    )
    context.finish(trained)


def settled(given: Parameters) -> Parameters:
    """The given parameters over the defaults.

    Raises:
        ValueError: with every mistake.
    """
    mistakes = [f"{name} is unknown; there are {', '.join(PARAMETERS)}" for name in sorted(given.keys() - PARAMETERS.keys())]
    for name in sorted(given.keys() & PARAMETERS.keys()):
        whole, value = isinstance(PARAMETERS[name], int), given[name]
        least = 1 if whole and name != "seed" else 0
        if isinstance(value, bool | str) or (whole and int(value) != value) or value < least:
            mistakes.append(f"{name} is {value!r}: it must be a {'whole ' if whole else ''}number, {least} or more")
    if mistakes:
        raise ValueError("the training's parameters do not fit: " + "; ".join(mistakes))
    return {**PARAMETERS, **{name: type(PARAMETERS[name])(value) for name, value in given.items()}}


def _for_lightgbm(parameters: Parameters) -> Parameters:
    return {name: value for name, value in parameters.items() if name not in ("rounds", "checkpoint_every")}


def _split(context: Context, name: str, shard: int = 0, shards: int = 1) -> _Split:
    table = context.dataset.table(name, (*INPUTS, LABEL), shard, shards)
    columns = columns_of(table)
    return _Split(columns, Examples(transform(columns), table[LABEL].to_numpy().astype(np.float64)))
