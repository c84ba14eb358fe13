from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from heliostat.monitoring.bias import Bias
from heliostat.monitoring.concept_drift import Change, ConceptDrift
from heliostat.monitoring.estimates import Estimate, Precondition
from heliostat.monitoring.feedback import Feedback, Tie
from heliostat.monitoring.fragility import Fragility, Response
from heliostat.monitoring.intervals import Interval
from heliostat.monitoring.judging import Judge
from heliostat.monitoring.quality import Figure, Quality
from heliostat.monitoring.skew import FeatureSkew, Skew
from heliostat.spec.findings import State
from heliostat.spec.watches import (
    BiasWatch,
    ConceptDriftWatch,
    EstimateWatch,
    FeedbackWatch,
    FragilityWatch,
    QualityWatch,
    RecencyWatch,
    SkewWatch,
)

AT = datetime(2026, 2, 1, tzinfo=UTC)
JUDGE = Judge("flights", "2026-01", AT)
OK, BREACH, UNKNOWN = State.OK, State.BREACH, State.UNKNOWN


def area(value, half=0.01, **slices):
    figures = {
        name: Figure(rows=600, interval=Interval(value=each, low=each - half, high=each + half, rows=600))
        for name, each in slices.items()
    }
    overall = Figure(rows=1_000, interval=Interval(value=value, low=value - half, high=value + half, rows=1_000))
    return Quality(metric="roc_auc", overall=overall, slices={"carrier": figures} if slices else {})


def states(findings):
    return [finding.state for finding in findings]


def test_a_metric_is_wrong_where_all_of_its_interval_is_beyond_the_limit():
    watch = QualityWatch(limit=0.7)
    assert states(JUDGE.quality(area(0.68), watch, True, None)) == [BREACH]
    assert states(JUDGE.quality(area(0.695), watch, True, None)) == [OK]
    [finding] = JUDGE.quality(area(0.68), watch, True, None)
    assert finding.text == "roc_auc is 0.68 (0.67 to 0.69) on 1,000 labelled rows, below 0.7, the limit"
    assert (finding.value, finding.limit, finding.window, finding.key) == (0.68, 0.7, "2026-01", "flights/quality/roc_auc")
    assert "not surely below 0.7, the limit" in JUDGE.quality(area(0.695), watch, True, None)[0].text
    assert "better than 0.7, the limit" in JUDGE.quality(area(0.9), watch, True, None)[0].text
    lower = QualityWatch(limit=0.2)
    assert "better than 0.2, the limit" in JUDGE.quality(area(0.1), lower, False, None)[0].text
    assert states(JUDGE.quality(area(0.3), lower, False, None)) == [BREACH]
    assert states(JUDGE.quality(area(0.1), lower, False, None)) == [OK]


def test_the_stricter_of_limit_and_margin_counts_and_each_slice_has_its_own_reference():
    both = QualityWatch(limit=0.6, margin=0.05)
    found = JUDGE.quality(area(0.68, UA=0.6, AA=0.78, ZZ=0.9), both, True, area(0.75, UA=0.62, AA=0.85))
    assert states(found) == [BREACH, OK, BREACH, OK]
    assert found[0].text.endswith("below 0.7, 0.05 worse than the reference's 0.75")
    assert found[2].subject == "roc_auc[carrier=AA]"
    alone = JUDGE.quality(area(0.68), QualityWatch(margin=0.05), True, None)
    assert states(alone) == [UNKNOWN] and "no such figure to compare with" in alone[0].text


def test_what_was_not_told_is_unknown_with_its_reason():
    nothing = Quality(metric="roc_auc", overall=Figure(rows=3, reason="3 labelled rows are fewer"))
    [finding] = JUDGE.quality(nothing, QualityWatch(limit=0.7), True, None)
    assert finding.state is UNKNOWN and finding.text == "3 labelled rows are fewer" and finding.value is None


def ratio(value, half, rows=1_000, error=None):
    interval = Interval(value=value, low=value - half, high=value + half, rows=rows)
    return Bias(
        rows=rows,
        mean_prediction=0.22,
        mean_label=0.22 / value,
        ratio=interval,
        calibration_error=error,
        calibration_noise=0.01,
    )


