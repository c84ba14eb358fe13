"""How the demand workload trains: rates of a Poisson regression, of which newer days count for more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.linear_model import PoissonRegressor

from heliostat.ml.contracts import columns_of
from heliostat.ml.in_memory import measured
from heliostat.ml.recency import recency
from heliostat.ml.tasks.baselines import Baseline
from heliostat.ml.training import Context, Trained
from workloads.demand.features import HOUR, LABEL, transform
from workloads.demand.parameters import Training
from workloads.demand.predictor import Model


def train(context: Context) -> None:
    """One worker fits; others, where the config has some, do nothing.

    A training that continues from a version takes that version's data along: older as they are, they weigh less, and what
    they alone tell of (a season, say) stays known.

    Raises:
        pydantic.ValidationError: parameters that do not fit, all named at once.
    """
    if context.rank:
        context.finish(None)
        return
    parameters = Training.model_validate(context.parameters)
    table = context.dataset.table("train")
    if context.previous is not None:
        table = pa.concat_tables([context.previous.dataset.table("train"), table])
    model = fitted(table, parameters)
    validation = context.dataset.table("validation")
    baseline = Baseline.fit(context.task, table, LABEL) if context.task is not None else None
    trained = Trained(
        save_model=model.save,
        predictor=Model,
        metrics=measured(model, validation, LABEL, context.problem),
        **(_compared(baseline, validation, context) if baseline is not None else {}),
    )
    context.finish(trained)


def fitted(table: pa.Table, parameters: Training) -> Model:
    """The model of some rows."""
    columns = columns_of(table)
    weights = recency(columns[HOUR], parameters.half_life_days)
    regressor = PoissonRegressor(alpha=parameters.alpha, max_iter=parameters.max_iterations, solver="newton-cholesky")
    regressor.fit(transform(columns), table[LABEL].to_numpy(), sample_weight=weights)
    return Model({"coefficients": np.asarray(regressor.coef_), "intercept": np.array(regressor.intercept_)})


def _compared(baseline: Baseline, validation: pa.Table, context: Context) -> dict[str, Any]:
    figures = measured(baseline, validation, LABEL, context.problem)
    return {"save_baseline": baseline.save, "baseline": Baseline, "baseline_metrics": figures}
