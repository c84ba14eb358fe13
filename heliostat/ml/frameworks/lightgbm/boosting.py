"""Distributed LightGBM on the training context: rounds, evaluation, checkpoints and resuming.

LightGBM connects its workers itself, by `machines`. While they meet, for a moment at the start, each listens on a port on
all addresses, which LightGBM gives no way to change.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from heliostat.ml.frameworks.lightgbm.parameters import RANKING, settled
from heliostat.ml.frameworks.lightgbm.seeds import as_declared, beginning, differs, seeds, starts_anew
from heliostat.ml.training import Context

__all__ = ["Examples", "Plan", "boost"]

MODEL_FILE: Final = "model.txt"
ROUNDS_FILE: Final = "rounds"
_ABSENT: Final = ("sklearn", "dask", "matplotlib", "graphviz")


@dataclass(frozen=True)
class Examples:
    """A feature matrix (rows x features) and its labels, one a row."""

    features: NDArray[np.float64]
    labels: NDArray[np.float64]
    groups: NDArray[np.int64] | None = None
    """For ranking: how many rows each query has, in their order. A worker's part holds whole queries."""


@dataclass(frozen=True)
class Plan:
    """How long and how closely watched a training runs, in boosting rounds."""

    rounds: int
    evaluate_every: int = 10
    checkpoint_every: int = 50
    start: Path | None = None
    """The file of a model that the rounds are put on top of."""


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

    `train` is this worker's part of the data, `validation` the whole split; `parameters` are LightGBM's, by any of their
    names, with any objective and metric of its own. Goes on from the last checkpoint to the model that a training in one go
    gives; where LightGBM cannot, the run is marked as resumed, or begins anew. With the plan's `start` the rounds are put
    on top of that model's, which knows what it knew.

    Raises:
        ValueError: names that LightGBM does not know or that are not to be set, and ranking without queries.
        lightgbm.basic.LightGBMError: values that it refuses. Either before the first round.
    """
    settings = settled(parameters)
    _require_groups(settings["objective"], train, validation)
    booster, begun = _last_checkpoint(context, settings)
    if begun >= plan.rounds:
        return booster
    if booster is None and plan.start is not None:
        booster = lightgbm().Booster(model_file=str(plan.start))
    if begun and (why := differs(settings)):
        context.mark_resumed(begun, why)
    data, watched = _datasets(train, validation, names, categorical)
    booster = _first_round({**settings, **_network(context)}, data, watched, booster, begun)
    for done in range(begun + 1, plan.rounds + 1):
        if done > begun + 1:
            _next_round(booster, settings, done - 1)
        if done % plan.evaluate_every == 0 or done == plan.rounds:
            figures = {figure_name(name): value for _, name, value, _ in booster.eval_valid()}
            context.tell(done, plan.rounds, figures, begun)
        over = done % plan.evaluate_every == 0 and done < plan.rounds and context.is_over_budget()
        if over or (done % plan.checkpoint_every == 0 and done < plan.rounds):
            context.checkpoint(partial(_save, booster, done), {"round": done})
        if over:
            break
    if declared := as_declared(settings):
        booster.reset_parameter(declared)
    return booster


def figure_name(metric: str) -> str:
    """What a metric of LightGBM is called in MLflow, whose names have no `@`: `ndcg@3` is `validation_ndcg_at_3`."""
    return f"validation_{_NAMES.get(metric, metric.replace('@', '_at_'))}"


_NAMES: Final = {"auc": "roc_auc", "binary_logloss": "log_loss"}
"""Where the figures of `heliostat.ml.metrics` have another name for the same."""


def _require_groups(objective: str, train: Examples, validation: Examples) -> None:
    for split, examples in (("train", train), ("validation", validation)):
        if objective in RANKING and examples.groups is None:
            raise ValueError(f"{objective} ranks the rows of a query: give `groups` with the {split} examples")
        if examples.groups is not None and int(examples.groups.sum()) != len(examples.labels):
            rows = f"{int(examples.groups.sum())} rows in all, the {split} examples have {len(examples.labels)}"
            raise ValueError(f"`groups` counts {rows}: each row is in one query")


def _last_checkpoint(context: Context, settings: Mapping[str, Any]) -> tuple[Any, int]:
    """The model of the last checkpoint and its rounds; None and 0 where there is none to go on from."""
    with context.resumed() as folder:
        if folder is None or starts_anew(settings):
            return None, 0
        start = lightgbm().Booster(model_file=str(folder / MODEL_FILE))
        rounds = folder / ROUNDS_FILE
        # A round in which nothing could be split leaves no tree: the trees do not count the rounds.
        return start, int(rounds.read_text()) if rounds.is_file() else start.current_iteration()


def _datasets(train: Examples, validation: Examples, names: Sequence[str], categorical: Sequence[str]) -> tuple[Any, Any]:
    lgb = lightgbm()
    columns = {"feature_name": list(names), "categorical_feature": list(categorical)}
    data = lgb.Dataset(train.features, train.labels, group=train.groups, **columns)
    return data, lgb.Dataset(validation.features, validation.labels, group=validation.groups, reference=data)


def _first_round(settings: dict[str, Any], data: Any, watched: Any, start: Any, begun: int) -> Any:
    """The booster after the round that follows `begun`, ready for more."""

    def seed(round_: Any) -> None:
        if told := seeds(settings, begun):
            round_.model.reset_parameter(told)

    seed.before_iteration = True  # type: ignore[attr-defined]  # how LightGBM is told when
    made_with = {**settings, **beginning(settings)}
    watch = {"valid_sets": [watched], "valid_names": ["validation"]}
    return lightgbm().train(made_with, data, 1, **watch, init_model=start, keep_training_booster=True, callbacks=[seed])


def _next_round(booster: Any, settings: Mapping[str, Any], done: int) -> None:
    if told := seeds(settings, done):
        booster.reset_parameter(told)
    booster.update()


def _save(booster: Any, rounds: int, folder: Path) -> None:
    booster.save_model(str(folder / MODEL_FILE), num_iteration=-1)
    (folder / ROUNDS_FILE).write_text(str(rounds))


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
