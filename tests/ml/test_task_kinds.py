"""Each kind of problem: its figures are scikit-learn's, its labels and predictions are held to it, with the fix told."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as sk

from heliostat.ml import datasets
from heliostat.ml.dataset_statistics import label_of
from heliostat.ml.datasets import Parts, Tables
from heliostat.ml.snapshots.splits import TableSplit
from heliostat.ml.tasks.base import Truth, wrong_label
from heliostat.ml.tasks.evaluation import Evaluation, kind_of
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.metrics import Needs
from heliostat.spec.problem import CustomMetric, Problem
from heliostat.spec.tasks import (
    Binary,
    Embedding,
    Forecasting,
    Free,
    Multiclass,
    Multilabel,
    Quantiles,
    Ranking,
    Regression,
    Task,
)
from heliostat.spec.workload import Slice
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store

ROWS = 60
RANDOM = np.random.default_rng(3)
CLASSES = ("ant", "bee", "cat")
CLASS = RANDOM.integers(0, 3, ROWS)
SHARES = RANDOM.dirichlet([1, 1, 1], ROWS)
NUMBER = RANDOM.normal(5, 1, ROWS)
NEAR = NUMBER + RANDOM.normal(0, 0.5, ROWS)
FLAGS = RANDOM.integers(0, 2, (ROWS, 2))
CHANCES = RANDOM.random((ROWS, 2))


def table(label: Any, **columns: Any) -> pa.Table:
    return pa.table({"y": label, **columns})


def overall(task: Task, label: Any, predictions: Any, **columns: Any) -> dict[str, float]:
    return Evaluation(Problem(task=task), table(label, **columns), "y").overall(predictions)


def test_binary_figures_are_scikit_learn_s() -> None:
    labels, scores = (NUMBER > 5).astype(float), 1 / (1 + np.exp(5 - NEAR))
    found = overall(Binary(), pa.array(labels == 1), scores)
    assert list(found) == list(Binary().metrics)
    told = scores >= 0.5
    assert found["brier_score"] == pytest.approx(sk.brier_score_loss(labels, scores))
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(labels, told))
    assert found["log_loss"] == pytest.approx(sk.log_loss(labels, scores))
    assert found["average_precision"] == pytest.approx(sk.average_precision_score(labels, scores))
    assert found["matthews_corrcoef"] == pytest.approx(sk.matthews_corrcoef(labels, told))


@pytest.mark.parametrize("label", [pa.array([CLASSES[each] for each in CLASS]), pa.array(CLASS)], ids=["text", "places"])
def test_multiclass_figures_are_scikit_learn_s_whether_classes_are_text_or_places(label: pa.Array) -> None:
    found = overall(Multiclass(classes=CLASSES), label, SHARES)
    told = SHARES.argmax(axis=1)
    assert list(found) == list(Multiclass(classes=CLASSES).metrics)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(CLASS, told))
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(CLASS, told))
    assert found["log_loss"] == pytest.approx(sk.log_loss(CLASS, SHARES))
    assert found["brier_score"] == pytest.approx(sk.brier_score_loss(CLASS, SHARES, labels=[0, 1, 2], scale_by_half=False))
    assert found["roc_auc_ovo_weighted"] == pytest.approx(
        sk.roc_auc_score(CLASS, SHARES, multi_class="ovo", average="weighted")
    )
    assert found["precision_micro"] == pytest.approx(sk.precision_score(CLASS, told, average="micro"))
    assert found["f1_weighted"] == pytest.approx(sk.f1_score(CLASS, told, average="weighted"))


def test_where_a_class_is_in_no_label_the_areas_are_left_out_and_said_so() -> None:
    evaluation = Evaluation(Problem(task=Multiclass(classes=CLASSES)), table(pa.array([0, 1, 1])), "y")
    found = evaluation.overall(SHARES[:3])
    assert "accuracy" in found
    assert not [name for name in found if name.startswith("roc_auc")]
    assert evaluation.why_undefined("roc_auc_ovr") == "no label is of the class cat"


def test_multilabel_figures_are_scikit_learn_s_whether_labels_are_named_or_flagged() -> None:
    task = Multilabel(labels=("red", "round"))
    named = pa.array([[name for name, flag in zip(task.labels, row, strict=True) if flag] for row in FLAGS.tolist()])
    found = overall(task, named, CHANCES)
    assert found == overall(task, pa.array(FLAGS.tolist()), CHANCES)
    told = CHANCES >= 0.5
    assert list(found) == list(task.metrics)
    assert found["average_precision"] == pytest.approx(sk.average_precision_score(FLAGS, CHANCES))
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(FLAGS, told))
    assert found["hamming_loss"] == pytest.approx(sk.hamming_loss(FLAGS, told))
    assert found["f1_samples"] == pytest.approx(sk.f1_score(FLAGS, told, average="samples", zero_division=0))


def test_regression_and_forecasting_figures_are_scikit_learn_s() -> None:
    found = overall(Regression(), NUMBER, NEAR)
    assert list(found) == list(Regression().metrics)
    assert found["root_mean_squared_error"] == pytest.approx(sk.root_mean_squared_error(NUMBER, NEAR))
    assert found["median_absolute_error"] == pytest.approx(sk.median_absolute_error(NUMBER, NEAR))
    assert found["r2"] == pytest.approx(sk.r2_score(NUMBER, NEAR))
    assert overall(Forecasting(time="day"), NUMBER, NEAR, day=range(ROWS)) == found


def test_quantile_figures_are_scikit_learn_s_by_level_and_in_the_mean() -> None:
    task, predictions = Quantiles(levels=(0.1, 0.9)), np.stack([NEAR - 1, NEAR + 1], axis=1)
    found = overall(task, NUMBER, predictions)
    each = [sk.mean_pinball_loss(NUMBER, predictions[:, place], alpha=level) for place, level in enumerate(task.levels)]
    assert found["mean_pinball_loss_0.1"] == pytest.approx(each[0])
    assert found["mean_pinball_loss_0.9"] == pytest.approx(each[1])
    assert found["mean_pinball_loss"] == pytest.approx(np.mean(each))
    assert found["crossing_rate"] == 0.0
    below = [(predictions[:, place] >= NUMBER).mean() for place in (0, 1)]
    assert found["mean_coverage_error"] == pytest.approx(np.abs(np.array(below) - task.levels).mean())


def test_quantiles_that_cross_are_measured_and_no_error() -> None:
    crossing = np.stack([np.where(np.arange(ROWS) < 15, NEAR + 1, NEAR - 1), NEAR], axis=1)
    assert overall(Quantiles(levels=(0.1, 0.9)), NUMBER, crossing)["crossing_rate"] == 0.25


def test_ranking_figures_are_means_over_the_groups_that_say_anything() -> None:
    group = np.repeat(["a", "b", "c", "d"], [5, 4, 1, 3])
    labels = np.array([3, 2, 0, 1, 0, 1, 0, 0, 2, 3, 1, 1, 1], dtype=float)
    scores = RANDOM.random(13)
    found = overall(Ranking(group="query", at=(2,)), labels, scores, query=group)
    parts = [slice(0, 5), slice(5, 9)]  # c has one row, the labels of d are alike
    assert found["ndcg"] == pytest.approx(np.mean([sk.ndcg_score([labels[part]], [scores[part]]) for part in parts]))
    assert found["ndcg_at_2"] == pytest.approx(np.mean([sk.ndcg_score([labels[part]], [scores[part]], k=2) for part in parts]))
    told = label_of(TableSplit(table(labels, query=group)), "y", Ranking(group="query"))
    assert (told["groups"], told["groupsOfOneRow"], told["groupsThatTell"]) == (4, 1, 2)


def test_embedding_figures_are_scikit_learn_s() -> None:
    vectors, found = RANDOM.normal(size=(ROWS, 3)), RANDOM.normal(size=(ROWS, 3))
    figures = overall(Embedding(dimensions=3), pa.array(vectors.tolist()), found)
    assert figures["cosine_similarity"] == pytest.approx(np.mean(np.diag(sk.pairwise.cosine_similarity(vectors, found))))
    assert figures["mean_squared_error"] == pytest.approx(sk.mean_squared_error(vectors, found))


def test_a_free_answer_of_any_shape_is_taken_with_a_row_each() -> None:
    words = pa.array(["a"] * ROWS)
    assert overall(Free(), words, {"text": ["b"] * ROWS, "image": np.zeros((ROWS, 2, 2))}) == {}
    with pytest.raises(PermanentError, match="answered 2 rows for 60"):
        overall(Free(), words, ["a", "b"])


@pytest.mark.parametrize(
    ("task", "label", "predictions", "told"),
    [
        (Binary(), NUMBER > 5, NUMBER, r"are no probabilities, as [\d.]+: they must be between 0 and 1; give what `predict_p"),
        (Binary(), NUMBER > 5, SHARES, r"\(60, 3\) scores for \(60,\) labels"),
        (Binary(), NUMBER > 5, np.full(ROWS, np.nan), "60 of 60 scores are no finite number"),
        (Multiclass(classes=CLASSES), CLASS, SHARES[:, :2], r"\(60, 2\) scores for 60 rows: a probability for each of 3"),
        (Multiclass(classes=CLASSES), CLASS, SHARES / 2, "of 60 of 60 rows do not sum to 1, as those of row 0 to 0.5"),
        (Multiclass(classes=CLASSES), CLASS, 3 * SHARES - 1, "are no probabilities"),
        (Multiclass(classes=CLASSES), CLASS, ["ant"] * ROWS, "no array of numbers"),
        (Multilabel(labels=("a", "b")), pa.array(FLAGS.tolist()), CHANCES[:, :1], r"a probability for each of 2 labels"),
        (Regression(), NUMBER, NEAR[:5], r"\(5,\) scores for \(60,\) labels"),
        (Regression(), NUMBER, np.where(NUMBER > 6, np.inf, NEAR), "are no finite number"),
        (Quantiles(levels=(0.1, 0.9)), NUMBER, NEAR, r"\(60,\) scores for 60 rows: a number for each of 2 levels"),
        (Embedding(dimensions=2), pa.array(CHANCES.tolist()), SHARES, r"a vector of 2 numbers is needed"),
    ],
)
def test_predictions_that_are_none_of_the_task_s_are_refused_with_the_fix(
    task: Task, label: Any, predictions: Any, told: str
) -> None:
    with pytest.raises(PermanentError, match=told):
        overall(task, label, predictions)


def test_what_rounding_left_is_no_error() -> None:
    off = SHARES.astype(np.float32) * np.float32(1.0001)
    assert overall(Multiclass(classes=CLASSES), CLASS, off)["log_loss"] == pytest.approx(sk.log_loss(CLASS, SHARES), abs=1e-4)
    overall(Binary(), NUMBER > 5, np.where(NUMBER > 5, 1 + 1e-9, -1e-9))


LISTS = pa.list_(pa.float64())


@pytest.mark.parametrize(
    ("task", "label", "told"),
    [
        (None, pa.array(["a"]), "is of type string, it must be a number or a boolean: give classes numbers from 0 on, or"),
        (None, pa.array([1.0, None]), "is missing in 1 rows"),
        (Binary(), pa.array([0, 1, 2, 2]), "is 2, neither 0 nor 1 (declare Multiclass or Regression, or mend it) in 2 rows"),
        (Binary(), pa.array(["yes"]), "of the task binary it must be booleans or integers or floating point numbers"),
        (
            Multiclass(classes=CLASSES),
            pa.array(["ant", "dog", "dog"]),
            "is 'dog', none of the task's classes ant, bee, cat (declare them, or",
        ),
        (
            Multiclass(classes=CLASSES),
            pa.array([0, 3, -1]),
            "is 3, -1, none of the task's classes 0 to 2 (declare them, or leave the rows out) in 2 rows",
        ),
        (Multiclass(classes=CLASSES), pa.array([0.0]), "it must be text or integers"),
        (
            Multilabel(labels=("a", "b")),
            pa.array([["a"], ["c"]]),
            "holds 'c', none of the task's labels (declare them or leave them out) in 1 rows",
        ),
        (
            Multilabel(labels=("a", "b")),
            pa.array([[0, 1], [1]]),
            "is no list of 2, a 0 or 1 for each of the task's labels, in 1 rows",
        ),
        (Multilabel(labels=("a", "b")), pa.array([[0, 2]]), "holds what is neither 0 nor 1 in 1 rows"),
        (Multilabel(labels=("a", "b")), pa.array(["a"]), "it must be lists of text or lists of numbers"),
        (Regression(), pa.array([1.0, float("inf")]), "is no finite number in 1 rows"),
        (Ranking(group="q"), pa.array([-1.0, 2.0]), "is below 0, and a relevance is 0 or more, in 1 rows"),
        (Embedding(dimensions=2), pa.array([[1.0, 2.0], [1.0]]), "is no list of 2 numbers in 1 rows"),
        (Embedding(dimensions=2), pa.array([[1.0, None]]), "holds missing numbers in 1 rows"),
        (Embedding(dimensions=2), pa.array([[1.0, float("nan")]]), "is no finite number in 1 rows"),
    ],
)
def test_a_label_that_is_none_of_the_task_s_is_refused_with_the_fix(task: Task | None, label: pa.Array, told: str) -> None:
    found = wrong_label(kind_of(task) if task is not None else None, pa.chunked_array([label]))
    assert told in " and ".join(f"{reason} in {rows} rows" for reason, rows in found.items())


@pytest.mark.parametrize(
    ("task", "label"),
    [
        (None, pa.array([True, False])),
        (Binary(), pa.array([True, False])),
        (Binary(), pa.array([0.0, 1.0])),
        (Multiclass(classes=CLASSES), pa.array(["cat", "ant"]).dictionary_encode()),
        (Multilabel(labels=("a", "b")), pa.array([["a", "b"], []], pa.list_(pa.string()))),
        (Embedding(dimensions=2), pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2))),
        (Free(), pa.array([None, "any"])),
    ],
)
def test_a_label_that_fits_is_taken(task: Task | None, label: pa.Array) -> None:
    assert wrong_label(kind_of(task) if task is not None else None, pa.chunked_array([label])) == {}


def splits(train: pa.Table, test: pa.Table) -> Tables:
    return Tables(train, train, test, "y")


DAYS = [dt.date(2024, 1, 1) + dt.timedelta(days=number) for number in range(10)]


@pytest.mark.parametrize(
    ("task", "train", "test", "told"),
    [
        (
            Multiclass(classes=CLASSES),
            table(["ant", "bee"]),
            table(["ant", "cat"]),
            "the train split has no row of the classes cat",
        ),
        (Ranking(group="query"), table([1.0, 2.0]), table([1.0, 2.0]), "the train split has no column 'query'"),
        (
            Ranking(group="query"),
            table([1.0, 2.0], query=["a", "b"]),
            table([1.0, 2.0], query=["a", "a"]),
            "of the train split no group says anything of an order: 2 of 2 are of one row",
        ),
        (
            Forecasting(time="day", horizon=3),
            table([1.0] * 8, day=DAYS[:8]),
            table([1.0] * 2, day=DAYS[8:]),
            "the series is tested on 2 times, and the horizon is 3",
        ),
        (
            Forecasting(time="day", series=("shop",)),
            table([1.0] * 8, day=DAYS[:8], shop=["a"] * 8),
            table([1.0] * 2, day=DAYS[7:9], shop=["a"] * 2),
            "the series a is tested from 2024-01-08 on, and trained until 2024-01-08",
        ),
        (Forecasting(time="day"), table([1.0], day=["x"]), table([1.0], day=["y"]), "times, or whole numbers that count"),
    ],
)
def test_splits_that_a_task_cannot_be_tested_on_are_refused(task: Task, train: pa.Table, test: pa.Table, told: str) -> None:
    with pytest.raises(PermanentError) as refused:
        datasets.check(splits(train, test), task)
    assert told in str(refused.value)


def test_splits_that_follow_each_other_in_time_are_taken() -> None:
    train = table([1.0] * 8, day=DAYS[:4] * 2, shop=["a"] * 4 + ["b"] * 4)
    test = table([1.0] * 6, day=DAYS[4:7] * 2, shop=["a"] * 3 + ["new"] * 3)
    datasets.check(splits(train, test), Forecasting(time="day", series=("shop",), horizon=3))


@pytest.mark.parametrize(
    ("task", "label", "columns", "unmet"),
    [
        (Binary(), [True, True], {}, {"unlike"}),
        (Binary(), [True, False], {}, set()),
        (Regression(), [2.0, 2.0], {}, {"unlike"}),
        (Multiclass(classes=CLASSES), ["ant", "bee"], {}, {"every class"}),
        (Multilabel(labels=("a", "b")), [["a"], ["a", "b"]], {}, {"unlike"}),
        (Ranking(group="q"), [1.0, 2.0], {"q": [1, 2]}, {"any"}),
        (Embedding(dimensions=1), [[1.0], [1.0]], {}, set()),
        (Free(), ["a", "a"], {}, set()),
    ],
)
def test_statistics_tell_which_metrics_a_label_is_not_good_for(task: Task, label: Any, columns: Any, unmet: set[str]) -> None:
    told = label_of(TableSplit(table(label, **columns)), "y", task)
    assert told["kind"] == task.kind
    assert set(told["unmet"]) == unmet


def test_slices_are_judged_by_any_metric_where_it_is_defined() -> None:
    values = pa.table({"y": pa.array([CLASSES[each] for each in CLASS]), "side": ["left"] * 40 + ["right"] * 20})
    evaluation = Evaluation(Problem(task=Multiclass(classes=CLASSES)), values, "y")
    found = evaluation.by_slice(SHARES, "log_loss", (Slice(column="side", min_rows=30),))
    assert found == {"side": {"left": {"rows": 40, "value": pytest.approx(sk.log_loss(CLASS[:40], SHARES[:40]))}}}
    with pytest.raises(PermanentError, match="names the column 'up'; the data has y, side"):
        evaluation.by_slice(SHARES, "log_loss", (Slice(column="up"),))


def test_a_slice_of_a_ranking_has_its_groups() -> None:
    values = pa.table({"y": [1.0, 0.0, 2.0, 1.0], "q": [1, 1, 2, 3], "side": ["l", "l", "r", "r"]})
    evaluation = Evaluation(Problem(task=Ranking(group="q")), values, "y")
    found = evaluation.by_slice(np.array([0.9, 0.1, 0.5, 0.4]), "ndcg", (Slice(column="side", min_rows=1),))
    assert found == {"side": {"l": {"rows": 2, "value": 1.0}}}, "no group of the right side says anything"


def halves(labels: Any, predictions: Any) -> float:
    return float(len(labels)) / 2


def broken(labels: Any, predictions: Any) -> float:
    raise KeyError("price")


def no_number(labels: Any, predictions: Any) -> Any:
    return "high"


def own(function: Any) -> Problem:
    name = f"{__name__}:{function.__name__}"
    return Problem(task=Regression(), metrics=(CustomMetric(name="own", function=name, higher_is_better=False),))


def test_a_metric_of_one_s_own_is_reported_with_the_others_and_judges_slices() -> None:
    values = pa.table({"y": NUMBER, "side": ["left"] * 40 + ["right"] * 20})
    evaluation = Evaluation(own(halves), values, "y")
    assert evaluation.overall(NEAR)["own"] == 30.0
    found = evaluation.by_slice(NEAR, "own", (Slice(column="side", min_rows=1),))
    assert {value: each["value"] for value, each in found["side"].items()} == {"left": 20.0, "right": 10.0}


@pytest.mark.parametrize(("function", "told"), [(broken, "failed: KeyError: 'price'"), (no_number, "gave a str")])
def test_a_metric_of_one_s_own_that_fails_says_which_and_why(function: Any, told: str) -> None:
    with pytest.raises(PermanentError, match="the metric own ") as refused:
        Evaluation(own(function), table(NUMBER), "y").overall(NEAR)
    assert told in str(refused.value)


def test_without_a_task_a_score_may_be_a_margin_as_it_always_might() -> None:
    found = Evaluation(Problem(), table(NUMBER > 5), "y").overall(NEAR - 5)
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(NUMBER > 5, NEAR))
    assert Evaluation(Problem(), table(NUMBER), "y").kind.task == Regression()


def test_truth_of_some_rows_has_their_groups() -> None:
    found = Truth(np.arange(3), np.array([7, 8, 9])).rows(np.array([True, False, True]))
    assert found.groups is not None
    assert (found.labels.tolist(), found.groups.tolist()) == ([0, 2], [7, 9])
    assert Needs.ANY == "any"


def test_parts_are_held_to_the_task_as_tables_are_with_the_rows_of_all_of_them_added() -> None:
    wrong = Parts(
        train=[table(["ant", "dog"]), table(["dog", "bee"])], validation=[table(["cat"])], test=[table(["cat"])], label="y"
    )
    with pytest.raises(PermanentError, match=r"is 'dog', none of the task's classes .* in 2 rows of the train split"):
        datasets.check(wrong, Multiclass(classes=CLASSES))


@pytest.mark.parametrize("task", [Multilabel(labels=("a", "b")), None])
def test_a_label_of_lists_in_parts_is_the_snapshot_of_the_same_tables_and_told_alike(
    task: Task | None, tmp_path: Path
) -> None:
    whole = table(pa.array([["a"], [], ["a", "b"], ["b"]], pa.list_(pa.string())), x=[1, 2, 3, 4])
    made = []
    for number, source in enumerate((whole, [whole.slice(0, 1), whole.slice(1)])):
        store = open_store(StoreAddress(uri=f"file://{tmp_path}/{number}"))
        data = Tables(whole, whole, whole, "y") if source is whole else Parts(source, source, source, "y")
        if task is None:
            with pytest.raises(PermanentError, match="or declare a task; so in 4 rows of the train split"):
                datasets.save(data, "toy", store)
            continue
        manifest = datasets.save(data, "toy", store, task=task)
        told = json.loads(store.get(f"datasets/toy/{manifest['digest']}/statistics.json"))
        made.append((manifest["digest"], told))
        assert told["train"]["label"]["counts"] == {"a": 2, "b": 2}
    assert made[:1] == made[1:]
