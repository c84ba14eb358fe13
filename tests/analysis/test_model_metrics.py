"""The model's own metric beside the traffic: of tasks whose prediction is several numbers, and by a function of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from replicas import Replica, replicas
from sklearn import metrics as sk
from test_analysis_runner import package

from heliostat.analysis import custom_metrics
from heliostat.analysis.answers import Pair
from heliostat.analysis.client import Reply, Request
from heliostat.analysis.comparisons import comparison
from heliostat.analysis.ground_truth import GroundTruth
from heliostat.analysis.model_metrics import Metrics
from heliostat.analysis.state import _label_form
from heliostat.ml.ground_truth import Label, record
from heliostat.ml.label_files import LabelForm
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.analysis import Analysis, Verdict
from heliostat.spec.analysis_runner import AnalysisTask
from heliostat.spec.problem import CustomMetric, Problem
from heliostat.spec.tasks import Embedding, Free, Multiclass, Multilabel, Quantiles, Ranking, Regression
from heliostat.systems.errors import PermanentError

CLASSES = ("ant", "bee", "cat")
PETS = Problem(task=Multiclass(classes=CLASSES))
RANDOM = np.random.default_rng(11)
LABELS = RANDOM.integers(0, 3, 30)
OURS, THEIRS = RANDOM.dirichlet([1, 1, 1], 30), RANDOM.dirichlet([1, 1, 1], 30)


@pytest.fixture
def truth(tmp_path: Path) -> GroundTruth:
    found = GroundTruth(StoreAddress(uri=f"file://{tmp_path}"), "pets")
    found.labels.update({("r", row): float(label) for row, label in enumerate(LABELS)})
    return found


def made(truth: GroundTruth, metric: str, of: Problem, **check: Any) -> Metrics:
    given = {"kind": "model-metric", "metric": metric, "field": "p", "margin": 0.1, "of": of.model_dump(mode="json"), **check}
    [parsed] = Analysis.model_validate({"checks": [given]}).checks
    found = comparison(parsed, truth)
    assert isinstance(found, Metrics)
    return found


def reply(rows: list[Any]) -> Reply:
    return Reply(200, json.dumps({"rows": rows}).encode(), 1.0)


def pair(ours: list[Any], theirs: list[Any] | None = None) -> Pair:
    body = json.dumps({"rows": [{}] * len(ours)}).encode()
    return Pair(Request("r", body), reply(ours), reply(theirs) if theirs is not None else None)


def listed(shares: Any) -> list[Any]:
    return [{"p": row} for row in shares.tolist()]


def named(shares: Any) -> list[Any]:
    return [{"p": dict(zip(CLASSES, row, strict=True))} for row in shares.tolist()]


@pytest.mark.parametrize("answers", [listed, named], ids=["a list", "an object by name"])
def test_both_versions_probabilities_are_measured_against_what_is_known(truth: GroundTruth, answers: Any) -> None:
    check = made(truth, "log_loss", PETS)
    check.add(pair(answers(OURS), answers(THEIRS)))
    figure = check.figure()
    assert figure.rows == 30
    assert figure.candidate == pytest.approx(sk.log_loss(LABELS, OURS))
    assert figure.serving == pytest.approx(sk.log_loss(LABELS, THEIRS))


def test_a_class_alone_is_enough_where_the_metric_needs_no_probability(truth: GroundTruth) -> None:
    told = [{"p": CLASSES[place]} for place in OURS.argmax(axis=1)]
    check = made(truth, "f1_macro", PETS)
    check.add(pair(told))
    assert check.figure().candidate == pytest.approx(sk.f1_score(LABELS, OURS.argmax(axis=1), average="macro"))
    check = made(truth, "log_loss", PETS)
    check.add(pair(told))
    figure = check.figure()
    assert (figure.candidate, figure.verdict) == (None, Verdict.FAIL)
    assert "a list of 3 finite numbers, or an object with one for each of ant, bee, cat is needed" in figure.text


def test_an_answer_that_is_no_prediction_is_the_candidate_s_fault(truth: GroundTruth) -> None:
    check = made(truth, "accuracy", PETS)
    check.add(pair([{"p": [0.5, 0.5]}] * 2 + listed(OURS)[2:], listed(THEIRS)))
    figure = check.figure()
    assert figure.verdict is Verdict.FAIL
    assert "2 of 30 rows have no number from the candidate, e.g. the field 'p' is [0.5, 0.5]" in figure.text
    assert "or one of the classes" in figure.text


def test_probabilities_that_do_not_sum_to_one_are_no_figure(truth: GroundTruth) -> None:
    check = made(truth, "accuracy", PETS)
    check.add(pair(listed(OURS / 2)))
    with pytest.raises(PermanentError, match="do not sum to 1"):  # `figures` tells it as this check's text
        check.figure()


def test_a_label_that_is_no_class_is_told_and_not_taken_for_another(truth: GroundTruth) -> None:
    truth.labels["r", 0] = 7.0
    check = made(truth, "accuracy", PETS)
    check.add(pair(listed(OURS)))
    figure = check.figure()
    assert figure.candidate is None
    assert (
        "the ground truth is 7, none of the task's classes 0 to 2 (declare them, or leave the rows out) in 1 rows"
        in figure.text
    )


def test_quantiles_are_measured_by_level(truth: GroundTruth) -> None:
    levels = Problem(task=Quantiles(levels=(0.1, 0.9)))
    found = np.stack([LABELS - 0.5, LABELS + 0.5], axis=1)
    check = made(truth, "mean_pinball_loss_0.9", levels)
    check.add(pair(listed(found)))
    assert check.figure().candidate == pytest.approx(sk.mean_pinball_loss(LABELS, found[:, 1], alpha=0.9))
    by_name = made(truth, "mean_pinball_loss_0.9", levels)
    by_name.add(pair([{"p": {"q0.1": low, "q0.9": high}} for low, high in found.tolist()]))
    assert by_name.figure() == check.figure()


def test_a_declared_regression_is_judged_as_numbers_though_its_labels_are_0_and_1(truth: GroundTruth) -> None:
    truth.labels.update({("r", row): float(row % 2) for row in range(30)})
    check = made(truth, "mean_absolute_error", Problem(task=Regression()))
    check.add(pair([{"p": 0.5}] * 30))
    assert check.figure().candidate == 0.5


def test_labels_may_be_called_by_their_class(tmp_path: Path) -> None:
    address = StoreAddress(uri=f"file://{tmp_path}")
    record(address, "pets", [Label("a", "cat"), Label("b", "ant", row=1), Label("c", 1)])
    (tmp_path / "ground-truth/pets/more.csv").write_text("request_id,label\nd,bee\ne,dog\nf,\n")
    found = GroundTruth(address, "pets", form=LabelForm(classes=CLASSES))
    found.refresh()
    assert found.labels == {("a", 0): 2.0, ("b", 1): 0.0, ("c", 0): 1.0, ("d", 0): 1.0}
    assert 'the label "dog" is no finite number' in found.left_out
    with pytest.raises(PermanentError, match="a finite number, or a class"):
        record(address, "pets", [Label("a", "")])


def test_an_analysis_knows_the_classes_of_its_checks() -> None:
    version: Any = {
        "digest": "d" * 64, "label": "1", "codeUri": "x", "contract": "a:B", "modelUri": "m", "trackingUri": "t",
        "store": {"uri": "file:///tmp/x"}, "predictionLog": {}, "limits": {},
    }  # fmt: skip
    check = {"kind": "model-metric", "metric": "accuracy", "field": "p", "limit": 0.5}
    tasks = []
    for of in ({}, {"of": PETS.model_dump(mode="json")}):
        analysis = {"checks": [{**check, **of}]}
        given = {"application": "pets", "analysis": analysis, "candidate": version, "serving": None}
        tasks.append(AnalysisTask.model_validate(given))
    assert [_label_form(task).classes for task in tasks] == [(), CLASSES]


OWN = """
import numpy as np

