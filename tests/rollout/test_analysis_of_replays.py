"""Where there is too little traffic, or only an analysis runner can tell: what was replayed decides, or it says why not."""

from __future__ import annotations

import pytest
from judging import P99, RATE, TWICE, analysis, judged, measured, only, replayed, traffic

from heliostat.rollout.analysis import GRACE_SECONDS, enough_traffic, grace
from heliostat.rollout.limits import limit, name, sentence
from heliostat.rollout.model import Colour, Evidence, Window
from heliostat.spec.analysis import (
    Check,
    CustomCheck,
    Disagreement,
    Latency,
    Measurement,
    Measurements,
    ModelMetric,
    PredictionDistance,
    Source,
    SuccessRate,
    Verdict,
)
from heliostat.spec.latencies import Counts
from heliostat.testing.simulation.clients import counts


def test_no_traffic_never_passes_by_an_empty_metric() -> None:
    for late in (False, True):
        judgement = judged(RATE, Evidence(), late=late)
        assert judgement.verdict is (Verdict.INCONCLUSIVE if late else None), "it waits for the analysis runner a while"
    assert judged(RATE, Evidence((), Measurements(source=Source.GOLDEN, exhausted=True))).verdict is Verdict.INCONCLUSIVE


def test_too_little_traffic_is_made_up_by_what_was_replayed() -> None:
    judgement = judged(RATE, replayed(counts(200, 0)))
    assert judgement.verdict is Verdict.PASS
    assert only(judgement).source is Source.RECENT
    assert judged(RATE, replayed(counts(200, 10)), 5.0).beyond_chance


def test_the_golden_requests_decide_where_there_is_nothing_else() -> None:
    assert judged(RATE, replayed(counts(5, 0), source=Source.GOLDEN)).verdict is Verdict.PASS
    assert judged(RATE, replayed(counts(5, 1), source=Source.GOLDEN)).verdict is Verdict.FAIL
    assert judged(RATE, replayed(counts(5, 0), exhausted=False)).verdict is None, "more may come"


def test_few_requests_of_clients_that_fail_outweigh_what_was_replayed() -> None:
    whole = traffic(counts(60, 4))
    evidence = Evidence(whole.windows, Measurements(source=Source.RECENT, candidate=counts(500), exhausted=True))
    assert judged(RATE, evidence, 5.0).verdict is None
    assert judged(RATE, evidence).verdict is Verdict.FAIL


def test_a_candidate_that_answers_nothing_rightly_does_not_wait_for_the_number_of_requests() -> None:
    judgement = judged(RATE, Evidence((Window(2.0, green=counts(9, 9)),)), 2.0)
    assert judgement.verdict is Verdict.FAIL
    assert judgement.beyond_chance
    assert "few requests" in only(judgement).text
    assert judged(RATE, Evidence((Window(2.0, green=counts(2, 2)),)), 2.0).verdict is None, "two may be a coincidence"
    slow = Evidence((Window(2.0, green=counts(9, milliseconds=900)),))
    assert judged(P99, slow, 2.0).verdict is None, "the first answers may be slow for once"


def test_with_all_traffic_on_the_candidate_a_relative_limit_is_held_against_replays() -> None:
    whole = traffic(counts(5000, 0, 10))
    figures = Measurements(source=Source.RECENT, candidate=counts(200, 0, 100), serving=counts(200, 0, 10), exhausted=True)
    assert not enough_traffic(TWICE, whole, Colour.GREEN)
    assert judged(TWICE, whole).verdict is None
    judgement = judged(TWICE, Evidence(whole.windows, figures))
    assert judgement.verdict is Verdict.FAIL
    assert only(judgement).source is Source.RECENT
    assert judged(TWICE, whole, late=True).verdict is Verdict.INCONCLUSIVE
    assert "compare" in only(judged(TWICE, whole, late=True)).text


def test_real_failures_count_where_only_the_comparison_is_replayed() -> None:
    both = analysis(SuccessRate(at_least=0.99, margin=0.01))
    figures = Measurements(source=Source.RECENT, candidate=counts(200), serving=counts(200), exhausted=True)
    evidence = Evidence(traffic(counts(5000, 60)).windows, figures)
    assert judged(both, evidence).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (Disagreement(at_most=0.1), Measurement(candidate=0.05, rows=500), Measurement(candidate=0.11, rows=500)),
        (
            PredictionDistance(field="p", at_most=0.2),
            Measurement(candidate=0.2, rows=100),
            Measurement(candidate=0.21, rows=100),
        ),
        (
            ModelMetric(metric="roc_auc", field="p", limit=0.7),
            Measurement(candidate=0.7, rows=100),
            Measurement(candidate=0.69, rows=100),
        ),
        (
            ModelMetric(metric="log_loss", field="p", limit=0.7),
            Measurement(candidate=0.6, rows=100),
            Measurement(candidate=0.71, rows=100),
        ),
        (
            ModelMetric(metric="roc_auc", field="p", margin=0.05),
            Measurement(candidate=0.7, serving=0.75, rows=100),
            Measurement(candidate=0.7, serving=0.76, rows=100),
        ),
        (
            ModelMetric(metric="brier", field="p", margin=0.05),
            Measurement(candidate=0.25, serving=0.2, rows=100),
            Measurement(candidate=0.26, serving=0.2, rows=100),
        ),
        (CustomCheck(name="own", command=("x",)), Measurement(verdict=Verdict.PASS), Measurement(verdict=Verdict.FAIL)),
        (CustomCheck(name="own", command=("x",), at_least=3), Measurement(candidate=3), Measurement(candidate=2.9)),
        (CustomCheck(name="own", command=("x",), at_most=3), Measurement(candidate=3), Measurement(candidate=3.1)),
    ],
)
def test_what_the_analysis_runner_measured_is_held_against_its_limit(
    check: Check, good: Measurement, bad: Measurement
) -> None:
    wanted = analysis(check)
    assert judged(wanted, measured(good)).verdict is Verdict.PASS
    failing = judged(wanted, measured(bad))
    assert failing.verdict is Verdict.FAIL
    assert only(failing).limit == limit(check)
    assert judged(wanted, measured(good), 5.0).verdict is None, "nothing passes before its time"


