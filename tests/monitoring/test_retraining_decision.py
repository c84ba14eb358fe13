from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from heliostat.monitoring.new_data import NewRows
from heliostat.monitoring.retraining import Known, Outcome, Retraining, decide, upstream_of
from heliostat.spec.findings import Aspect
from heliostat.spec.retraining import (
    FindingTrigger,
    NewDataTrigger,
    RetrainingPolicy,
    ScheduleTrigger,
    UpstreamTrigger,
)
from tests.monitoring.found import BREACH, DAY, OK, START, UNKNOWN, finding

NOW = START + 20 * DAY
DATA = NewDataTrigger(rows=1_000)


def known(**given):
    return Known(**({"trained": START - DAY, "trained_rows": 10_000, "new_rows": 2_000} | given))


def decided(*triggers, now=NOW, policy=None, **given):
    return decide(RetrainingPolicy(triggers=triggers, **(policy or {})), known(**given), now)


def test_nothing_asks_for_a_retraining_where_no_trigger_does():
    found = decided(NewDataTrigger(rows=5_000), FindingTrigger(), UpstreamTrigger(), ScheduleTrigger(schedule="0 3 1 2 *"))
    assert not found.proposed and found.reasons == () and found.text == "Nothing asks for a retraining."


def test_new_data_are_enough_by_number_or_by_share():
    assert decided(DATA).reasons == ("2,000 labelled rows are new; 1,000 are enough",)
    assert decided(NewDataTrigger(share=0.2)).proposed and not decided(NewDataTrigger(share=0.21)).proposed


def test_new_rows_of_the_source_are_enough_as_those_of_the_log_are_and_neither_adds_to_the_other():
    source = NewRows(place="s3://b/x", rows=1_500)
    assert decided(DATA, new_rows=900, source=source).reasons == ("1,500 rows of s3://b/x are new; 1,000 are enough",)
    few = NewRows(place="s3://b/x", rows=600)
    assert not decided(DATA, new_rows=600, source=few).reasons, "they may be the same rows"
    unknown = NewRows(place="s3://b/x", problem="the store answered 403")
    assert not decided(DATA, new_rows=600, source=unknown).reasons
    held = decided(UpstreamTrigger(), new_rows=0, source=unknown, upstream={"a": ("1", "2")})
    assert held.held_back == (
        "0 labelled rows are new, and what is new in s3://b/x is not known: the store answered 403: "
        "fewer than the 1 that it takes",
    )
    assert decided(UpstreamTrigger(), new_rows=0, source=few, upstream={"a": ("1", "2")}).proposed


def test_labels_of_the_log_hold_nothing_to_learn_where_the_source_of_the_data_has_nothing_new():
    none = NewRows(place="s3://b/x", rows=0)
    held = decided(DATA, source=none)
    assert not held.proposed and held.reasons, "it is wanted still, and goes on once rows come"
    assert held.held_back == ("no row of s3://b/x is new, and of that its data are made: the same rows would come out",)
    assert decided(DATA, source=none.model_copy(update={"about": True})).proposed, "a file that was written anew has its size"
    assert decided(DATA, UpstreamTrigger(), source=none, upstream={"a": ("1", "2")}).proposed, "of others rows are other data"
    assert decided(DATA, source=none, policy={"least_new_rows": 0}).proposed, "whoever asks for none is given it"


def test_a_schedule_is_due_once_and_not_before_its_time():
    monthly = ScheduleTrigger(schedule="0 3 15 * *")
    assert decided(monthly).reasons == ("it was due at 2026-01-15 03:00 UTC by its schedule, 0 3 15 * *",)
    begun = Retraining(begun=START + 15 * DAY, outcome=Outcome.ACCEPTED)
    assert decided(monthly, history=(begun,)).reasons == ()
    assert decided(monthly, now=START + 13 * DAY).reasons == ()
    assert decided(monthly, trained=START + 16 * DAY).reasons == ()


def test_a_breach_asks_for_it_only_in_as_many_windows_one_after_another():
    two = FindingTrigger(windows=2)
    assert decided(two, findings=(finding(BREACH, 1),)).reasons == ()
    assert decided(two, findings=(finding(BREACH, 1), finding(OK, 2), finding(BREACH, 3))).reasons == ()
    [reason] = decided(two, findings=(finding(BREACH, 3), finding(BREACH, 1), finding(UNKNOWN, 2))).reasons
    assert reason == "flights/quality/roc_auc in 2 windows one after another, last: roc_auc is breach"
    [reason] = decided(FindingTrigger(windows=1), findings=(finding(BREACH, 1),)).reasons
    assert reason == "flights/quality/roc_auc in the newest window: roc_auc is breach"
    assert decided(two, findings=(finding(BREACH, 1), finding(BREACH, 2)), trained=START + 2 * DAY).reasons == ()
    corrected = (finding(BREACH, 1), finding(BREACH, 2), finding(OK, 2))
    assert decided(two, findings=corrected).reasons == (), "late labels had the window looked at again"


