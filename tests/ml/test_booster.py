"""The model that only predicts: it answers what LightGBM's own does, and writes nowhere else."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from heliostat.ml.frameworks.lightgbm.booster import Booster
from heliostat.ml.frameworks.lightgbm.boosting import lightgbm

SETTINGS = {"verbose": -1, "num_leaves": 7, "min_data_in_leaf": 5, "seed": 1, "deterministic": True, "num_threads": 1}
FEATURES = np.random.default_rng(0).random((400, 4))
FOURTH = np.floor(FEATURES[:, 0] * 4)
OTHERS = np.random.default_rng(1).random((50, 4))


def trained(labels=FOURTH, group=None, names=("a", "b", "c", "d"), rounds=8, **settings):
    lgb = lightgbm()
    data = lgb.Dataset(FEATURES, labels, group=group, feature_name=list(names))
    return lgb.train({**SETTINGS, **settings}, data, rounds)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.txt"


@pytest.mark.parametrize(
    ("settings", "outputs"),
    [
        ({"objective": "binary", "labels": FOURTH > 1}, 1),
        ({"objective": "multiclass", "num_class": 4}, 4),
        ({"objective": "multiclassova", "num_class": 4}, 4),
        ({"objective": "multiclass", "num_class": 4, "boosting": "dart"}, 4),
        ({"objective": "multiclass", "num_class": 4, "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, 4),
        ({"objective": "multiclass", "num_class": 100, "labels": np.arange(400) % 100, "rounds": 2}, 100),
        ({"objective": "lambdarank", "group": [40] * 10}, 1),
        ({"objective": "regression"}, 1),
        ({"objective": "regression", "linear_tree": True}, 1),
        ({"objective": "regression", "reg_sqrt": True}, 1),
        ({"objective": "poisson"}, 1),
        ({"objective": "cross_entropy", "labels": FEATURES[:, 1]}, 1),
        ({"objective": "binary", "labels": FOURTH > 1, "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, 1),
    ],
    ids=lambda value: value.get("boosting", value["objective"]) if isinstance(value, dict) else str(value),
)
def test_any_model_answers_what_lightgbm_does(path, settings, outputs):
    booster = trained(**settings)
    booster.save_model(str(path))
    lean = Booster(path)
    assert (lean.features, lean.rounds, lean.outputs) == (("a", "b", "c", "d"), booster.current_iteration(), outputs)
    for rows in (OTHERS, OTHERS[:2], OTHERS[:1], OTHERS[::3], np.where(OTHERS < 0.1, np.nan, OTHERS)[:1]):
        assert np.array_equal(lean.predict(rows), booster.predict(rows)), f"{len(rows)} rows"
    assert lean.predict(OTHERS[:0]).shape == (0, *booster.predict(OTHERS).shape[1:])


def test_a_model_that_was_saved_with_fewer_rounds_answers_with_those(path):
    booster = trained(objective="multiclass", num_class=4)
    booster.save_model(str(path), num_iteration=3)
    lean = Booster(path)
    assert lean.rounds == 3
    for rows in (OTHERS, OTHERS[:1]):
        assert np.array_equal(lean.predict(rows), booster.predict(rows, num_iteration=3))


def test_an_answer_stays_as_it_is_when_others_are_asked(path):
    trained(objective="multiclass", num_class=4).save_model(str(path))
    lean = Booster(path)
    whole = lean.predict(OTHERS)
    first = lean.predict(OTHERS[:1])
    lean.predict(OTHERS[1:2])
    assert np.array_equal(first, whole[:1])


def test_threads_do_not_get_each_others_answers(path):
    trained(objective="multiclass", num_class=4).save_model(str(path))
    lean = Booster(path)
    whole, wrong = lean.predict(OTHERS), []

    def ask(first):
        for number in [*range(first, len(OTHERS)), *range(first)] * 40:
            if not np.array_equal(lean.predict(OTHERS[number : number + 1])[0], whole[number]):
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(first,)) for first in (0, 10, 20, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("num_class=4", "num_class=1"),
        ("num_tree_per_iteration=4", "num_tree_per_iteration=8"),
        ("objective=multiclass num_class:4", "objective=multiclass num_class:8"),
    ],
)
def test_a_file_that_would_have_lightgbm_write_past_the_answer_is_refused(path, said, instead):
    trained(objective="multiclass", num_class=4).save_model(str(path))
    text = path.read_text()
    assert f"\n{said}\n" in text
    path.write_text(text.replace(said, instead))
    with pytest.raises(ValueError, match="contradicts itself on how many scores it gives"):
        Booster(path)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda text: "hello", "is not a LightGBM model"),
        (lambda text: text.replace("feature_names=a b c d", "feature_names=a b"), "cannot be read: LightGBM"),
        (lambda text: text.replace("num_class=1", "others=1"), "names no num_class"),
    ],
)
def test_a_file_that_is_no_model_is_refused(path, made, reason):
    trained(objective="regression").save_model(str(path))
    path.write_text(made(path.read_text()))
    with pytest.raises(ValueError, match=reason):
        Booster(path)


def test_another_number_of_columns_is_refused(path):
    trained(objective="regression").save_model(str(path))
    with pytest.raises(ValueError, match="takes 4 features a row"):
        Booster(path).predict(np.zeros((3, 5)))
