"""What `boost` takes of LightGBM's parameters, under their one name each; every mistake is told before anything is trained.

LightGBM knows a parameter by several names, passes over one that it does not know without a word, and evaluates nothing
where it does not know the metric. Values are its own to judge: it refuses them when it makes the model, before a round.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from heliostat.ml.frameworks.lightgbm.booster import parameter_aliases

OBJECTIVES: Final[Mapping[str, tuple[str, ...]]] = {
    "regression": ("regression_l2", "l2", "mean_squared_error", "mse", "l2_root", "root_mean_squared_error", "rmse"),
    "regression_l1": ("l1", "mean_absolute_error", "mae"),
    "huber": (),
    "fair": (),
    "poisson": (),
    "quantile": (),
    "mape": ("mean_absolute_percentage_error",),
    "gamma": (),
    "tweedie": (),
    "binary": (),
    "multiclass": ("softmax",),
    "multiclassova": ("multiclass_ova", "ova", "ovr"),
    "cross_entropy": ("xentropy",),
    "cross_entropy_lambda": ("xentlambda",),
    "lambdarank": (),
    "rank_xendcg": ("xendcg", "xe_ndcg", "xe_ndcg_mart", "xendcg_mart"),
}
"""LightGBM's objectives, each with its other names."""

RANKING: Final = frozenset({"lambdarank", "rank_xendcg"})
"""Objectives that compare the rows of one query with each other."""

METRICS: Final[Mapping[str, tuple[str, ...]]] = {
    "l1": ("mean_absolute_error", "mae", "regression_l1"),
    "l2": ("mean_squared_error", "mse", "regression_l2", "regression"),
    "rmse": ("root_mean_squared_error", "l2_root"),
    "quantile": (),
    "mape": ("mean_absolute_percentage_error",),
    "huber": (),
    "fair": (),
    "poisson": (),
    "gamma": (),
    "gamma_deviance": (),
    "tweedie": (),
    "r2": (),
    "ndcg": ("lambdarank", "rank_xendcg", "xendcg", "xe_ndcg", "xe_ndcg_mart", "xendcg_mart"),
    "map": ("mean_average_precision",),
    "auc": (),
    "average_precision": (),
    "binary_logloss": ("binary",),
    "binary_error": (),
    "auc_mu": (),
    "multi_logloss": ("multiclass", "softmax", "multiclassova", "multiclass_ova", "ova", "ovr"),
    "multi_error": (),
    "cross_entropy": ("xentropy",),
    "cross_entropy_lambda": ("xentlambda",),
    "kullback_leibler": ("kldiv",),
}
"""LightGBM's metrics, each with its other names."""

_NO_METRIC: Final = ("", "none", "None", "null", "custom", "na")

_ITS_OWN: Final[Mapping[str, str]] = {
    "snapshot_freq": "the plan has the checkpoints",
    "num_iterations": "the plan has the rounds",
    "early_stopping_round": "a training has the rounds of its plan",
    "num_threads": "it follows from cpusPerWorker",
    "tree_learner": "it follows from the number of workers",
    "num_machines": "it follows from the number of workers",
    "machines": "Ray Train places the workers",
    "machine_list_filename": "Ray Train places the workers",
    "local_listen_port": "Ray Train places the workers",
    "pre_partition": "each worker is given its part of the rows",
    "input_model": "a training goes on from its own checkpoint",
    "output_model": "the workload saves the model",
    "task": "it trains",
    "data": "the rows are given as `train`",
    "valid": "the rows are given as `validation`",
    "config": "parameters are given by name",
    "categorical_feature": "it is given as `categorical`",
    "label_column": "the labels are given with the features",
    "weight_column": "the labels are given with the features",
    "group_column": "queries are given as `Examples.groups`",
    "ignore_column": "leave the column out of the features",
}
"""What `boost` sets itself, and from what."""


def settled(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters under LightGBM's own names, with what a training that can be repeated needs.

    Raises:
        ValueError: with every name that is unknown, given twice or not to be set, and what is supported.
    """
    mistakes: list[str] = []
    found: dict[str, Any] = {}
    own = _own_names()
    for name, value in parameters.items():
        if name not in own:
            mistakes.append(f"{name} is no parameter of LightGBM{_near(name, own)}")
        elif own[name] in found:
            mistakes.append(f"{name} is another name of {own[name]}, which is given as well: give one")
        else:
            found[own[name]] = value
    mistakes += [f"{name} is not to be set: {why}" for name, why in _ITS_OWN.items() if name in found]
    mistakes += _settle_names(found)
    if mistakes:
        raise ValueError("the training's parameters do not fit: " + "; ".join(mistakes))
    return {**_repeatable(found), **found}


def _settle_names(found: dict[str, Any]) -> Iterator[str]:
    """Objective and metrics by their first names, and what is wrong with them."""
    given = found.setdefault("objective", "regression")
    objective = _first_name(given, OBJECTIVES)
    if objective is None:
        yield f"the objective {given!r} is not supported{_near(str(given), OBJECTIVES)}; there are {', '.join(OBJECTIVES)}"
    else:
        found["objective"] = objective
    if "metric" not in found:
        if objective == "binary":
            found["metric"] = ["auc", "binary_logloss"]
        return
    names = _listed(found["metric"])
    found["metric"] = [_first_name(name, METRICS) or name for name in names] or ["None"]
    for name in names:
        if _first_name(name, METRICS) is None:
            yield f"the metric {name!r} is not supported{_near(name, METRICS)}; there are {', '.join(METRICS)}"


def _repeatable(found: Mapping[str, Any]) -> dict[str, Any]:
    """Left to itself, LightGBM tries which way of adding up is quicker, and another way rounds otherwise."""
    way = {} if found.get("force_row_wise") or found.get("force_col_wise") else {"force_col_wise": True}
    return {"verbosity": -1, "deterministic": True, **way}


def _listed(metric: Any) -> list[str]:
    names = [str(name).strip() for name in (metric.split(",") if isinstance(metric, str) else metric)]
    return [name for name in names if name not in _NO_METRIC]


def _own_names() -> dict[str, str]:
    """LightGBM's own name of every name that it takes."""
    aliases = parameter_aliases()
    return {name: own for own, others in aliases.items() for name in (own, *others)}


def _first_name(given: Any, table: Mapping[str, Sequence[str]]) -> str | None:
    return next((name for name, others in table.items() if given == name or given in others), None)


def _near(given: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(given, list(known), n=1)
    return f"; did you mean `{near[0]}`?" if near else ""
