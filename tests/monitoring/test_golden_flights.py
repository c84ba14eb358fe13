"""A year of flights, month by month, by a model of January and February: what must be told, and what must stay silent."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import binom

from heliostat.monitoring.alarms import Alarms, Event, advance
from heliostat.monitoring.bias import bias
from heliostat.monitoring.fairness import fairness
from heliostat.monitoring.join import Join
from heliostat.monitoring.judging import Judge
from heliostat.monitoring.labels import labels_in
from heliostat.monitoring.logged import Reading, read
from heliostat.monitoring.looking import Look
from heliostat.monitoring.quality import quality
from heliostat.monitoring.remedies import remedies
from heliostat.monitoring.retraining import Known, decide
from heliostat.monitoring.sampling import Labelled, Sample
from heliostat.monitoring.windows import assign, micros, numbers_of, window
from heliostat.spec.fairness_watches import FairnessWatch
from heliostat.spec.findings import Aspect, State
from heliostat.spec.monitors import Monitor
from heliostat.spec.notifications import AlarmPolicy
from heliostat.spec.problem import Problem
from heliostat.spec.retraining import FindingTrigger, RetrainingPolicy
from heliostat.spec.tasks import Binary
from heliostat.spec.watches import BiasWatch, Calendar, EstimateWatch, QualityWatch

pytest.importorskip("lightgbm", reason="it comes with the flights")
NOW = datetime(2014, 1, 10, tzinfo=UTC)
PROBLEM = Problem(task=Binary())
EVERY, MARCH = Calendar.MONTH, 518
MONTHS = (MARCH, 524, 527)  # and September and December
MONITOR = Monitor(
    quality=(QualityWatch(metric="roc_auc", margin=0.025, slices=("origin",)),),
    bias=BiasWatch(lowest=0.8, highest=1.25),
    estimate=(EstimateWatch(metric="roc_auc", margin=0.025),),
)


@pytest.fixture(scope="module")
def flights():
    """A row a flight: when, from where, what the model says, and whether it was late; and which rows it was fitted on."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    from workloads.flights.dataset import snapshot

    tables = snapshot({})
    table = pa.concat_tables([tables.train, tables.validation, tables.test]).sort_by("scheduled_departure")
    departure = table["scheduled_departure"].cast(pa.timestamp("us", "UTC"))
    moments, _ = micros(departure)
    hours = moments // 3_600_000_000
    codes = [
        table[name].combine_chunks().dictionary_encode().indices.to_numpy() for name in ("carrier", "origin", "destination")
    ]
    features = np.column_stack([*codes, hours % 24, hours // 24 % 7, table["distance_miles"].to_numpy()])
    label = table[tables.label].to_numpy().astype(float)
    day, early = hours // 24, numbers_of(moments, EVERY) < MARCH
    fitted = early & (day % 3 != 0)
    model = HistGradientBoostingClassifier(max_iter=40, categorical_features=[0, 1], random_state=0).fit(
        features[fitted], label[fitted]
    )
    frame = pa.table(
        {
            "request_id": [f"f{number}" for number in range(len(label))],
            "row": pa.array(np.zeros(len(label)), pa.int32()),
            "time": departure,
            "version": ["1"] * len(label),
            "prediction_late": model.predict_proba(features)[:, 1],
            "input_origin": table["origin"],
            "input_carrier": table["carrier"],
        }
    )
    return frame, label, early & ~fitted, ~early


def joined(tmp_path, frame, label):
    """Files of the log, and labels that came a day later, as a monitor reads and joins them."""
    log = tmp_path / "log.parquet"
    pq.write_table(frame, log)
    reading, join = Reading(), Join(tmp_path / "join", 2 * frame.num_rows, NOW)
    for table in read([("log", log)], [("prediction_late", "prediction"), ("input_origin", "origin")], reading):
        join.add_predictions(table)
    known = pa.array(micros(frame["time"])[0] + 86_400_000_000, pa.timestamp("us", "UTC"))
    truth = labels_in(pa.table({"request_id": frame["request_id"], "label": label, "time": known}))
    join.add_labels(truth.table)
    found = pa.concat_tables(join.joined())
    assert join.counts.coverage == 1 and (*join.counts.problems, *reading.problems, truth.problem) == ("",)
    return found


@pytest.fixture(scope="module")
def look(flights, tmp_path_factory):
    """A monitor that has the months before it, and is held against days that the model did not see."""
    frame, label, held, later = flights
    month = numbers_of(micros(frame["time"])[0], EVERY)
    chosen = held | (later & np.isin(month, MONTHS))
    table = joined(tmp_path_factory.mktemp("year"), frame.filter(pa.array(chosen)), label[chosen])
    numbers = numbers_of(micros(table["time"])[0], EVERY)
    sample = Sample(PROBLEM.task, ("origin",))
    sample.add(table.filter(pa.array(numbers < MARCH)))
    found = Look(MONITOR, "flights", PROBLEM, sample.labelled(), lambda times, there: assign(times, there, EVERY, NOW).numbers)
    found.add(table)
    return found


@pytest.fixture(scope="module")
def reports(look):
    """What was found in each month, by its name."""
    return {(there := window(number, EVERY)).name: look.report(number, there) for number in sorted(look.held)}


def breached(report):
    return {(finding.aspect, finding.subject) for finding in report.findings if finding.state is State.BREACH}


AREA, RATIO = (Aspect.QUALITY, "roc_auc"), (Aspect.PREDICTION_BIAS, "ratio")


def test_quality_and_bias_are_told_where_the_model_decays(reports):
    area = {name: report.quality[0].overall.interval.value for name, report in reports.items()}
    expected = {"2013-03": 0.632, "2013-09": 0.585, "2013-12": 0.597}
    assert {name: area[name] for name in expected} == pytest.approx(expected, abs=0.015)
    assert {name for name, report in reports.items() if AREA in breached(report)} == {"2013-09", "2013-12"}
    ratios = {name: report.bias.ratio.value for name, report in reports.items()}
    assert ratios["2013-09"] > 1.4 and ratios["2013-12"] < 0.8
    assert {"2013-09", "2013-12"} <= {name for name, report in reports.items() if RATIO in breached(report)}
    assert RATIO not in breached(reports["2013-03"])
    assert any(subject.startswith("roc_auc[origin=") for _, subject in breached(reports["2013-09"]))


def test_a_year_s_loss_is_told_as_concept_drift_and_a_month_that_is_right_asks_for_nothing(reports):
    for name in ("2013-09", "2013-12"):
        [told] = remedies(reports[name].findings)
        assert told.startswith(f"In {name} the model is worse") and "concept drift" in told and "labelled anew" in told
    assert remedies(reports["2013-03"].findings) == ()


def test_an_estimate_without_labels_does_not_see_what_concept_drift_did_and_says_so(reports):
    for name in ("2013-09", "2013-12"):
        [estimate] = reports[name].estimates
        assert estimate.value > reports[name].quality[0].overall.interval.high, "it goes on as if nothing had happened"
        [finding] = [each for each in reports[name].findings if each.aspect is Aspect.ESTIMATE]
        assert finding.state is State.OK and "concept drift cannot be seen" in finding.text


def test_bad_months_in_a_row_are_one_alarm_and_a_retraining_is_proposed(reports):
    state, events = Alarms(), []
    for report in reports.values():
        state, told = advance(state, report.findings, AlarmPolicy(repeat_seconds=0), report.findings[0].at)
        events += [(each.event, each.alarm.key) for each in told]
    assert events.count((Event.FIRING, "flights/quality/roc_auc")) == 1
    assert (Event.FIRING, "flights/prediction-bias/ratio") in events
    policy = RetrainingPolicy(triggers=(FindingTrigger(windows=2, aspects=(Aspect.QUALITY,)),))
    findings = tuple(finding for report in reports.values() for finding in report.findings)
    known = Known(trained=datetime(2013, 3, 1, tzinfo=UTC), trained_rows=30_000, new_rows=250_000, findings=findings)
    decision = decide(policy, known, NOW)
    assert decision.proposed and "flights/quality/roc_auc in 2 windows one after another" in decision.text


def test_days_of_the_same_months_that_the_model_did_not_see_are_silent(reports):
    assert breached(reports["2013-01"]) == breached(reports["2013-02"]) == set()


def test_a_larger_or_a_smaller_sample_of_the_same_is_silent(look):
    drawn = np.random.default_rng(0).permutation(len(look.reference)) < len(look.reference) // 4
    part = look.reference.part(drawn)
    for here, there in ((look.reference, part), (part, look.reference)):
        assert not wrong(here, there)


def test_labels_in_another_order_are_told_at_once_though_their_mean_is_the_same(look):
    mixed = replace(look.reference, labels=np.random.default_rng(0).permutation(look.reference.labels))
    assert wrong(mixed, look.reference) == {AREA}


def wrong(labelled, reference):
    judge, [watch] = Judge("flights", "", NOW), MONITOR.quality
    alone = watch.model_copy(update={"slices": ()})
    found = judge.quality(quality(PROBLEM, labelled, alone), alone, True, quality(PROBLEM, reference, alone))
    found += judge.bias(bias(PROBLEM.task, labelled, 0.95), MONITOR.bias)
    return {(finding.aspect, finding.subject) for finding in found if finding.state is State.BREACH}


BY_CARRIER = FairnessWatch(column="carrier", at_most=0.15)
BY_ORIGIN = FairnessWatch(column="origin", at_most=0.2)


def groups_of(flights, chosen):
    """Rows of the log with what is watched of groups: what was late is called so of one carrier oftener than of another."""
    frame, label, *_ = flights
    part = frame.filter(pa.array(chosen))
    columns = {name: part[f"input_{name}"].combine_chunks() for name in ("origin", "carrier")}
    scores, requests = part["prediction_late"].to_numpy(), np.arange(part.num_rows, dtype=np.uint64)
    return Labelled(label[chosen], scores, requests, columns)


def judged_fairness(rows, watch):
    return Judge("flights", "", NOW).fairness(fairness(rows, watch), watch)


@pytest.fixture(scope="module")
def month(flights):
    return numbers_of(micros(flights[0]["time"])[0], EVERY)


@pytest.mark.parametrize("number", MONTHS)
def test_carriers_whose_late_flights_are_told_less_often_are_an_alarm_and_airports_are_none(flights, month, number):
    rows = groups_of(flights, month == number)
    finding = judged_fairness(rows, BY_CARRIER)
    assert finding.state is State.BREACH and finding.value > 0.18
    assert re.search(r"surest to differ are EV \(\d\d\.\d%\) and \w\w \(0\.0%\) in (true|false) positives", finding.text)
    assert "too small to be compared: " in finding.text and "VX (" in finding.text
    assert judged_fairness(rows, BY_ORIGIN).state is State.OK


def test_ten_months_at_once_are_as_silent_as_one_and_so_is_a_tiny_carrier(flights, month):
    later = groups_of(flights, month >= MARCH)
    found = judged_fairness(later, BY_ORIGIN)
    assert found.state is State.OK and found.value < 0.2
    carriers = np.array(later.columns["carrier"])
    few = np.isin(carriers, ("DL", "UA"))
    far = np.flatnonzero(carriers == "EV")
    few[far[:: len(far) // 40][:40]] = True  # of the carrier that is far away there are forty flights
    for least, text in ((500, "too small to be compared: EV (40 rows)"), (1, "EV (")):
        finding = judged_fairness(later.part(few), BY_CARRIER.model_copy(update={"min_rows": least}))
        assert finding.state is State.OK and text in finding.text
    assert finding.value > BY_CARRIER.limit, "it is beyond the limit, and may be so by chance"
    assert judged_fairness(later.part(few | (carriers == "EV")), BY_CARRIER).state is State.BREACH


def test_the_same_flights_in_groups_at_random_alarm_no_oftener_than_is_declared(flights, month):
    """Groups that mean nothing, held to no difference at all: however many there are, chance is no alarm."""
    rows = groups_of(flights, month == MARCH)
    asked = BY_CARRIER.model_copy(update={"at_most": 0.0, "min_rows": 20})
    for count in (3, 30, 300):
        wrong = 0
        for seed in range(20):
            names = pa.array(np.random.default_rng((count, seed)).integers(0, count, len(rows)).astype(str))
            wrong += judged_fairness(replace(rows, columns={"carrier": names}), asked).state is State.BREACH
        assert wrong <= binom.ppf(0.999, 20, 0.05)
