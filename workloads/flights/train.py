"""How the flights workload trains: what one training worker runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from heliostat.ml import metrics
from heliostat.ml.contracts import Columns, columns_of
from heliostat.ml.frameworks.lightgbm.boosting import Examples, Plan, boost
from heliostat.ml.training import Context, Trained
from workloads.flights.features import CATEGORICAL, FEATURES, INPUTS, LABEL, transform
from workloads.flights.parameters import Training
from workloads.flights.predictor import FORM_FILE, MODEL_FILE, FlightsPredictor, RateByCarrierAndHour, form


@dataclass(frozen=True)
class _Split:
    columns: Columns
    examples: Examples


def train(context: Context) -> None:
    """Boosted trees on this worker's part of the flights, and beside them the baseline on all of them.

    Raises:
        pydantic.ValidationError: parameters that do not fit, all named at once.
    """
    parameters = Training.model_validate(context.parameters)
    of_lightgbm = parameters.model_dump(exclude={"rounds", "checkpoint_every"})
    part = _split(context, "train", context.rank, context.workers)
    validation = _split(context, "validation")
    start = context.previous.folder / MODEL_FILE if context.previous is not None else None
    booster = boost(
        context,
        {"objective": "binary", **of_lightgbm},
        part.examples,
        validation.examples,
        FEATURES,
        CATEGORICAL,
        Plan(parameters.rounds, checkpoint_every=parameters.checkpoint_every, start=start),
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


def _split(context: Context, name: str, shard: int = 0, shards: int = 1) -> _Split:
    table = context.dataset.table(name, (*INPUTS, LABEL), shard, shards)
    columns = columns_of(table)
    return _Split(columns, Examples(transform(columns), table[LABEL].to_numpy().astype(np.float64)))
