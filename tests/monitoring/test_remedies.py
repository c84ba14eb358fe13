"""What helps is told by what was found: other inputs, or another meaning of the same ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from heliostat.monitoring.remedies import remedies
from heliostat.spec.findings import Aspect, Finding, State

AT = datetime(2026, 3, 2, tzinfo=UTC)
OK, BREACH, UNKNOWN = State.OK, State.BREACH, State.UNKNOWN


def of(aspect: Aspect, subject: str, state: State, day: int = 2) -> Finding:
    at = AT + timedelta(days=day)
    return Finding(monitor="loans", aspect=aspect, subject=subject, state=state, window=f"day {day}", at=at, text="found")


def test_where_nothing_is_wrong_or_can_be_told_nothing_is_to_be_done():
    assert remedies([]) == ()
    right = [of(Aspect.QUALITY, "roc_auc", OK), of(Aspect.DRIFT, "income", OK), of(Aspect.FRAGILITY, "inputs", BREACH)]
    assert remedies([*right, of(Aspect.QUALITY, "roc_auc[region=west]", BREACH)]) == (), "of a slice nothing tells why"
    assert remedies([*right, of(Aspect.QUALITY, "f1", UNKNOWN), of(Aspect.DRIFT, "age", UNKNOWN)]) == ()


def test_a_loss_that_the_estimate_did_not_expect_is_concept_drift_and_asks_for_labels():
    worse, as_before = of(Aspect.QUALITY, "roc_auc", BREACH), of(Aspect.ESTIMATE, "roc_auc", OK)
    for others in ([], [of(Aspect.DRIFT, "income", BREACH)]):
        [told] = remedies([worse, as_before, *others])
        assert "concept drift" in told and "labelled anew" in told and "newer rows" not in told


def test_a_loss_that_the_estimate_expected_is_data_drift_and_asks_for_rows():
    drifted = [of(Aspect.DRIFT, "income", BREACH), of(Aspect.DRIFT, "region", BREACH), of(Aspect.DRIFT, "sex", OK)]
    [told] = remedies([of(Aspect.QUALITY, "roc_auc", BREACH), of(Aspect.ESTIMATE, "roc_auc", BREACH), *drifted])
    assert "data drift" in told and "drift/income, drift/region" in told and "drift/sex" not in told
    assert "newer rows" in told and "labelled anew" not in told


def test_a_loss_without_an_estimate_is_told_apart_as_far_as_inputs_tell():
    for worse in (of(Aspect.QUALITY, "roc_auc", BREACH), of(Aspect.PREDICTION_BIAS, "ratio", BREACH)):
        [told] = remedies([worse, of(Aspect.ESTIMATE, "roc_auc", UNKNOWN), of(Aspect.DRIFT, "income", BREACH)])
        assert "not told" in told and ("which would tell, cannot be made" in told) == (worse.aspect is Aspect.QUALITY)
        assert "newer rows" in told and "labelled anew" in told
        [told] = remedies([worse, of(Aspect.DRIFT, "income", OK)])
        assert "concept drift is likely" in told and "labelled anew" in told
    assert "concept drift is likely" in remedies([of(Aspect.CONCEPT_DRIFT, "error by adwin", BREACH)])[0]


def test_an_estimate_and_a_drift_of_another_window_say_nothing_of_a_loss():
    late = [of(Aspect.ESTIMATE, "roc_auc", OK, day=3), of(Aspect.DRIFT, "income", BREACH, day=3)]
    [told] = remedies([of(Aspect.QUALITY, "roc_auc", BREACH, day=2), *late])
    assert told.startswith("In day 2 ") and "no input is known to have drifted" in told


def test_inputs_that_changed_alone_ask_for_labels_and_for_nothing_where_these_say_that_all_is_well():
    drifted = of(Aspect.DRIFT, "income", BREACH)
    [told] = remedies([drifted, of(Aspect.QUALITY, "roc_auc", OK)])
    assert "nothing has to be done yet" in told
    for others in ([], [of(Aspect.QUALITY, "roc_auc", OK, day=1)], [of(Aspect.CONCEPT_DRIFT, "prediction by adwin", BREACH)]):
        [told] = remedies([drifted, *others])
        assert "get labels of these rows" in told


def test_skew_is_mended_before_anything_is_trained():
    first, second = remedies([of(Aspect.QUALITY, "roc_auc", BREACH), of(Aspect.SKEW, "distance", BREACH)])
    assert "skew/distance" in first and "mend that first" in first and "worse" in second


def test_of_many_columns_some_are_named():
    [told] = remedies([of(Aspect.DRIFT, f"c{number}", BREACH) for number in range(9)])
    assert "drift/c4 and 4 more" in told