def test_predictions_are_too_high_too_low_or_right():
    watch = BiasWatch(calibration_error=0.05)
    high, low, right = (JUDGE.bias(ratio(value, 0.02), watch)[0] for value in (1.67, 0.67, 1.08))
    assert high.state is BREACH and "predictions are too high" in high.text and high.limit == 1.1
    assert low.state is BREACH and "predictions are too low" in low.text and low.limit == 0.9
    assert right.state is OK and states(JUDGE.bias(ratio(1.11, 0.02), watch)) == [OK], "it may be chance"
    assert states(JUDGE.bias(ratio(2, 0.1, rows=99), watch)) == [UNKNOWN]
    assert states(JUDGE.bias(Bias(rows=1_000, reason="a ratio to it says nothing"), watch)) == [UNKNOWN]
    assert states(JUDGE.bias(ratio(1, 0.01, error=0.07), watch)) == [OK, BREACH]
    assert states(JUDGE.bias(ratio(1, 0.01, error=0.055), watch)) == [OK, OK], "of it a hundredth is chance"


def test_an_estimate_is_judged_only_where_it_can_be_trusted():
    watch = EstimateWatch(metric="roc_auc", margin=0.02)
    fine = Estimate(metric="roc_auc", value=0.7, rows=5_000)
    assert JUDGE.estimate(fine, watch, True, 0.71).state is OK
    assert JUDGE.estimate(fine, watch, True, 0.73).state is BREACH
    assert JUDGE.estimate(fine, watch, False, 0.67).state is BREACH
    assert JUDGE.estimate(fine.model_copy(update={"rows": 10}), watch, True, 0.9).state is UNKNOWN
    failed = Precondition(name="overlap", holds=False, text="5.0% of the rows have x that the reference had none of")
    unsure = JUDGE.estimate(Estimate(metric="roc_auc", rows=5_000, preconditions=(failed,)), watch, True, 0.9)
    assert unsure.state is UNKNOWN and "5.0% of the rows" in unsure.text


def test_changes_of_a_stream_are_told_with_the_last_and_none_with_what_stays_unseen():
    watch = ConceptDriftWatch()
    found = ConceptDrift(detector="adwin", rows=100, changes=(Change(row=60, before=0.2, after=0.3),), skipped=2)
    told = JUDGE.concept_drift(found, watch)
    assert told.state is BREACH and "at row 60 of 100 from 0.2 to 0.3; 2 rows without a number" in told.text
    calm = JUDGE.concept_drift(ConceptDrift(detector="adwin", rows=100, smallest=0.031), watch)
    assert calm.state is OK and "more than about 0.031" in calm.text
    assert (
        JUDGE.concept_drift(ConceptDrift(detector="adwin", rows=3, reason="the window has 3 numbers"), watch).state is UNKNOWN
    )


def test_skew_has_a_finding_of_the_schema_and_one_of_each_feature():
    features = {"x": FeatureSkew(rows=1_000, differing=2), "y": FeatureSkew(rows=1_000, differing=1)}
    found = JUDGE.skew(Skew(rows=1_000, features=features), SkewWatch())
    assert states(found) == [OK, BREACH, OK] and found[0].text == "both paths make the same 2 features"
    odd = JUDGE.skew(Skew(rows=1, lacking=("a",), extra=("b",), types={"c": ("string", "int64")}), SkewWatch())
    assert (
        states(odd) == [BREACH]
        and "serving does not make a; training does not make b; c is string when training" in odd[0].text
    )
    assert states(JUDGE.skew(Skew(rows=0, reason="there are no rows"), SkewWatch())) == [UNKNOWN]


def test_a_model_is_fragile_where_the_worst_change_at_the_smallest_epsilon_is_too_large():
    watch = FragilityWatch(most_change=0.1)
    response = Response(
        epsilon=0.01, mean_change=0.01, high_change=0.05, worst_change=0.2, worst_row=7, worst_inputs={"x": "1 → 2"}
    )
    told = JUDGE.fragility(Fragility(rows=10, responses=(response,)), watch)
    assert told.state is BREACH and "at worst in row 7: x 1 → 2" in told.text
    calm = response.model_copy(update={"worst_change": 0.1})
    assert JUDGE.fragility(Fragility(rows=10, responses=(calm,)), watch).state is OK
    assert JUDGE.fragility(Fragility(rows=0, reason="there are no rows"), watch).state is UNKNOWN


