from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from sklearn.metrics import mean_absolute_error, roc_auc_score

from heliostat.monitoring.intervals import Interval, bootstrap, wilson
from heliostat.monitoring.quality import quality
from heliostat.monitoring.sampling import Labelled, Sample
from heliostat.spec.problem import CustomMetric, Problem
from heliostat.spec.tasks import Binary, Multiclass, Ranking, Regression
from heliostat.spec.watches import QualityWatch
from tests.monitoring.logs import predictions

RANDOM = np.random.default_rng(3)


def rows_of(scores, truth, requests=None, **columns):
    scores, truth = np.asarray(scores, dtype=float), np.asarray(truth, dtype=float)
    requests = np.arange(len(truth)) if requests is None else requests
    return Labelled(truth, scores, np.asarray(requests, dtype=np.uint64), {k: pa.array(v) for k, v in columns.items()})


def binary(rows, seed=0, **columns):
    random = np.random.default_rng(seed)
    scores = random.beta(2, 5, rows)
    return rows_of(scores, random.random(rows) < scores, **columns)


def watch(metric, **given):
    return QualityWatch(metric=metric, limit=0.5, min_rows=30, **given)


def test_a_metric_of_the_task_is_that_of_scikit_learn_and_its_interval_is_around_it():
    labelled = binary(1_000)
    found = quality(Problem(task=Binary()), labelled, watch("roc_auc")).overall
    assert found.interval.value == pytest.approx(roc_auc_score(labelled.labels, labelled.predictions))
    assert found.interval.low < found.interval.value < found.interval.high and found.reason == ""


def test_the_interval_of_a_share_is_that_of_the_binomial():
    for rows in (2_000, 200_000):  # below and above what is drawn from
        labelled = binary(rows)
        found = quality(Problem(task=Binary()), labelled, watch("accuracy")).overall.interval
        expected = 1.96 * np.sqrt(found.value * (1 - found.value) / rows)
        assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.25)


def test_the_interval_of_an_area_is_that_of_delong():
    labelled = binary(20_000)
    ones, zeros = labelled.predictions[labelled.labels == 1], labelled.predictions[labelled.labels == 0]
    above = (np.searchsorted(np.sort(zeros), ones) / len(zeros), 1 - np.searchsorted(np.sort(ones), zeros) / len(ones))
    expected = 1.96 * np.sqrt(above[0].var() / len(ones) + above[1].var() / len(zeros))
    found = quality(Problem(task=Binary()), labelled, watch("roc_auc")).overall.interval
    assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.25)


def test_rows_of_one_request_count_as_one_where_chance_is_reckoned():
    base = RANDOM.normal(size=500)
    errors = np.repeat(base, 20)  # twenty rows a request, all as wrong as each other
    alone = rows_of(errors, np.zeros(10_000))
    together = rows_of(errors, np.zeros(10_000), np.repeat(np.arange(500), 20))
    widths = []
    for labelled in (alone, together):
        found = quality(Problem(task=Regression()), labelled, watch("mean_absolute_error")).overall.interval
        assert found.value == pytest.approx(mean_absolute_error(labelled.labels, labelled.predictions))
        widths.append(found.high - found.low)
    assert widths[1] / widths[0] == pytest.approx(np.sqrt(20), rel=0.2)


def test_slices_are_told_apart_and_share_what_is_left_to_chance():
    carriers = np.where(np.arange(3_000) % 3 == 0, "UA", "AA")
    labelled = binary(3_000, carrier=[*carriers[:-20], *["ZZ"] * 19, None])
    found = quality(Problem(task=Binary()), labelled, watch("accuracy", slices=("carrier", "gone")))
    assert list(found.slices["carrier"]) == ["AA", "UA"] and found.small == {"carrier": 2, "gone": 0}
    ua = labelled.labels[:-20][carriers[:-20] == "UA"] == (labelled.predictions[:-20][carriers[:-20] == "UA"] >= 0.5)
    slice_ = found.slices["carrier"]["UA"]
    assert slice_.interval.value == pytest.approx(ua.mean()) and slice_.rows == len(ua)
    alone = 1.96 * np.sqrt(ua.mean() * (1 - ua.mean()) / len(ua))
    assert (slice_.interval.high - slice_.interval.low) / 2 == pytest.approx(alone * 2.24 / 1.96, rel=0.25)


@pytest.mark.parametrize(
    ("labelled", "metric", "reason"),
    [
        (binary(0), "roc_auc", "0 labelled rows are fewer"),
        (binary(29), "roc_auc", "29 labelled rows are fewer than the 30 that it takes"),
        (rows_of(np.full(50, 0.5), np.ones(50)), "roc_auc", "all 50 labels are alike"),
        (rows_of(np.full(50, 7.0), np.ones(50)), "accuracy", "no probabilities"),
    ],
)
def test_what_cannot_be_told_has_its_reason(labelled, metric, reason):
    found = quality(Problem(task=Binary()), labelled, watch(metric, slices=("carrier",)))
    assert found.overall.interval is None and reason in found.overall.reason and found.slices == {}


def test_a_workload_without_a_task_has_the_metrics_that_its_labels_allow():
    assert quality(Problem(), binary(100), watch("roc_auc")).overall.reason == ""
    numbers = rows_of(RANDOM.normal(size=100), RANDOM.normal(size=100))
    assert quality(Problem(), numbers, watch("mean_absolute_error")).overall.reason == ""
    assert "the task regression, which has no roc_auc" in quality(Problem(), numbers, watch("roc_auc")).overall.reason


