"""When a candidate passes, fails, or cannot be judged."""

from __future__ import annotations

import random

import pytest
from rollout_traffic import counts

from heliostat.rollout.analysis import GRACE_SECONDS, Judgement, enough_traffic, grace, judge
from heliostat.rollout.chance import by_chance, doubt_of_a_look, slower_than, wilson
from heliostat.rollout.limits import limit, name, sentence, told
from heliostat.rollout.model import Colour, Evidence, Window
from heliostat.spec.analysis import (
    Analysis,
    Check,
    Custom,
    Disagreement,
    Figure,
    Figures,
    Finding,
    Latency,
    ModelMetric,
    PredictionDistance,
    Source,
    SuccessRate,
    Verdict,
)
from heliostat.spec.latencies import BOUNDS_MS, BUCKETS, Counts, bucket_of


def analysis(*checks: Check, seconds: float = 30, least: int = 100) -> Analysis:
    return Analysis(checks=checks, seconds=seconds, min_requests=least)


def traffic(candidate: Counts, serving: Counts | None = None, seconds: float = 30.0) -> Evidence:
    return Evidence((Window(seconds, blue=serving or Counts(), green=candidate),))


def judged(wanted: Analysis, evidence: Evidence, elapsed: float = 30.0, late: bool = False) -> Judgement:
    return judge(wanted, evidence, Colour.GREEN, elapsed, late)


def only(judgement: Judgement) -> Finding:
    (finding,) = judgement.findings
    return finding


def replayed(candidate: Counts, serving: Counts | None = None, exhausted: bool = True, **more: object) -> Evidence:
    figures = {"source": Source.RECENT, "candidate": candidate, "serving": serving or Counts(), "exhausted": exhausted, **more}
    return Evidence((Window(30.0),), Figures.model_validate(figures))


def measured(figure: Figure | None, exhausted: bool = True, error: str = "") -> Evidence:
    checks = {0: figure} if figure is not None else {}
    return Evidence((), Figures(source=Source.RECENT, checks=checks, exhausted=exhausted, error=error))


RATE = analysis(SuccessRate(at_least=0.99))
RELATIVE = analysis(SuccessRate(margin=0.01))
P99 = analysis(Latency(at_most_ms=50))
TWICE = analysis(Latency(times=2.0))


def test_a_good_candidate_passes_once_its_time_is_over_and_not_before() -> None:
    evidence = traffic(counts(1000, 5))
    early = judged(RATE, evidence, 29.9)
    assert early.verdict is None
    assert only(early).verdict is Verdict.PASS, "so far"
    assert judged(RATE, evidence).verdict is Verdict.PASS
    finding = only(judged(RATE, evidence))
    assert (finding.candidate, finding.requests, finding.source) == (0.995, 1000, Source.TRAFFIC)
    assert told(finding) == "success rate 99.5 %, what serves has 100 % (at least 99 %; 1000 requests, traffic)" or (
        told(finding) == "success rate 99.5 % (at least 99 %; 1000 requests, traffic)"
    )


def test_what_chance_cannot_explain_fails_at_once() -> None:
    judgement = judged(RATE, traffic(counts(200, 10), seconds=2.0), 2.0)
    assert judgement.verdict is Verdict.FAIL
    assert judgement.beyond_chance
    assert only(judgement).verdict is Verdict.FAIL


def test_what_may_be_chance_fails_only_at_the_end() -> None:
    # 2 % of 100 is above the limit of 1 %, and nothing unusual for a candidate at 1 %.
    evidence = traffic(counts(100, 2))
    early = judged(RATE, evidence, 10.0)
    assert early.verdict is None
    assert only(early).verdict is Verdict.INCONCLUSIVE
    assert "chance" in only(early).text
    late = judged(RATE, evidence)
    assert late.verdict is Verdict.FAIL
    assert not late.beyond_chance


def test_the_limit_itself_is_good_enough() -> None:
    assert judged(analysis(SuccessRate(at_least=0.9)), traffic(counts(100, 10))).verdict is Verdict.PASS