@pytest.mark.parametrize(
    ("tie", "state", "text"),
    [
        (Tie(pairs=500, correlation=0.3, p_value=1e-6), BREACH, "that is no proof of a loop: hold some rows out"),
        (Tie(pairs=500, correlation=0.05, p_value=1e-6), OK, "+0.050"),
        (Tie(pairs=500, correlation=0.3, p_value=0.2), OK, "+0.300"),
        (
            Tie(pairs=500, correlation=-0.3, p_value=1e-6, held_out=-0.29, difference_p_value=0.6),
            OK,
            "-0.290 among those held out",
        ),
        (
            Tie(pairs=500, correlation=-0.3, p_value=1e-6, held_out=0.0, difference_p_value=1e-5),
            BREACH,
            "among those held out",
        ),
        (Tie(pairs=5, reason="5 rows follow another"), UNKNOWN, "5 rows follow another"),
    ],
)
def test_a_loop_is_told_where_it_is_strong_no_chance_and_not_the_same_in_the_holdout(tie, state, text):
    watch = FeedbackWatch(key="who", columns=("x",), holdout="out")
    found = JUDGE.feedback(Feedback(rows=500, ties={"x": tie}), watch)
    assert states(found) == [state] and text in found[0].text
    assert states(JUDGE.feedback(Feedback(rows=500, holdout_share=0.001), watch)) == [BREACH]
    assert states(JUDGE.feedback(Feedback(rows=500, holdout_share=0.02), watch)) == [OK]


def test_what_is_too_old_was_never_there_or_is_from_the_future_is_told():
    watch = RecencyWatch(
        predictions_seconds=3_600, labels_seconds=86_400, training_data_seconds=86_400, training_data_column="day"
    )
    newest = {"predictions": AT - timedelta(minutes=59), "labels": None, "training data": AT - timedelta(days=3)}
    found = list(JUDGE.recency(newest, watch, AT))
    assert states(found) == [OK, BREACH, BREACH]
    assert [each.text for each in found] == [
        "the newest predictions are 0:59:00 old; at most 1:00:00",
        "there are no labels",
        "the newest training data are 3 days, 0:00:00 old; at most 1 day, 0:00:00",
    ]
    [soon, late] = (
        next(JUDGE.recency({}, RecencyWatch(labels_seconds=60), AT, AT - timedelta(seconds=age))) for age in (60, 61)
    )
    assert soon.state is UNKNOWN and "no labels yet; it is watched for 0:01:00, and they may take 0:01:00" in soon.text
    assert late.state is BREACH
    [ahead] = JUDGE.recency({"labels": AT + timedelta(hours=2)}, RecencyWatch(labels_seconds=60), AT)
    assert ahead.state is BREACH and "2:00:00 in the future: clocks are apart" in ahead.text
    assert states(JUDGE.recency({"labels": AT + timedelta(seconds=30)}, RecencyWatch(labels_seconds=60), AT)) == [OK]


def test_what_is_explored_and_whether_a_loop_grows_is_told_and_is_no_alarm():
    watch = FeedbackWatch(key="who", columns=("x",))
    tie = Tie(pairs=900, correlation=0.05, p_value=0.2, trend=1.0, windows=5)
    explored, told = JUDGE.feedback(Feedback(rows=500, exploration=0.125, ties={"x": tie}), watch)
    assert (explored.subject, explored.state, explored.value) == ("exploration", OK, 0.125)
    assert "12.50% of the decisions are not the most usual one of their who" in explored.text
    assert told.state is OK and "it is stronger (Kendall's tau +1.00 in 5 windows)" in told.text
    nothing, fades = JUDGE.feedback(
        Feedback(rows=500, exploration=0.0, ties={"x": tie.model_copy(update={"trend": -0.8})}), watch
    )
    assert nothing.state is OK and "nothing is learned" in nothing.text and "it is weaker" in fades.text
    [alone] = JUDGE.feedback(Feedback(rows=500, ties={"x": tie.model_copy(update={"trend": None})}), watch)
    assert "window to window" not in alone.text


def test_one_change_is_said_to_be_one():
    found = ConceptDrift(detector="adwin", rows=100, changes=(Change(row=50, before=0.1, after=0.5),))
    assert "changed 1 time, last" in JUDGE.concept_drift(found, ConceptDriftWatch()).text