def missed(labels, predictions):
    return float(np.abs(labels - predictions).sum())

def crashes(labels, predictions):
    raise RuntimeError("no price list")

def endless(labels, predictions):
    return float("nan")
"""


def own(name: str) -> Problem:
    return Problem(task=Free(), metrics=(CustomMetric(name=name, function=f"costs:{name}", higher_is_better=False),))


async def test_a_metric_of_one_s_own_is_computed_for_both_versions_outside_of_the_runner(
    truth: GroundTruth, tmp_path: Path
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "costs.py").write_text(OWN)
    for name, expected in (("missed", None), ("crashes", "no price list"), ("endless", "finite numbers are needed")):
        check = made(truth, name, own(name))
        check.add(pair([{"p": float(label) + 1} for label in LABELS], [{"p": float(label) - 2} for label in LABELS]))
        assert "has not been called yet" in check.figure().text
        assert check.custom is not None
        check.measured_outside = await custom_metrics.measure(check, check.custom, code)
        figure = check.figure()
        assert figure.rows == 30
        if expected is None:
            assert (figure.candidate, figure.serving) == (30.0, 60.0)
        else:
            assert figure.candidate is None
            assert expected in figure.text


def test_a_runner_measures_by_a_function_of_the_candidate_s_code(start: Any, store: StoreAddress) -> None:
    code_uri = package(store, "costs.py", OWN)
    record(store, "halves", [Label(f"r-{number}", 1) for number in range(20)])
    metric = CustomMetric(name="missed", function="costs:missed", higher_is_better=False)
    of = Problem(task=Regression(), metrics=(metric,)).model_dump(mode="json")
    check = {"kind": "model-metric", "metric": "missed", "field": "score", "margin": 0.1, "of": of}
    with replicas(Replica(), Replica(version="2-new")) as (old, new):
        old.ask(20)
        runner = start(check, code_uri=code_uri, seconds=60).tell([new.url], [old.url])
        figures = runner.until(lambda figures: 0 in figures.checks and figures.checks[0].candidate is not None)
        assert figures.checks[0].candidate == pytest.approx(figures.checks[0].serving)


SHAPES = Problem(task=Multilabel(labels=("red", "round", "large")))
FLAGS = RANDOM.integers(0, 2, (30, 3))
CHANCES, OTHER_CHANCES = RANDOM.random((30, 3)), RANDOM.random((30, 3))


def with_labels(truth: GroundTruth, labels: Any) -> GroundTruth:
    truth.labels.clear()
    truth.labels.update({("r", row): tuple(map(float, label)) for row, label in enumerate(labels)})
    return truth


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("average_precision", lambda p: sk.average_precision_score(FLAGS, p)),
        ("roc_auc", lambda p: sk.roc_auc_score(FLAGS, p)),
        ("hamming_loss", lambda p: sk.hamming_loss(FLAGS, p >= 0.5)),
        ("f1_samples", lambda p: sk.f1_score(FLAGS, p >= 0.5, average="samples", zero_division=0)),
    ],
)
def test_several_labels_at_once_are_measured_as_their_metric_is(truth: GroundTruth, metric: str, expected: Any) -> None:
    check = made(with_labels(truth, FLAGS), metric, SHAPES)
    check.add(pair(listed(CHANCES), listed(OTHER_CHANCES)))
    figure = check.figure()
    assert figure.rows == 30
    assert figure.candidate == pytest.approx(expected(CHANCES))
    assert figure.serving == pytest.approx(expected(OTHER_CHANCES))


def test_labels_that_are_told_by_name_are_enough_where_no_probability_is_needed(truth: GroundTruth) -> None:
    names = np.array(["red", "round", "large"])
    told = [{"p": names[row].tolist()} for row in CHANCES >= 0.5]
    check = made(with_labels(truth, FLAGS), "hamming_loss", SHAPES)
    check.add(pair(told))
    assert check.figure().candidate == pytest.approx(sk.hamming_loss(FLAGS, CHANCES >= 0.5))
    check = made(truth, "roc_auc", SHAPES)
    check.add(pair(told))
    assert check.figure().verdict is Verdict.FAIL


def test_vectors_are_measured_against_vectors(truth: GroundTruth) -> None:
    vectors, ours, theirs = RANDOM.normal(size=(3, 30, 4))
    problem = Problem(task=Embedding(dimensions=4))
    check = made(with_labels(truth, vectors), "cosine_similarity", problem)
    check.add(pair(listed(ours), listed(theirs)))
    figure = check.figure()
    cosine = (vectors * ours).sum(1) / np.linalg.norm(vectors, axis=1) / np.linalg.norm(ours, axis=1)
    assert figure.candidate == pytest.approx(cosine.mean())
    check = made(truth, "mean_squared_error", problem)
    check.add(pair(listed(ours), listed(theirs)))
    assert check.figure().serving == pytest.approx(((vectors - theirs) ** 2).mean())


def ranked(truth: GroundTruth, requests: int, rows: int) -> Any:
    """Relevances by request and row, and both versions' scores."""
    relevance, ours, theirs = RANDOM.integers(0, 4, (requests, rows)), *RANDOM.random((2, requests, rows))
    truth.labels.clear()
    truth.labels.update({(f"r{n}", row): float(relevance[n, row]) for n in range(requests) for row in range(rows)})
    return relevance, ours, theirs