def test_a_short_window_finds_what_the_whole_step_hides() -> None:
    # An hour of good answers, then 5 seconds of which a tenth fails.
    evidence = Evidence((Window(30.0, green=counts(6000, 50)), Window(5.0, green=counts(500, 50))))
    judgement = judged(RATE, evidence, 3600.0)
    assert judgement.verdict is Verdict.FAIL
    assert judgement.beyond_chance
    assert only(judgement).requests == 500


def test_who_looks_often_needs_to_see_more() -> None:
    assert doubt_of_a_look(5.0, 5.0, 100, 100) > 1e-3
    assert doubt_of_a_look(3600.0, 5.0, 100, 100) <= 5e-5
    assert doubt_of_a_look(1e9, 1.0, 10**6, 1) > 1e-5, "however long it takes, a failure stays visible"


def test_a_candidate_at_half_of_its_limit_is_hardly_ever_rolled_back() -> None:
    rng = random.Random(7)
    alarms = 0
    for _ in range(8):
        seconds = [sum(rng.random() < 0.005 for _ in range(50)) for _ in range(300)]
        alarms += any(
            judge(RATE, Evidence(windows_of(seconds, now)), Colour.GREEN, min(now, 29)).beyond_chance
            for now in range(2, 300, 3)
        )
    assert alarms <= 1


def windows_of(failed: list[int], now: int, per_second: int = 50) -> tuple[Window, ...]:
    lengths = [length for length in (30, 10, 5, 2) if length <= now]
    return tuple(Window(each, green=counts(per_second * each, sum(failed[now - each : now]))) for each in lengths)


