"""Boosting on the training context."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from heliostat.ml.frameworks.lightgbm.boosting import Examples, Plan, boost
from heliostat.ml.frameworks.lightgbm.parameters import METRICS, OBJECTIVES, RANKING
from heliostat.ml.metric_logger import MetricLogger
from heliostat.ml.training import Context

SETTINGS = {"objective": "binary", "num_leaves": 7, "min_data_in_leaf": 5, "seed": 1, "deterministic": True}


class Alone(Context):
    """One worker without Ray; checkpoints go to a folder, and after `dies_after` of them it dies."""

    kept: Path
    dies_after = 99
    marked = ()

    @contextmanager
    def resumed(self):
        yield self.kept if (self.kept / "model.txt").is_file() else None

    def checkpoint(self, save, metrics):
        save(self.kept)
        self.dies_after -= 1
        if not self.dies_after:
            raise KeyboardInterrupt

    def tell(self, step, steps, metrics, began_at=0):
        self.told.append((step, sorted(metrics)))

    def mark_resumed(self, step, why):
        self.marked = (*self.marked, (step, why))


@pytest.fixture
def context(tmp_path):
    alone = Alone({}, None, 0, 1, 1, (), MetricLogger("", ""))
    alone.kept, alone.told = tmp_path, []
    return alone


def examples(rows=400, seed=0):
    generator = np.random.default_rng(seed)
    features = np.column_stack([generator.integers(0, 5, rows), generator.random(rows)]).astype(float)
    return Examples(features, (features[:, 1] + features[:, 0] / 10 + generator.normal(0, 0.2, rows) > 0.7).astype(float))


def run(context, rounds=20, train=None, validation=None, every=4, **changes):
    train, validation = train or examples(), validation or examples(200, 1)
    return boost(context, {**SETTINGS, **changes}, train, validation, ("kind", "size"), ("kind",), Plan(rounds, 5, every))


def interrupted(context, at, **changes):
    """The model of a training that dies after each of the rounds `at`, and once more goes on."""
    for rounds in at:
        context.dies_after = 1
        with pytest.raises(KeyboardInterrupt):
            run(context, every=rounds, **changes)
    context.dies_after = 99
    return run(context, **changes)


def test_a_killed_training_resumes_from_its_checkpoint_and_ends_with_all_rounds(context):
    context.dies_after = 2
    with pytest.raises(KeyboardInterrupt):
        run(context)
    assert [step for step, _ in context.told] == [5]
    context.told.clear()
    booster = run(context)
    assert booster.current_iteration() == 20
    assert [step for step, _ in context.told] == [10, 15, 20], "rounds before the checkpoint are not trained again"
    assert context.told[0][1] == ["validation_log_loss", "validation_roc_auc"]


def test_a_finished_training_is_not_trained_further(context):
    whole = run(context)
    whole.save_model(str(context.kept / "model.txt"), num_iteration=-1)
    (context.kept / "rounds").write_text("20")
    context.told.clear()
    assert run(context).current_iteration() == 20
    assert context.told == []


def text_of(booster):
    """The model as LightGBM saves it, but for a weight that it does not write where it did not grow the tree itself."""
    text = booster.model_to_string(num_iteration=-1).replace("leaf_weight=0\n", "leaf_weight=\n")
    return re.sub(r"tree_sizes=.*\n", "", text)


ALL_AT_ONCE = {"bagging_fraction": 0.6, "bagging_freq": 3, "feature_fraction": 0.5, "extra_trees": True}


@pytest.mark.parametrize(
    "sampling",
    [
        {},
        {"feature_fraction": 0.5},
        {"colsample_bynode": 0.5},
        {"extra_trees": True, "extra_seed": 5},
        {"subsample": 0.7, "subsample_freq": 1},
        {"bagging_fraction": 0.4, "bagging_freq": 3},
        {"pos_bagging_fraction": 0.5, "neg_bagging_fraction": 0.8, "bagging_freq": 2},
        ALL_AT_ONCE,
        {"objective": "l1", **ALL_AT_ONCE},
        {"objective": "poisson", **ALL_AT_ONCE},
        {"objective": "multiclass", "num_class": 2, **ALL_AT_ONCE},
    ],
    ids=lambda sampling: ",".join(map(str, sampling)) or "none",
)
def test_an_interrupted_training_gives_the_model_of_one_in_a_go(context, sampling):
    whole = text_of(run(context, every=99, **sampling))
    assert text_of(interrupted(context, (1, 5, 7), **sampling)) == whole
    assert context.marked == (), "nothing to say"
    assert f"[bagging_freq: {sampling.get('bagging_freq', sampling.get('subsample_freq', 0))}]" in whole


def test_a_bag_is_drawn_as_often_as_declared_and_each_is_another(context):
    """A stump's root says which rows its tree saw, by how many of each kind there were."""
    bags = {"pos_bagging_fraction": 0.5, "neg_bagging_fraction": 0.5, "bagging_freq": 4, "num_leaves": 2}
    trees = run(context, every=99, **bags).dump_model()["tree_info"]
    rows = [tree["tree_structure"]["internal_count"] for tree in trees]
    assert len(rows) == 20
    assert max(rows) < 250, "of 400"
    assert [len(set(rows[bag : bag + 4])) for bag in range(0, 20, 4)] == [1] * 5, "the same for four rounds"
    assert len(set(rows)) > 1