def order(number: int, ours: Any, theirs: Any = None, queries: Any = None) -> Pair:
    body = json.dumps({"rows": [{"query": query} if query else {} for query in (queries or [None] * len(ours))]}).encode()
    return Pair(Request(f"r{number}", body), reply(listed(ours)), reply(listed(theirs)) if theirs is not None else None)


@pytest.mark.parametrize(("metric", "k"), [("ndcg", None), ("ndcg_at_5", 5)])
def test_the_rows_of_a_request_are_ranked_against_each_other(truth: GroundTruth, metric: str, k: int | None) -> None:
    relevance, ours, theirs = ranked(truth, 12, 8)
    check = made(truth, metric, Problem(task=Ranking(group="query")))
    for number in range(12):
        check.add(order(number, ours[number], theirs[number]))
    figure = check.figure()
    assert figure.rows == 96
    assert figure.candidate == pytest.approx(sk.ndcg_score(relevance, ours, k=k))
    assert figure.serving == pytest.approx(sk.ndcg_score(relevance, theirs, k=k))
    assert "of 12 groups" in figure.text


def test_rows_of_one_request_that_name_their_groups_are_ranked_within_them(truth: GroundTruth) -> None:
    relevance, ours, _ = ranked(truth, 1, 8)
    check = made(truth, "ndcg", Problem(task=Ranking(group="query")), margin=None, limit=0.1)
    check.add(order(0, ours[0], queries=["a", "b"] * 4))
    expected = np.mean([sk.ndcg_score(relevance[:, start::2], ours[:, start::2]) for start in (0, 1)])
    assert check.figure().candidate == pytest.approx(expected)


