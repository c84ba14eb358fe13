"""Whether a candidate may be registered, from figures alone."""

from __future__ import annotations

import pytest

from heliostat.provider.gate import Measurements, judge
from heliostat.spec.workload import Gate, Slice

GATE = Gate(metric="roc_auc", margin=0.01, slices=(Slice(column="origin", margin=0.03),))


def figures(overall: float, name: str = "new", **origins: float) -> Measurements:
    return Measurements(name, overall, {"origin": origins})


def verdict(candidate, baseline=None, incumbent=None, gate=GATE, higher=True):
    return judge(gate, higher, candidate, baseline, incumbent)


def test_the_first_model_needs_only_beat_the_baseline():
    assert verdict(figures(0.7), figures(0.65, "the baseline")).accepted
    refused = verdict(figures(0.64), figures(0.65, "the baseline"))
    assert refused.reasons == (
        "roc_auc is 0.6400, that of the baseline 0.6500: it must be better by 0 and is worse by 0.0100",
    )


def test_without_anything_to_compare_with_a_model_is_accepted():
    assert verdict(figures(0.5)).accepted


@pytest.mark.parametrize(("overall", "accepted"), [(0.71, True), (0.70, True), (0.691, True), (0.689, False)])
def test_not_worse_by_more_than_the_margin_overall(overall, accepted):
    assert verdict(figures(overall), incumbent=figures(0.7, "models:/m/3")).accepted is accepted


def test_a_refusal_says_by_how_much():
    [reason] = verdict(figures(0.68), incumbent=figures(0.7, "models:/m/3")).reasons
    assert reason == "roc_auc is 0.6800, that of models:/m/3 0.7000: worse by 0.0200, 0.0100 more than the margin of 0.01"


def test_one_bad_slice_refuses_a_model_that_is_better_overall():
    refused = verdict(figures(0.8, EWR=0.6, JFK=0.9), incumbent=figures(0.7, "models:/m/3", EWR=0.65, JFK=0.7))
    assert refused.reasons == (
        "on origin EWR roc_auc is 0.6000, that of models:/m/3 0.6500: worse by 0.0500, 0.0200 more than the margin of 0.03",
    )


def test_a_slice_that_only_one_of_them_has_is_not_judged():
    assert verdict(figures(0.7, EWR=0.1), incumbent=figures(0.7, "models:/m/3", JFK=0.9)).accepted


def test_where_lower_is_better_the_direction_turns():
    gate = Gate(metric="log_loss", margin=0.01, beat_baseline_by=0.005)
    assert verdict(figures(0.5), figures(0.52, "the baseline"), figures(0.495, "models:/m/3"), gate, higher=False).accepted
    refused = verdict(figures(0.52), figures(0.522, "the baseline"), figures(0.5, "models:/m/3"), gate, higher=False)
    assert len(refused.reasons) == 2
    assert "it must be better by 0.005 and is better by 0.0020" in refused.reasons[1], "the worst stands first"


def test_the_summary_names_every_figure():
    told = verdict(figures(0.7), figures(0.65, "the baseline"), figures(0.69, "models:/m/3")).summary
    assert told == "roc_auc 0.7000, models:/m/3 0.6900, baseline 0.6500"


def test_a_refusal_is_a_table_with_the_worst_first_that_fits_a_terminal():
    gate = Gate(metric="roc_auc", margin=0.01, beat_baseline_by=0.005, slices=(Slice(column="origin", margin=0.03),))
    candidate = figures(0.68, EWR=0.6, JFK=0.55, LGA=0.7)
    refused = verdict(candidate, figures(0.682, "the baseline"), figures(0.7, "models:/m/3", EWR=0.65, JFK=0.7, LGA=0.7), gate)
    assert refused.table() == [
        "metric   slice          candidate  stable  margin  verdict",
        "roc_auc  origin JFK        0.5500  0.7000    0.03  worse by 0.1500",
        "roc_auc  origin EWR        0.6000  0.6500    0.03  worse by 0.0500",
        "roc_auc  all rows          0.6800  0.7000    0.01  worse by 0.0200",
        "roc_auc  all, baseline     0.6800  0.6820  -0.005  worse by 0.0020",
        "4 of 5 comparisons are refused, 1 pass",
    ]


def test_a_table_of_many_slices_has_an_end_and_long_names_are_cut():
    names = {f"airport-of-{n:02d}-with-a-long-name": 0.9 for n in range(60)}
    gate = Gate(metric="mean_bias", slices=(Slice(column="destination", margin=0.125),))
    stable = Measurements("models:/m/3", 1234.5678, {"destination": names})
    candidate = Measurements("new", 9234.5678, {"destination": dict.fromkeys(names, 12345678.25)})
    table = verdict(candidate, incumbent=stable, gate=gate, higher=False).table()
    assert len(table) == 1 + 12 + 2
    assert table[-2:] == ["... and 49 more are refused", "61 of 61 comparisons are refused, 0 pass"]
    assert max(map(len, table)) <= 76, "four columns of indentation, in a terminal of 80"