def test_a_ranking_that_is_interrupted_gives_the_same_model_and_needs_its_queries(context):
    ranked = {"objective": "lambdarank", "eval_at": [1, 3], "metric": "ndcg", **ALL_AT_ONCE}
    with pytest.raises(ValueError, match="lambdarank ranks the rows of a query: give `groups` with the train examples"):
        run(context, **ranked)
    plain, watched = examples(), examples(200, 1)
    train = Examples(plain.features, plain.labels, np.full(40, 10))
    validation = Examples(watched.features, watched.labels, np.full(20, 10))
    with pytest.raises(ValueError, match="`groups` counts 390 rows in all, the train examples have 400"):
        run(context, train=Examples(plain.features, plain.labels, np.full(39, 10)), validation=validation, **ranked)
    whole = text_of(run(context, every=99, train=train, validation=validation, **ranked))
    assert context.told[-1] == (20, ["validation_ndcg_at_1", "validation_ndcg_at_3"]), "MLflow has no @ in a name"
    assert text_of(interrupted(context, (5,), train=train, validation=validation, **ranked)) == whole


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"boosting": "dart"}, "dart drops trees"),
        ({"boosting_type": "goss"}, "goss takes all rows"),
        ({"data_sample_strategy": "goss"}, "goss takes all rows"),
        ({"use_quantized_grad": True}, "gradients are rounded"),
        ({"linear_tree": True}, "linear trees"),
        ({"cegb_penalty_feature_coupled": [0.5, 0.5]}, "what features cost"),
    ],
)
def test_what_lightgbm_cannot_go_on_with_as_it_was_is_marked_as_resumed(context, changes, why):
    run(context, every=99, **changes)
    assert context.marked == (), "a training in one go is not"
    assert interrupted(context, (5,), **changes).current_iteration() == 20
    [(round_, said)] = context.marked
    assert round_ == 5
    assert said.startswith(why)


def test_a_random_forest_begins_anew_and_is_the_same(context):
    forest = {"boosting": "rf", "bagging_fraction": 0.6, "bagging_freq": 1}
    whole = text_of(run(context, every=99, **forest))
    assert text_of(interrupted(context, (5,), **forest)) == whole
    assert context.marked == ()


def test_rounds_without_a_tree_count_all_the_same(context, tmp_path):
    changes = {"min_gain_to_split": 7.0, "feature_fraction": 0.5, "bagging_fraction": 0.6, "bagging_freq": 3}
    whole = run(context, every=99, **changes)
    assert 5 < whole.current_iteration() < 15, "or this tries nothing"
    for at in range(1, 20):
        context.kept = tmp_path / str(at)
        context.kept.mkdir()
        assert text_of(interrupted(context, (at,), **changes)) == text_of(whole), at


@pytest.mark.parametrize(("objective", "others"), OBJECTIVES.items())
def test_every_objective_trains_with_what_lightgbm_evaluates_it_by(context, objective, others):
    plain, watched = examples(), examples(200, 1)
    offset = 0.5 if objective in ("gamma", "mape") else 0.0
    grouped = objective in RANKING
    train = Examples(plain.features, plain.labels + offset, np.full(40, 10) if grouped else None)
    validation = Examples(watched.features, watched.labels + offset, np.full(20, 10) if grouped else None)
    more = {"num_class": 2} if objective.startswith("multiclass") else {}
    for name in (objective, *others):
        run(context, rounds=5, train=train, validation=validation, objective=name, **more)
        step, figures = context.told[-1]
        assert step == 5
        assert figures
        assert all(re.fullmatch(r"validation_[\w.:/ -]+", figure) for figure in figures)


@pytest.mark.parametrize(("metric", "others"), METRICS.items())
def test_every_metric_is_evaluated_by_each_of_its_names(context, metric, others):
    objective = "multiclass" if metric.startswith(("multi", "auc_mu")) else "regression"
    plain, watched = examples(), examples(200, 1)
    positive = float(metric.startswith("gamma"))
    train = Examples(plain.features, plain.labels + positive, np.full(40, 10))
    validation = Examples(watched.features, watched.labels + positive, np.full(20, 10))
    more = {"num_class": 2} if objective == "multiclass" else {}
    for name in (metric, *others):
        run(context, rounds=5, train=train, validation=validation, objective=objective, metric=name, **more)
        assert context.told[-1][1], name


def test_a_training_without_a_metric_shows_its_rounds_alone(context):
    run(context, rounds=5, metric="None")
    assert context.told == [(5, [])]


def test_every_mistake_in_the_parameters_is_told_before_anything_is_trained(context):
    with pytest.raises(ValueError, match="do not fit") as refused:
        run(context, objective="binry", metrics=["auc", "f2"], num_leavs=3, num_trees=7, early_stopping_rounds=5, max_leaf=3)
    told = str(refused.value)
    assert "the objective 'binry' is not supported; did you mean `binary`?; there are regression, " in told
    assert (
        "the metric 'f2' is not supported; there are l1, " in told or "the metric 'f2' is not supported; did you mean" in told
    )
    assert "num_leavs is no parameter of LightGBM; did you mean `num_leaves`?" in told
    assert "num_iterations is not to be set: the plan has the rounds" in told
    assert "early_stopping_round is not to be set" in told
    assert "max_leaf is another name of num_leaves, which is given as well: give one" in told
    assert context.told == []


def test_values_are_lightgbm_s_own_to_refuse_before_the_first_round(context):
    for changes in ({"num_leaves": 1}, {"objective": "multiclass"}, {"metric": "multi_logloss"}, {"boosting": "x"}):
        with pytest.raises(Exception, match=r"num_leaves|Number of classes|don't match|boosting type"):
            run(context, **changes)
    assert context.told == []