def test_what_serves_is_compared_on_the_requests_that_it_answered_alone(truth: GroundTruth) -> None:
    relevance, ours, theirs = ranked(truth, 2, 8)
    check = made(truth, "ndcg", Problem(task=Ranking(group="query")))
    check.add(order(0, ours[0]))
    check.add(order(1, ours[1], theirs[1]))
    figure = check.figure()
    assert figure.rows == 8
    assert figure.candidate == pytest.approx(sk.ndcg_score(relevance[1:], ours[1:]))


def test_requests_that_say_nothing_of_an_order_are_no_figure_and_negative_relevances_are_told(truth: GroundTruth) -> None:
    _, ours, theirs = ranked(truth, 2, 1)
    check = made(truth, "ndcg", Problem(task=Ranking(group="query")))
    check.add(order(0, ours[0], theirs[0]))
    assert check.figure().candidate is None
    assert "no request says anything of an order: of 1 groups" in check.figure().text
    _, ours, theirs = ranked(truth, 1, 4)
    truth.labels["r0", 2] = -1.0
    check.add(order(0, ours[0], theirs[0]))
    figure = check.figure()
    assert figure.candidate is None
    assert "below 0, and a relevance is 0 or more, in 1 rows" in figure.text


@pytest.mark.parametrize("name", ["labels.jsonl", "labels.csv"])
def test_labels_that_are_lists_are_read_from_files(tmp_path: Path, name: str) -> None:
    lines: dict[str, Any] = {
        "a": ["red", "large"], "b": [0, 1, 0], "c": [], "d": ["blue"], "e": [0, 2, 0], "f": None, "g": [1],
    }  # fmt: skip
    folder = tmp_path / "ground-truth" / "shapes"
    folder.mkdir(parents=True)
    if name.endswith("csv"):
        written = [
            "request_id\tlabel",
            *(f"{key}\t{json.dumps(label) if label is not None else ''}" for key, label in lines.items()),
        ]
        (folder / "labels.tsv").write_text("\n".join(written))
    else:
        (folder / name).write_text("\n".join(json.dumps({"request_id": key, "label": label}) for key, label in lines.items()))
    assert SHAPES.task is not None
    found = GroundTruth(StoreAddress(uri=f"file://{tmp_path}"), "shapes", form=LabelForm.of(SHAPES.task))
    found.refresh()
    assert found.labels == {("a", 0): (1.0, 0.0, 1.0), ("b", 0): (0.0, 1.0, 0.0), ("c", 0): (0.0, 0.0, 0.0)}
    assert "3 of 7 lines are no labels" in found.left_out