def test_several_classes_are_measured_with_all_their_probabilities():
    chances = RANDOM.dirichlet([2, 1, 1], 600)
    truth = (RANDOM.random((600, 1)) > chances.cumsum(axis=1)).sum(axis=1)
    found = quality(Problem(task=Multiclass(classes=("a", "b", "c"))), rows_of(chances, truth), watch("accuracy"))
    assert found.overall.interval.value == pytest.approx((chances.argmax(axis=1) == truth).mean())


def test_a_ranking_is_drawn_group_by_group_and_needs_to_know_the_groups():
    groups, relevance = np.repeat(np.arange(40), 5), RANDOM.integers(0, 3, 200)
    problem = Problem(task=Ranking(group="query"))
    found = quality(problem, rows_of(RANDOM.random(200), relevance, query=groups), watch("ndcg")).overall
    assert 0 < found.interval.low < found.interval.value < found.interval.high < 1
    assert (
        "the log has no input 'query'"
        in quality(problem, rows_of(RANDOM.random(200), relevance), watch("ndcg")).overall.reason
    )


def test_a_metric_of_the_workloads_own_is_measured_as_well():
    own = CustomMetric(name="median_error", function="tests.monitoring.test_late_quality:median_error", higher_is_better=False)
    labelled = rows_of(RANDOM.normal(size=200), np.zeros(200))
    found = quality(Problem(task=Regression(), metrics=(own,)), labelled, watch("median_error")).overall
    assert found.interval.value == pytest.approx(np.median(np.abs(labelled.predictions)))


def test_a_metric_of_the_workloads_own_that_fails_costs_itself_alone():
    own = CustomMetric(name="broken", function="tests.monitoring.test_late_quality:broken", higher_is_better=False)
    found = quality(Problem(task=Binary(), metrics=(own,)), binary(100), watch("broken")).overall
    assert found.interval is None and "failed: ZeroDivisionError" in found.reason


def broken(labels, scores):
    return 1 / 0


def median_error(labels, scores):
    return np.median(np.abs(labels - scores))


def test_a_limit_is_beyond_an_interval_only_where_all_of_it_is():
    found = Interval(value=0.6, low=0.55, high=0.65, rows=10)
    assert found.is_beyond(0.7, above=False) and not found.is_beyond(0.62, above=False)
    assert found.is_beyond(0.5, above=True) and not found.is_beyond(0.57, above=True)
    assert Interval(value=0.6, rows=10).is_beyond(0.61, above=False)


def test_a_figure_that_is_rarely_defined_has_no_interval():
    rare = rows_of(RANDOM.random(400), np.arange(400) == 7)
    found = quality(Problem(task=Binary()), rare, watch("roc_auc")).overall.interval
    assert found.low is None and found.high is None
    assert bootstrap(lambda rows: 1.0, np.array([5, 5], dtype=np.uint64), 1.0, 0.95).low is None, "one request is no sample"


def test_wilsons_interval_is_that_of_scipy():
    low, high = wilson(np.array([0.0, 0.3]), np.array([10, 50]), 0.95)
    for place, (hits, rows) in enumerate([(0, 10), (15, 50)]):
        expected = stats.binomtest(hits, rows).proportion_ci(0.95, method="wilson")
        assert (low[place], high[place]) == pytest.approx((expected.low, expected.high))


def joined(ids, scores, labels, **columns):
    table = predictions(ids, prediction=pa.array(scores, pa.float64()), **columns)
    return table.append_column("label", pa.array(labels, pa.float64()))


def test_a_sample_has_all_rows_while_they_fit_and_leaves_out_what_has_no_label_or_no_prediction():
    sample = Sample(Binary(), ("carrier",))
    sample.add(joined(["a", "b", "c"], [0.1, None, 0.3], [1, 1, None], carrier=pa.array(["UA", "AA", "AA"])))
    sample.add(joined(["d"], [0.4], [0], carrier=pa.array([7])))
    sample.add(joined(["e"], [0.4], [None], carrier=pa.array([7])))
    found = sample.labelled()
    assert found.predictions.tolist() == [0.1, 0.4] and found.labels.tolist() == [1, 0] and found.share == 1
    assert (sample.rows, sample.unpredicted) == (2, 1)
    assert found.columns["carrier"].to_pylist() == ["UA", "7"], "a column that changed its type is text"
    assert len(Sample(Multiclass(classes=("a", "b"))).labelled()) == 0


def test_a_sample_of_too_many_rows_is_an_even_share_of_whole_requests_whatever_came_first():
    ids = [f"request-{number // 2}" for number in range(8_000)]
    whole = joined(ids, np.arange(8_000) / 8_000, np.arange(8_000) % 2, carrier=pa.array(["UA"] * 8_000))
    kept = []
    for tables in (
        [whole],
        [whole.slice(5_000), whole.slice(0, 5_000)],
        [whole.slice(n, 1_000) for n in range(0, 8_000, 1_000)],
    ):
        sample = Sample(Binary(), ("carrier",), most=3_000)
        for table in tables:
            sample.add(table)
        found = sample.labelled()
        kept.append(sorted(found.predictions.tolist()))
        assert sample.rows == 8_000 and found.share == 0.25
        assert (np.unique(found.requests, return_counts=True)[1] == 2).all()
    assert kept[0] == kept[1] == kept[2] and 1_700 < len(kept[0]) < 2_300
    assert np.mean(kept[0]) == pytest.approx(0.5, abs=0.03)
