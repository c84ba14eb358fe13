"""When a candidate passes, fails, or cannot be judged."""

from __future__ import annotations

import random

import pytest
from judging import P99, RATE, RELATIVE, TWICE, analysis, judged, only, replayed, traffic

from heliostat.rollout.analysis import judge
from heliostat.rollout.chance import binomial_p_value, doubt_of_a_look, slower_than, wilson
from heliostat.rollout.limits import told
from heliostat.rollout.model import Colour, Evidence, Window
from heliostat.spec.analysis import Latency, Measurements, RejectionRate, Source, SuccessRate, Verdict
from heliostat.spec.latencies import BOUNDS_MS, BUCKETS, Counts, bucket_of
from heliostat.testing.simulation.clients import counts


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


def test_a_candidate_with_all_traffic_is_held_against_what_served_before_and_not_against_what_idles() -> None:
    def alone(milliseconds: float) -> Verdict | None:
        window = Window(30.0, blue=Counts(), green=counts(1000, milliseconds=milliseconds))
        idle = Measurements(source=Source.RECENT, candidate=counts(200, milliseconds=40), serving=counts(200, milliseconds=2))
        judgement = judged(TWICE, Evidence((window,), idle, before=counts(1000, milliseconds=20)))
        assert only(judgement).source is Source.TRAFFIC
        return judgement.verdict

    assert alone(30) is Verdict.PASS
    assert alone(80) is Verdict.FAIL


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
    assert binomial_p_value(3, 100, 0.01) == pytest.approx(0.0794, abs=1e-4)
    assert binomial_p_value(60, 100, 0.5) == pytest.approx(0.0284, abs=1e-4)
    assert binomial_p_value(1, 100, 0.01) == 1.0, "not more than usual"
    assert binomial_p_value(1, 100, 0.0) == 0.0
    assert binomial_p_value(100, 100, 1.0) == 1.0
    assert binomial_p_value(100, 100, 0.5) == pytest.approx(0.5**100)
    assert binomial_p_value(11_000, 1_000_000, 0.01) < 1e-20


REJECTS = RejectionRate(at_most=0.1)


def rejecting(answered: int, rejected: int) -> Counts:
    return counts(answered).model_copy(update={"rejected": rejected})


def test_what_the_contract_rejects_is_no_prediction_and_makes_up_for_none() -> None:
    found = only(judged(analysis(SuccessRate(at_least=0.99)), traffic(rejecting(40, 500))))
    assert (found.verdict, found.requests, found.candidate) == (Verdict.INCONCLUSIVE, 40, 1.0)
    assert "40 of the candidate's 100 requests were there, and 500 that its contract rejected" in found.text
    found = only(judged(analysis(Latency(quantile=0.5, at_most_ms=50)), traffic(rejecting(40, 500))))
    assert (found.verdict, found.requests) == (Verdict.INCONCLUSIVE, 40)


def test_rejections_have_a_rate_of_their_own_that_fails_early_and_passes_at_its_limit() -> None:
    assert judged(analysis(REJECTS), traffic(rejecting(90, 10))).verdict is Verdict.PASS
    found = judged(analysis(REJECTS), traffic(rejecting(60, 60)), elapsed=3.0)
    assert (found.verdict, found.beyond_chance) == (Verdict.FAIL, True)
    assert (only(found).candidate, only(found).requests, only(found).check) == (0.5, 120, "rejection rate")
    assert only(judged(analysis(REJECTS), traffic(rejecting(0, 500)))).candidate == 1.0, "it is all that came"


def test_rejections_may_be_compared_with_what_serves() -> None:
    margin = analysis(RejectionRate(margin=0.05))
    assert judged(margin, traffic(rejecting(700, 300), rejecting(720, 280))).verdict is Verdict.PASS
    assert judged(margin, traffic(rejecting(600, 400), rejecting(720, 280))).verdict is Verdict.FAIL
    assert judged(margin, traffic(rejecting(600, 400), rejecting(2, 1))).verdict is None, "nothing to compare with yet"


def test_a_version_gets_no_faster_by_failing() -> None:
    fast = analysis(Latency(quantile=0.95, at_most_ms=50))
    assert judged(fast, traffic(counts(1000, 30))).verdict is Verdict.PASS
    found = judged(fast, traffic(counts(1000, 100)))
    assert found.verdict is Verdict.FAIL
    assert "100 of them failed, and count as slower than any limit" in only(found).text
    assert judged(fast, traffic(counts(200, 200))).verdict is Verdict.FAIL, "nothing of it was ever answered"


def test_replays_that_are_rejected_are_judged_by_their_own_rate() -> None:
    both = analysis(SuccessRate(at_least=0.99), REJECTS)
    rate, rejections = judged(both, replayed(rejecting(0, 300), counts(300))).findings
    assert (rate.verdict, rejections.verdict) == (Verdict.INCONCLUSIVE, Verdict.FAIL)