def test_disagreement_beyond_chance_fails_at_once_and_distances_do_not() -> None:
    assert judged(analysis(Disagreement(at_most=0.1)), measured(Measurement(candidate=0.3, rows=200)), 1.0).beyond_chance
    far = measured(Measurement(candidate=0.9, rows=200))
    assert judged(analysis(PredictionDistance(field="p", at_most=0.1)), far, 1.0).verdict is None


def test_a_check_of_ones_own_that_fails_does_not_wait() -> None:
    own = analysis(CustomCheck(name="own", command=("x",)))
    assert judged(own, measured(Measurement(verdict=Verdict.FAIL)), 1.0).beyond_chance


@pytest.mark.parametrize(
    ("check", "figure", "text"),
    [
        (ModelMetric(metric="roc_auc", field="p", limit=0.7), Measurement(rows=0), "no row's truth is known yet"),
        (ModelMetric(metric="roc_auc", field="p", limit=0.7), Measurement(candidate=0.9, rows=60), "truth of 60 of 100"),
        (ModelMetric(metric="roc_auc", field="p", margin=0.1), Measurement(candidate=0.9, rows=100), "to compare with"),
        (Disagreement(at_most=0.1), Measurement(rows=0), "nothing to compare"),
        (CustomCheck(name="own", command=("x",)), Measurement(candidate=3), "neither `atLeast` nor `atMost`"),
        (CustomCheck(name="own", command=("x",), at_least=0.9), Measurement(), "no number for `atLeast` and `atMost`"),
        (
            CustomCheck(name="own", command=("x",)),
            Measurement(verdict=Verdict.INCONCLUSIVE, text="exit code 7"),
            "exit code 7",
        ),
    ],
)
def test_what_cannot_be_judged_says_why(check: Check, figure: Measurement, text: str) -> None:
    judgement = judged(analysis(check), measured(figure))
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert text in only(judgement).text


@pytest.mark.parametrize(
    "check",
    [PredictionDistance(field="p", distance="wasserstein", at_most=9), ModelMetric(metric="roc_auc", field="p", margin=0.1)],
)
def test_too_much_without_an_answer_fails_once_enough_rows_were_looked_at(check: Check) -> None:
    figure = Measurement(rows=100, verdict=Verdict.FAIL, text="40 of 100 rows have no number")
    judgement = judged(analysis(check), measured(figure))
    assert judgement.verdict is Verdict.FAIL
    assert (only(judgement).candidate, only(judgement).text) == (None, "40 of 100 rows have no number")
    assert judged(analysis(check), measured(figure), 5.0).verdict is None, "more answers may come"
    few = measured(figure.model_copy(update={"rows": 99}), exhausted=False)
    assert judged(analysis(check), few, late=True).verdict is Verdict.INCONCLUSIVE


def test_one_failure_is_enough_and_nothing_inconclusive_passes() -> None:
    two = analysis(SuccessRate(at_least=0.99), ModelMetric(metric="roc_auc", field="p", limit=0.7))
    figures = Measurements(source=Source.RECENT, checks={1: Measurement(rows=0)}, exhausted=True)
    assert judged(two, Evidence(traffic(counts(1000)).windows, figures)).verdict is Verdict.INCONCLUSIVE
    assert judged(two, Evidence(traffic(counts(1000, 100)).windows, figures)).verdict is Verdict.FAIL


def test_an_analysis_runner_that_cannot_go_on_is_waited_for_as_long_as_the_grace_lasts() -> None:
    away = replayed(Counts(), exhausted=False, error="the store is away")
    assert judged(RATE, away).verdict is None, "it may come back"
    judgement = judged(RATE, away, late=True)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "the store is away" in only(judgement).text
    custom = analysis(CustomCheck(name="own", command=("x",), timeout_seconds=90))
    assert judged(custom, measured(None, error="gone")).verdict is None
    assert judged(custom, measured(None)).verdict is None, "it may still run"
    assert grace(custom) == GRACE_SECONDS + 90


def test_checks_are_told_in_words() -> None:
    checks: list[Check] = [
        SuccessRate(at_least=0.99, margin=0.01),
        SuccessRate(margin=0.0),
        Latency(quantile=0.999, at_most_ms=50, times=1.5),
        Disagreement(at_most=0.1, field="late", tolerance=0.01),
        PredictionDistance(field="p", distance="psi", at_most=0.2),
        ModelMetric(metric="log_loss", field="p", limit=0.5, margin=0.0),
        CustomCheck(name="own", command=("x",)),
    ]
    assert sentence(analysis(*checks)) == (
        "success rate: at least 99 % and at most 1 % lower than what serves; "
        "success rate: not lower than what serves; "
        "latency p99.9: at most 50 ms and at most 1.5 times what serves; "
        "disagreement of late: at most 10 % (numbers 0.01 apart agree); "
        "psi distance of p: at most 0.2; "
        "log_loss of p: at most 0.5 and not worse than what serves; "
        "own: its own verdict"
    )
    assert len({name(check) for check in checks}) == 6
