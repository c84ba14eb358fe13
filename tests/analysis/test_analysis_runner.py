"""The runner as the controller runs it: a process that compares replicas of two versions."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
from pydantic import Field
from replicas import AThirdOff, Broken, Replica, Slow, replicas
from serving_fakes import Ask, Told, seal_here

from heliostat.ml.contracts import Golden
from heliostat.ml.ground_truth import Label, record
from heliostat.serving.prediction_log.columns import Columns
from heliostat.serving.prediction_log.writer import PredictionLog
from heliostat.spec.analysis import Source, Verdict
from heliostat.spec.workload import PredictionLog as Settings

DISAGREEMENT = {"kind": "disagreement", "atMost": 0.01}
DISTANCE = {"kind": "prediction-distance", "field": "score", "atMost": 0.1}
METRIC = {"kind": "model-metric", "metric": "brier", "field": "score", "limit": 0.5}
SUCCESS = {"kind": "success-rate", "atLeast": 0.99}


class Narrow(Ask):
    """Takes no size above five."""

    size: float = Field(gt=0, le=5)


NARROW = Narrow.model_validate({"kind": "a", "size": 4.0, "when": "2013-07-09T19:30:00"})


def test_recent_requests_are_replayed_to_both_versions_and_leave_no_trace(start):
    with replicas(Replica(), Replica(AThirdOff, "2-new")) as (old, new):
        old.ask(30)
        runner = start(SUCCESS, DISAGREEMENT, DISTANCE).tell([new.url], [old.url])
        figures = runner.exhausted()
        assert (figures.source, figures.requests) == (Source.RECENT, 30)
        assert (figures.candidate.requests, figures.serving.requests, figures.candidate.failed) == (30, 30, 0)
        assert (figures.checks[1].candidate, figures.checks[1].rows) == (pytest.approx(10 / 30), 30)
        assert figures.checks[2].candidate > 0.1
        assert figures.serving.quantile_ms(0.5) > 0
        assert (old.seen, new.seen, len(new.log.entries)) == (30, 0, 0)
        assert runner.end().requests == 30


def test_a_failing_candidate_is_counted_as_failing(start):
    with replicas(Replica(), Replica(Broken, "2-new")) as (old, new):
        old.ask(30)
        figures = start(SUCCESS, DISAGREEMENT).tell([new.url], [old.url]).exhausted()
        assert (figures.candidate.failed, figures.serving.failed) == (30, 0)
        assert figures.checks[1].candidate == 1
        assert "status 500 instead of status 200" in figures.checks[1].text


def test_what_the_candidate_rejects_makes_up_for_no_prediction_and_ends_all_the_same(start):
    changes = {"row": Narrow, "examples": (NARROW,), "golden": ()}
    with replicas(Replica(), Replica(version="2-new", **changes)) as (old, new):
        old.ask(40)  # of sizes that it does not take
        figures = start(SUCCESS).tell([new.url], [old.url]).exhausted()
        assert figures.candidate.rejected == 40
        assert figures.serving.requests == figures.candidate.judged
        assert (figures.candidate.requests, figures.candidate.failed) == (30, 0), "its own example, again and again"


def test_a_slow_candidate_shows_in_its_latencies_alone(start):
    with replicas(Replica(), Replica(Slow, "2-new")) as (old, new):
        old.ask(30)
        figures = start().tell([new.url], [old.url]).exhausted()
        assert figures.candidate.quantile_ms(0.5) > 25
        assert figures.serving.quantile_ms(0.5) < 25


def test_without_clients_the_golden_requests_and_examples_are_repeated_but_compared_once(start):
    with replicas(Replica(), Replica(version="2-new")) as (old, new):
        figures = start(DISAGREEMENT).tell([new.url], [old.url]).exhausted()
        assert figures.source is Source.GOLDEN
        assert figures.candidate.requests == figures.serving.requests == 30
        # Its third request is one that the contract rejects: no prediction to agree on.
        assert (figures.checks[0].rows, figures.checks[0].candidate) == (2, 0)
        assert figures.candidate.failed == 0, "a refusal of what does not fit is no failure"


def test_too_few_recent_requests_are_sent_again_for_their_times_but_compared_once(start):
    with replicas(Replica(), Replica(version="2-new")) as (old, new):
        old.ask(9)
        figures = start(DISAGREEMENT, minRequests=40).tell([new.url], [old.url]).exhausted()
        assert (figures.source, figures.requests, figures.checks[0].rows) == (Source.RECENT, 40, 9 + 2)


def test_a_golden_request_that_only_the_candidates_contract_takes_is_no_disagreement(start):
    wide = {"kind": "a", "size": 7.0, "when": "2013-07-09T19:30:00"}
    new_contract = {"golden": (Golden("wide", wide),), "examples": (Ask.model_validate(wide),)}
    old_contract = {"golden": (), "row": Narrow, "examples": (NARROW,)}
    with replicas(Replica(**old_contract), Replica(version="2-new", **new_contract)) as (old, new):
        figures = start(DISAGREEMENT).tell([new.url], [old.url]).exhausted()
        assert (figures.requests, figures.checks[0].rows) == (0, 0)


def test_a_first_version_is_asked_alone(start):
    with replicas(Replica(version="2-new")) as (new,):
        figures = start(SUCCESS, DISAGREEMENT, serving=False).tell([new.url], []).exhausted()
        assert (figures.candidate.requests, figures.serving.requests) == (30, 0)
        assert (figures.checks[1].candidate, figures.checks[1].rows) == (None, 0)


def test_the_prediction_log_makes_up_for_missing_recent_requests(start, store, tmp_path):
    spool = tmp_path / "tmp" / f"heliostat-{os.getuid()}" / "predictions"
    for name, sealed in (("stored", True), ("unsealed", False)):
        log = PredictionLog(
            Settings(flush_seconds=0.05), store, spool, "halves", "1-old", Columns.of(Ask, Told), seal=seal_here
        )
        with replicas(Replica(log=log)) as (before,):
            before.ask(20, name)
            if sealed:
                log.close()
    with replicas(Replica(), Replica(AThirdOff, "2-new")) as (old, new):
        figures = start(DISAGREEMENT, minRequests=40).tell([new.url], [old.url]).exhausted()
        assert (figures.source, figures.requests) == (Source.PREDICTION_LOG, 40)
        assert figures.checks[0].rows == 40
        assert figures.checks[0].candidate == pytest.approx(12 / 40, abs=0.05)
        assert figures.candidate.failed == 0
    log.close()


def test_it_waits_for_a_candidate_that_is_not_there_and_says_so(start):
    with replicas(Replica(), Replica(version="2-new")) as (old, new):
        old.ask(30)
        new.stop()
        runner = start().tell([new.url], [old.url])
        assert "no replica of 2-new" in runner.until(lambda figures: "2-new" in figures.error).error
        new.start()
        figures = runner.exhausted()
        assert (figures.candidate.requests, figures.candidate.failed, figures.error) == (30, 0, "")


def test_a_replica_that_goes_away_costs_no_request_while_another_is_there(start):
    with replicas(Replica(), Replica(version="2-new"), Replica(version="2-new")) as (old, first, second):
        old.ask(200)
        runner = start(minRequests=200, seconds=10).tell([first.url, second.url], [old.url])
        runner.until(lambda figures: figures.requests > 20)
        first.stop()
        figures = runner.exhausted()
        assert (figures.candidate.requests, figures.candidate.failed) == (200, 0)


def test_the_end_of_stdin_ends_it_before_there_was_anything_to_do(start):
    figures = start().end()
    assert (figures.requests, figures.exhausted) == (0, False)


def test_a_model_metric_is_made_of_logged_requests_whose_truth_is_known(start, store, tmp_path):
    spool = tmp_path / "spool"
    log = PredictionLog(Settings(flush_seconds=0.05), store, spool, "halves", "1-old", Columns.of(Ask, Told), seal=seal_here)
    with replicas(Replica(log=log)) as (before,):
        before.ask(40, "past", size=2.0)
        log.close()
    record(store, "halves", [Label(f"past-{number}", number % 2) for number in range(0, 40, 2)])
    with replicas(Replica(), Replica(AThirdOff, "2-new")) as (old, new):
        old.ask(30)
        figures = start(METRIC, minRequests=20).tell([new.url], [old.url]).exhausted()
        assert figures.checks[0].rows == 20
        assert figures.checks[0].candidate == figures.checks[0].serving == pytest.approx(1.0)


def test_an_analysis_runner_that_is_killed_begins_anew(start):
    with replicas(Replica(), Replica(version="2-new")) as (old, new):
        old.ask(30)
        first = start(DISAGREEMENT, minRequests=1000, seconds=60).tell([new.url], [old.url])
        first.until(lambda figures: figures.requests > 0)
        first.kill()
        figures = start(DISAGREEMENT).tell([new.url], [old.url]).exhausted()
        assert (figures.source, figures.requests) == (Source.RECENT, 30)


def test_without_ground_truth_a_model_metric_says_so(start):
    with replicas(Replica(), Replica(version="2-new")) as (old, new):
        figures = start(METRIC).tell([new.url], [old.url]).exhausted()
        assert (figures.checks[0].candidate, figures.checks[0].text) == (None, "there is no ground truth")


def test_a_check_of_ones_own_runs_the_candidates_code(start, store, tmp_path):
    code_uri = package(store, "mine.py", OWN)
    checks = [{"kind": "custom", "name": name, "function": f"mine:{name}"} for name in ("agrees", "crashes", "share")]
    checks[2]["atLeast"] = 0.5
    command = {
        "kind": "custom",
        "name": "own-command",
        "command": ["sh", "-c", "test -n $HELIOSTAT_CANDIDATE_URL && echo 0.25"],
    }
    with replicas(Replica(), Replica(version="2-new")) as (old, new):
        old.ask(30)
        runner = start(*checks, command, code_uri=code_uri).tell([new.url], [old.url])
        found = runner.until(lambda figures: len(figures.checks) == 4).checks
        assert (found[0].verdict, found[0].rows) == (Verdict.PASS, 30)
        assert found[1].verdict is Verdict.INCONCLUSIVE
        assert "ZeroDivisionError" in found[1].text
        assert (found[2].verdict, found[2].candidate) == (None, 1.0)
        assert (found[3].verdict, found[3].candidate) == (Verdict.PASS, 0.25)
        assert new.seen == 0, "a check's requests are no client's"


def test_a_check_of_ones_own_runs_within_what_is_left_of_the_time(start, store):
    check = {"kind": "custom", "name": "own", "command": ["true"]}
    code_uri = package(store, "mine.py", OWN)
    with replicas(Replica(), Replica(version="2-new")) as (old, new):
        runner = start(check, shadow_share=1.0, seconds=600, elapsed=590, minRequests=10**6, code_uri=code_uri)
        figures = runner.tell([new.url], [old.url]).until(lambda figures: 0 in figures.checks)
        assert figures.checks[0].verdict is Verdict.PASS
        assert not figures.exhausted


def package(store, name, source):
    folder = store.uri.removeprefix("file://")
    Path(folder, "code").mkdir(parents=True)
    with zipfile.ZipFile(f"{folder}/code/abc.zip", "w") as archive:
        archive.writestr(f"package/{name}", source)
    return f"{store.uri}/code/abc.zip"


OWN = """
from heliostat.ml.checks import Candidate, Outcome
from heliostat.spec.analysis import Verdict

def agrees(candidate: Candidate) -> Outcome:
    body = {"kind": "a", "size": 4.0, "when": "2013-07-09T19:30:00"}
    same = candidate.ask(body).json == candidate.ask_serving(body).json
    return Outcome(Verdict.PASS if same else Verdict.FAIL, rows=len(candidate.samples))

def crashes(candidate):
    print("noise")
    return 1 / 0

def share(candidate):
    return sum(sample.candidate.status == 200 for sample in candidate.samples) / len(candidate.samples)
"""
