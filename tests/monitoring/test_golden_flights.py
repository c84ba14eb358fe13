"""A year of flights, month by month, by a model of January and February: what must be told, and what must stay silent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from heliostat.monitoring.alarms import Alarms, Event, advance
from heliostat.monitoring.bias import bias
from heliostat.monitoring.cbpe import Cbpe
from heliostat.monitoring.join import Join
from heliostat.monitoring.judging import Judge
from heliostat.monitoring.labels import labels_in
from heliostat.monitoring.logged import Reading, read
from heliostat.monitoring.quality import quality
from heliostat.monitoring.retraining import Known, decide
from heliostat.monitoring.sampling import Sample
from heliostat.monitoring.windows import assign, micros, numbers_of, window
from heliostat.spec.findings import Aspect, State
from heliostat.spec.notifications import AlarmPolicy
from heliostat.spec.problem import Problem
from heliostat.spec.retraining import FindingTrigger, RetrainingPolicy
from heliostat.spec.tasks import Binary
from heliostat.spec.watches import BiasWatch, Calendar, QualityWatch

pytest.importorskip("lightgbm", reason="it comes with the flights")
NOW = datetime(2014, 1, 10, tzinfo=UTC)
PROBLEM = Problem(task=Binary())
QUALITY = QualityWatch(metric="roc_auc", margin=0.025, slices=("origin",), min_rows=500)
BIAS = BiasWatch(lowest=0.8, highest=1.25)
EVERY = Calendar.MONTH


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
    day, early = hours // 24, numbers_of(moments, EVERY) < 518  # March 2013
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
        }
    )
    return frame, label, early & ~fitted, ~early


def watched(tmp_path, frame, label, months):
    """What each month's monitor finds, out of files of the log and labels that came a day later."""
    log = tmp_path / "log.parquet"
    pq.write_table(frame, log)
    reading = Reading()
    join = Join(tmp_path / "join", 2 * frame.num_rows, NOW)
    for table in read([("log", log)], [("prediction_late", "prediction"), ("input_origin", "origin")], reading):
        join.add_predictions(table)
    known = pa.array([time + timedelta(days=1) for time in frame["time"].to_pylist()], pa.timestamp("us", "UTC"))
    truth = labels_in(pa.table({"request_id": frame["request_id"], "label": label, "time": known}))
    join.add_labels(truth.table)
    samples = {}
    for table in join.joined():
        numbers = assign(*micros(table["time"]), EVERY, NOW).numbers
        for number in np.unique(numbers).tolist():
            samples.setdefault(number, Sample(PROBLEM.task, ("origin",))).add(table.filter(pa.array(numbers == number)))
    assert join.counts.coverage == 1 and (*join.counts.problems, *reading.problems, truth.problem) == ("",)
    return {number: samples[number].labelled() for number in sorted(samples) if number in months}


@pytest.fixture(scope="module")
def year(flights, tmp_path_factory):
    frame, label, held, later = flights
    chosen = held | later
    months = watched(tmp_path_factory.mktemp("year"), frame.filter(pa.array(chosen)), label[chosen], range(516, 528))
    early = [months.pop(516), months.pop(517)]
    return early, months


@pytest.fixture(scope="module")
def reference(flights):
    frame, label, held, _ = flights
    return sampled(frame.filter(pa.array(held)), label[held])


def sampled(frame, label):
    sample = Sample(PROBLEM.task, ("origin",))
    names = {"prediction_late": "prediction", "input_origin": "origin"}
    table = frame.rename_columns([names.get(name, name) for name in frame.column_names])
    sample.add(table.append_column("label", pa.array(label)))
    return sample.labelled()


def findings_of(labelled, reference, number=519):
    there = window(number, EVERY)
    judge = Judge("flights", there.name, there.end)
    found = judge.quality(quality(PROBLEM, labelled, QUALITY), QUALITY, True, quality(PROBLEM, reference, QUALITY))
    return [*found, *judge.bias(bias(PROBLEM.task, labelled, BIAS.confidence), BIAS)]


def breached(findings):
    return {(finding.aspect, finding.subject) for finding in findings if finding.state is State.BREACH}


def test_quality_and_bias_are_told_where_the_model_decays(year, reference):
    _, months = year
    found = {window(number, EVERY).name: findings_of(labelled, reference, number) for number, labelled in months.items()}
    area = {name: findings[0].value for name, findings in found.items()}
    assert area["2013-03"] == pytest.approx(0.65, abs=0.02) and area["2013-09"] == pytest.approx(0.61, abs=0.02)
    overall = {name for name, findings in found.items() if (Aspect.QUALITY, "roc_auc") in breached(findings)}
    assert {"2013-07", "2013-09", "2013-12"} <= overall
    ratios = {name: findings[-1].value for name, findings in found.items()}
    assert ratios["2013-09"] > 1.4 and ratios["2013-12"] < 0.8
    biased = {name for name, findings in found.items() if (Aspect.PREDICTION_BIAS, "ratio") in breached(findings)}
    assert {"2013-09", "2013-12"} <= biased and "2013-03" not in biased
    assert any(subject.startswith("roc_auc[origin=") for _, subject in breached(found["2013-09"]))


def test_the_months_make_one_alarm_each_and_a_retraining_is_proposed(year, reference):
    _, months = year
    state, events, findings = Alarms(), [], []
    for number, labelled in months.items():
        findings += findings_of(labelled, reference, number)
        state, told = advance(state, findings[-5:], AlarmPolicy(repeat_seconds=None), window(number, EVERY).end)
        events += [(each.event, each.alarm.key) for each in told]
    assert events.count((Event.FIRING, "flights/quality/roc_auc")) <= 2, "months in a row are one alarm"
    assert (Event.FIRING, "flights/prediction-bias/ratio") in events
    policy = RetrainingPolicy(triggers=(FindingTrigger(windows=2, aspects=(Aspect.QUALITY,)),))
    trained = datetime(2013, 3, 1, tzinfo=UTC)
    known = Known(trained=trained, trained_rows=30_000, new_rows=250_000, findings=tuple(findings))
    decision = decide(policy, known, NOW)
    assert decision.proposed and "flights/quality/roc_auc in 2 windows one after another" in decision.text


def test_days_of_the_same_months_that_the_model_did_not_see_are_silent(year, reference):
    early, _ = year
    for labelled in early:
        assert breached(findings_of(labelled, reference)) == set()


def test_a_larger_sample_of_the_same_is_silent(reference):
    random = np.random.default_rng(0)
    drawn = random.permutation(len(reference)) < len(reference) // 4
    assert breached(findings_of(reference, reference.part(drawn))) == set()
    assert breached(findings_of(reference.part(drawn), reference)) == set()


def test_labels_in_another_order_are_told_at_once(reference):
    from dataclasses import replace

    mixed = replace(reference, labels=np.random.default_rng(0).permutation(reference.labels))
    assert (Aspect.QUALITY, "roc_auc") in breached(findings_of(mixed, reference))
    assert (Aspect.PREDICTION_BIAS, "ratio") not in breached(findings_of(mixed, reference)), "the means are as before"


def test_an_estimate_without_labels_does_not_see_what_concept_drift_did_and_says_so(year, reference):
    _, months = year
    september = months[524]
    estimate = Cbpe(reference.predictions, reference.labels).estimate("roc_auc", september.predictions)
    assert estimate.value == pytest.approx(0.68, abs=0.03), "it goes on as if nothing had happened"
    assert "concept drift cannot be seen" in estimate.text