@pytest.mark.parametrize("per_second", [20, 100, 1000])
def test_five_percent_of_failures_are_found_within_ten_seconds(per_second: int) -> None:
    for after in (0, 3600):
        found = None
        for second in range(1, 11):
            windows = tuple(
                Window(length, green=counts(per_second * length, per_second * min(length, second) // 20))
                for length in (30, 10, 5, 2)
                if length <= after + second
            ) or (Window(second, green=counts(per_second * second, per_second * second // 20)),)
            if judge(RATE, Evidence(windows), Colour.GREEN, after + second).beyond_chance:
                found = second
                break
        assert found is not None, (per_second, after)


def test_the_rest_of_samples_that_were_lost_is_not_the_whole_stage() -> None:
    rest = traffic(counts(1000), seconds=3.0)
    assert judged(RATE, rest).verdict is None
    assert judged(RATE, traffic(counts(1000), seconds=15.0), 43.0).verdict is Verdict.PASS
    assert judged(RATE, rest, late=True).verdict is Verdict.PASS


def test_a_relative_limit_compares_with_what_serves_in_the_same_window() -> None:
    assert judged(RELATIVE, traffic(counts(1000, 55), counts(1000, 50))).verdict is Verdict.PASS
    judgement = judged(RELATIVE, traffic(counts(1000, 65), counts(1000, 50)))
    assert judgement.verdict is Verdict.FAIL
    assert only(judgement).serving == 0.95
    assert judged(RELATIVE, traffic(counts(1000, 120), counts(1000, 50)), 1.0).beyond_chance


def test_both_limits_have_to_hold() -> None:
    both = analysis(SuccessRate(at_least=0.9, margin=0.01))
    assert judged(both, traffic(counts(1000, 50), counts(1000, 50))).verdict is Verdict.PASS
    assert judged(both, traffic(counts(1000, 50), counts(1000, 10))).verdict is Verdict.FAIL
    assert judged(both, traffic(counts(1000, 110), counts(1000, 105))).verdict is Verdict.FAIL


def test_a_slow_candidate_fails_by_its_quantile() -> None:
    assert judged(P99, traffic(counts(1000, milliseconds=10))).verdict is Verdict.PASS
    slow = counts(950, milliseconds=10).plus(counts(50, milliseconds=100))
    judgement = judged(P99, traffic(slow), 1.0)
    assert judgement.beyond_chance
    assert (only(judgement).candidate or 0) > 50


def test_latency_may_be_some_times_what_serves() -> None:
    assert judged(TWICE, traffic(counts(1000, milliseconds=15), counts(1000, milliseconds=10))).verdict is Verdict.PASS
    assert judged(TWICE, traffic(counts(1000, milliseconds=40), counts(1000, milliseconds=10)), 1.0).verdict is Verdict.FAIL


def test_how_many_are_slower_agrees_with_the_quantile() -> None:
    rng = random.Random(3)
    for _ in range(200):
        latencies = [rng.randrange(20) if rng.random() < 0.3 else 0 for _ in range(BUCKETS - 1)] + [0]
        total = sum(latencies)
        if not total:
            continue
        sample = Counts(requests=total, latencies=tuple(latencies))
        for quantile in (0.5, 0.9, 0.99):
            at = sample.quantile_ms(quantile)
            assert at is not None
            assert slower_than(latencies, at * 1.0001) <= (1 - quantile) * total + 1e-6
            assert slower_than(latencies, at * 0.9999) >= (1 - quantile) * total - 1e-2 * total


def test_what_is_beyond_every_bucket_is_slow() -> None:
    latencies = [0] * BUCKETS
    latencies[bucket_of(BOUNDS_MS[-1] + 1)] = 5
    assert slower_than(latencies, BOUNDS_MS[-1]) == 5
    assert slower_than(latencies, 1.0) == 5


def test_wilsons_bounds_are_the_textbooks() -> None:
    low, high = wilson(10, 100)
    assert (low, high) == (pytest.approx(0.0552, abs=1e-4), pytest.approx(0.1744, abs=1e-4))
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 10)[0] == pytest.approx(0.0)
    assert wilson(10, 10)[1] == 1.0


def test_what_is_left_to_chance_is_the_binomial_tail() -> None:
    assert by_chance(3, 100, 0.01) == pytest.approx(0.0794, abs=1e-4)
    assert by_chance(60, 100, 0.5) == pytest.approx(0.0284, abs=1e-4)
    assert by_chance(1, 100, 0.01) == 1.0, "not more than usual"
    assert by_chance(1, 100, 0.0) == 0.0
    assert by_chance(100, 100, 1.0) == 1.0
    assert by_chance(100, 100, 0.5) == pytest.approx(0.5**100)
    assert by_chance(11_000, 1_000_000, 0.01) < 1e-20


def test_no_traffic_never_passes_by_an_empty_metric() -> None:
    for late in (False, True):
        judgement = judged(RATE, Evidence(), late=late)
        assert judgement.verdict is (Verdict.INCONCLUSIVE if late else None), "it waits for the analyst a while"
    assert judged(RATE, Evidence((), Figures(source=Source.GOLDEN, exhausted=True))).verdict is Verdict.INCONCLUSIVE


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
    whole = traffic(counts(20, 12))
    evidence = Evidence(whole.windows, Figures(source=Source.RECENT, candidate=counts(500), exhausted=True))
    assert judged(RATE, evidence, 5.0).verdict is None
    assert judged(RATE, evidence).verdict is Verdict.FAIL


def test_with_all_traffic_on_the_candidate_a_relative_limit_is_held_against_replays() -> None:
    whole = traffic(counts(5000, 0, 10))
    figures = Figures(source=Source.RECENT, candidate=counts(200, 0, 100), serving=counts(200, 0, 10), exhausted=True)
    assert not enough_traffic(TWICE, whole, Colour.GREEN)
    assert judged(TWICE, whole).verdict is None
    judgement = judged(TWICE, Evidence(whole.windows, figures))
    assert judgement.verdict is Verdict.FAIL
    assert only(judgement).source is Source.RECENT
    assert judged(TWICE, whole, late=True).verdict is Verdict.INCONCLUSIVE
    assert "compare" in only(judged(TWICE, whole, late=True)).text


def test_real_failures_count_where_only_the_comparison_is_replayed() -> None:
    both = analysis(SuccessRate(at_least=0.99, margin=0.01))
    figures = Figures(source=Source.RECENT, candidate=counts(200), serving=counts(200), exhausted=True)
    evidence = Evidence(traffic(counts(5000, 60)).windows, figures)
    assert judged(both, evidence).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (Disagreement(at_most=0.1), Figure(candidate=0.05, rows=500), Figure(candidate=0.11, rows=500)),
        (PredictionDistance(field="p", at_most=0.2), Figure(candidate=0.2, rows=100), Figure(candidate=0.21, rows=100)),
        (
            ModelMetric(metric="roc_auc", field="p", limit=0.7),
            Figure(candidate=0.7, rows=100),
            Figure(candidate=0.69, rows=100),
        ),
        (
            ModelMetric(metric="log_loss", field="p", limit=0.7),
            Figure(candidate=0.6, rows=100),
            Figure(candidate=0.71, rows=100),
        ),
        (
            ModelMetric(metric="roc_auc", field="p", margin=0.05),
            Figure(candidate=0.7, serving=0.75, rows=100),
            Figure(candidate=0.7, serving=0.76, rows=100),
        ),
        (
            ModelMetric(metric="brier", field="p", margin=0.05),
            Figure(candidate=0.25, serving=0.2, rows=100),
            Figure(candidate=0.26, serving=0.2, rows=100),
        ),
        (Custom(name="own", command=("x",)), Figure(verdict=Verdict.PASS), Figure(verdict=Verdict.FAIL)),
        (Custom(name="own", command=("x",), at_least=3), Figure(candidate=3), Figure(candidate=2.9)),
        (Custom(name="own", command=("x",), at_most=3), Figure(candidate=3), Figure(candidate=3.1)),
    ],
)
def test_what_the_analyst_measured_is_held_against_its_limit(check: Check, good: Figure, bad: Figure) -> None:
    wanted = analysis(check)
    assert judged(wanted, measured(good)).verdict is Verdict.PASS
    failing = judged(wanted, measured(bad))
    assert failing.verdict is Verdict.FAIL
    assert only(failing).limit == limit(check)
    assert judged(wanted, measured(good), 5.0).verdict is None, "nothing passes before its time"


def test_disagreement_beyond_chance_fails_at_once_and_distances_do_not() -> None:
    assert judged(analysis(Disagreement(at_most=0.1)), measured(Figure(candidate=0.3, rows=200)), 1.0).beyond_chance
    far = measured(Figure(candidate=0.9, rows=200))
    assert judged(analysis(PredictionDistance(field="p", at_most=0.1)), far, 1.0).verdict is None


def test_a_check_of_ones_own_that_fails_does_not_wait() -> None:
    own = analysis(Custom(name="own", command=("x",)))
    assert judged(own, measured(Figure(verdict=Verdict.FAIL)), 1.0).beyond_chance


@pytest.mark.parametrize(
    ("check", "figure", "text"),
    [
        (ModelMetric(metric="roc_auc", field="p", limit=0.7), Figure(rows=0), "no row's truth is known yet"),
        (ModelMetric(metric="roc_auc", field="p", limit=0.7), Figure(candidate=0.9, rows=60), "truth of 60 of 100"),
        (ModelMetric(metric="roc_auc", field="p", margin=0.1), Figure(candidate=0.9, rows=100), "to compare with"),
        (Disagreement(at_most=0.1), Figure(rows=0), "nothing to compare"),
        (Custom(name="own", command=("x",)), Figure(candidate=3), "neither `atLeast` nor `atMost`"),
        (Custom(name="own", command=("x",)), Figure(verdict=Verdict.INCONCLUSIVE, text="exit code 7"), "exit code 7"),
    ],
)
def test_what_cannot_be_judged_says_why(check: Check, figure: Figure, text: str) -> None:
    judgement = judged(analysis(check), measured(figure))
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert text in only(judgement).text


def test_one_failure_is_enough_and_nothing_inconclusive_passes() -> None:
    two = analysis(SuccessRate(at_least=0.99), ModelMetric(metric="roc_auc", field="p", limit=0.7))
    figures = Figures(source=Source.RECENT, checks={1: Figure(rows=0)}, exhausted=True)
    assert judged(two, Evidence(traffic(counts(1000)).windows, figures)).verdict is Verdict.INCONCLUSIVE
    assert judged(two, Evidence(traffic(counts(1000, 100)).windows, figures)).verdict is Verdict.FAIL


def test_an_analyst_that_cannot_go_on_is_waited_for_as_long_as_the_grace_lasts() -> None:
    away = replayed(Counts(), exhausted=False, error="the store is away")
    assert judged(RATE, away).verdict is None, "it may come back"
    judgement = judged(RATE, away, late=True)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "the store is away" in only(judgement).text
    custom = analysis(Custom(name="own", command=("x",), timeout_seconds=90))
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
        Custom(name="own", command=("x",)),
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