def test_a_finding_of_another_kind_or_of_less_weight_asks_for_nothing():
    one = FindingTrigger(windows=1, aspects=(Aspect.DRIFT,), least_severity="critical")
    assert decided(one, findings=(finding(BREACH, 1),)).reasons == ()
    assert decided(one, findings=(finding(BREACH, 1, aspect=Aspect.DRIFT),)).reasons == ()
    assert decided(one, findings=(finding(BREACH, 1, aspect=Aspect.DRIFT, severity="critical"),)).proposed


def test_another_version_of_what_a_model_was_made_of_asks_for_it():
    versions = upstream_of({"embedder": "3", "census": "a", "old": "1"}, {"embedder": "4", "census": "a"})
    assert decided(UpstreamTrigger(), upstream=versions).reasons == (
        "embedder is 4, and it was made of 3; old is gone, and it was made of 1",
    )
    assert decided(UpstreamTrigger(sources=("census", "unknown")), upstream=versions).reasons == ()


def test_all_reasons_are_told_and_all_that_holds_it_back():
    history = (Retraining(begun=NOW - timedelta(hours=1), outcome=Outcome.ACCEPTED, cost_usd=9),)
    found = decided(
        DATA, UpstreamTrigger(), policy={"least_new_rows": 3_000, "budget_usd": 10, "most_in_period": 1}, history=history,
        upstream={"embedder": ("3", "4")}, expected_cost_usd=2,
    )  # fmt: skip
    assert not found.proposed and len(found.reasons) == 2 and len(found.held_back) == 4
    assert found.earliest == NOW - timedelta(hours=1) + 30 * DAY
    assert "wanted, and not proposed yet" in found.text and "Not before 2026-02-19 23:00 UTC." in found.text


@pytest.mark.parametrize(
    ("outcome", "days", "proposed"),
    [
        (Outcome.ACCEPTED, 0.9, False),
        (Outcome.ACCEPTED, 1.1, True),
        (Outcome.REFUSED, 1.1, False),
        (Outcome.FAILED, 6.9, False),
        (Outcome.REFUSED, 7.1, True),
        (Outcome.RUNNING, 9, False),
    ],
)
def test_a_cool_down_follows_each_one_and_a_longer_one_what_was_refused(outcome, days, proposed):
    history = (Retraining(begun=NOW - days * DAY, outcome=outcome),)
    assert decided(DATA, history=history).proposed is proposed


def test_so_many_may_begin_in_a_period():
    history = tuple(Retraining(begun=NOW - days * DAY, outcome=Outcome.ACCEPTED) for days in (29, 20, 10, 5))
    found = decided(DATA, history=history)
    assert found.held_back == ("4 began in the last 30 days, 4 may",) and found.earliest == NOW + DAY
    assert decided(DATA, history=history[1:]).proposed


def test_a_budget_is_held_and_where_the_costs_are_not_known_nothing_is_proposed():
    budget = {"budget_usd": 10.0}
    history = (Retraining(begun=NOW - 5 * DAY, outcome=Outcome.ACCEPTED, cost_usd=7),)
    assert decided(DATA, policy=budget, history=history, expected_cost_usd=3).proposed
    assert "7.00 USD were spent" in decided(DATA, policy=budget, history=history, expected_cost_usd=4).text
    assert "is not known" in decided(DATA, policy=budget, history=history).text
    assert decided(DATA, policy=budget, expected_cost_usd=10).proposed
    before = (Retraining(begun=NOW - 5 * DAY, outcome=Outcome.ACCEPTED),)
    assert decided(DATA, policy=budget, history=before, expected_cost_usd=5).proposed, "it counts as another would"
    assert "6.00 USD were spent" in decided(DATA, policy=budget, history=before, expected_cost_usd=6).text


def test_the_day_that_is_declared_already_asks_for_nothing_for_the_same_data_would_come_out():
    policy = {"data_parameter": "last_day"}
    held = decided(DATA, policy=policy, data_value="2026-01-20", next_data_value="2026-01-20")
    assert held.held_back == ("last_day is 2026-01-20 already, and would be 2026-01-20: the same data would come out",)
    assert decided(DATA, policy=policy, data_value="2026-01-20", next_data_value="2026-01-21").proposed
    assert decided(DATA, policy=policy, data_value=None, next_data_value="2026-01-20").proposed, "another stack trains"
    assert decided(DATA, data_value="2026-01-20", next_data_value="2026-01-20").proposed, "people decide what changes"


@pytest.mark.parametrize(
    "wrong",
    [
        {"triggers": []},
        {"triggers": [{"kind": "new-data"}]},
        {"triggers": [{"kind": "new-data", "rows": 5, "share": 0.1}]},
        {"triggers": [{"kind": "schedule", "schedule": "daily"}]},
        {"triggers": [{"kind": "new-data", "rows": 5}], "cooldownSeconds": 2_592_000, "mostInPeriod": 4},
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(wrong):
    with pytest.raises(ValidationError):
        RetrainingPolicy.model_validate(wrong)