def test_recorded_lists_are_read_back(tmp_path: Path) -> None:
    address = StoreAddress(uri=f"file://{tmp_path}")
    record(address, "shapes", [Label("a", ("red", "large")), Label("b", ())])
    found = GroundTruth(address, "shapes", form=LabelForm.of(SHAPES.task))
    found.refresh()
    assert found.labels == {("a", 0): (1.0, 0.0, 1.0), ("b", 0): (0.0, 0.0, 0.0)}
    record(address, "vectors", [Label("a", (0.5, 1.0))])
    vectors = GroundTruth(address, "vectors", form=LabelForm.of(Embedding(dimensions=2)))
    vectors.refresh()
    assert vectors.labels == {("a", 0): (0.5, 1.0)}
    with pytest.raises(PermanentError, match="a tuple of either"):
        record(address, "shapes", [Label("a", ("red", float("nan")))])  # type: ignore[arg-type]


def test_of_rows_of_many_numbers_fewer_are_kept() -> None:
    from heliostat.analysis import reservoir

    few = reservoir.Reservoir(columns=reservoir.MOST_NUMBERS // 10)
    assert few._most == 10
    assert reservoir.Reservoir(columns=3)._most == reservoir.MOST_KEPT


def test_labels_of_a_review_count_by_one_over_their_chance_and_the_verdict_says_so(tmp_path: Path) -> None:
    """4,000 answers, of which people saw all 200 that are wrong and a twentieth of the others."""
    wrong = np.arange(4_000) < 200
    shown = wrong | (np.random.default_rng(0).random(4_000) < 0.05)
    answers = [{"p": 8.0 * each} for each in wrong]

    def figure(weighed: bool, margin: float = 1.0) -> Any:
        found = GroundTruth(StoreAddress(uri=f"file://{tmp_path}"), "pets")
        found.labels.update({("r", row): 0.0 for row in np.flatnonzero(shown).tolist()})
        if weighed:
            found.weights.update({("r", row): 1.0 if wrong[row] else 20.0 for row in np.flatnonzero(shown).tolist()})
        metrics = made(found, "mean_absolute_error", Problem(task=Regression()))
        metrics.add(pair(answers, [{"p": 0.4}] * 4_000))
        return metrics.figure()

    alike, weighed = figure(weighed=False), figure(weighed=True)
    assert alike.candidate == pytest.approx(8 * 200 / shown.sum()) and alike.candidate > 3, "no figure of all answers"
    assert weighed.candidate == pytest.approx(0.4, abs=0.05) and weighed.serving == pytest.approx(0.4)
    assert weighed.rows == alike.rows == shown.sum()
    assert f"of {shown.sum()} labels that came of a review alone each counts by one over the chance" in weighed.text
    assert "review" not in alike.text


def test_a_ranking_says_that_its_labels_of_a_review_count_as_any(truth: GroundTruth) -> None:
    relevance, ours, _ = ranked(truth, 1, 8)
    check = made(truth, "ndcg", Problem(task=Ranking(group="query")), margin=None, limit=0.1)
    truth.weights.update({("r0", row): 5.0 for row in range(4)})
    check.add(order(0, ours[0]))
    assert check.figure().candidate == pytest.approx(sk.ndcg_score(relevance, ours))
    assert "4 labels came of a review alone and count as any" in check.figure().text
