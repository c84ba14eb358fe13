import json
from contextlib import contextmanager

import pytest

from bench import soak
from bench.answers import Answers
from bench.commands import MeasurementError
from bench.soak import INTERRUPTED, Round, judged, load, save, sources_digest, summary


def a_round(strategy="canary", requests=1000, failed=0, sources="abc", end="succeeded"):
    return Round(strategy, requests, failed, 12.5, 20.0, 1.0, "commit", sources, end)


def test_rounds_are_kept_and_counted_only_with_the_sources_that_they_measured(tmp_path):
    path = tmp_path / "soak.json"
    save(path, [a_round(), a_round(sources="other")])
    assert load(path, "abc") == [a_round()]
    assert load(path, "none") == []
    assert load(tmp_path / "missing.json", "abc") == []


def test_a_file_of_too_few_requests_says_that_it_is_not_complete(tmp_path):
    path = tmp_path / "soak.json"
    save(path, [a_round()])
    assert json.loads(path.read_text())["complete"] is False
    save(path, [a_round(requests=soak.REQUESTS)])
    assert json.loads(path.read_text())["complete"] is True


def test_a_summary_counts_by_strategy():
    found = summary([a_round(), a_round("rolling", failed=2), a_round()])
    assert found["requests"] == 3000
    assert found["by_strategy"] == {
        "canary": {"rollouts": 2, "requests": 2000, "failed": 0},
        "rolling": {"rollouts": 1, "requests": 1000, "failed": 2},
    }
    assert summary([])["requests"] == 0


def test_the_strategies_that_promise_to_lose_nothing_take_turns():
    assert [strategy.kind for strategy in soak.STRATEGIES] == ["blue-green", "canary", "rolling"]


def test_a_change_of_the_library_is_another_soak(tmp_path):
    (tmp_path / "heliostat" / "controller").mkdir(parents=True)
    before = sources_digest(tmp_path)
    (tmp_path / "heliostat" / "controller" / "a.py").write_text("1")
    assert sources_digest(tmp_path) != before


def test_rounds_kept_before_ends_were_told_had_succeeded(tmp_path):
    path = tmp_path / "soak.json"
    save(path, [a_round()])
    kept = json.loads(path.read_text())
    del kept["rounds"][0]["end"]
    path.write_text(json.dumps(kept))
    assert load(path, "abc") == [a_round()]


def test_the_row_holds_only_where_every_rollout_succeeded_and_no_request_failed():
    assert judged([a_round(), a_round()]).holds
    assert not judged([a_round(), a_round(failed=1)]).holds
    found = judged([a_round(), a_round(end="rollout 2 is failed", requests=500)])
    assert (found.holds, found.value, found.figures["requests"]) == (False, 0, 1500)
    assert "canary, 0 of 500 requests failed: rollout 2 is failed" in found.error


class Session:
    """A load of 40,000 requests a round, of which as many fail as said, and rollouts that end as said."""

    stack = None

    def __init__(self, failing=(), ends=()):
        self.failing, self.ends = list(failing), list(ends)
        self.told, self.finished = [], 0

    def tell(self, text):
        self.told.append(text)

    @contextmanager
    def arrivals(self, rate):
        yield self

    def finish(self):
        self.finished += 1
        failed = self.failing.pop(0) if self.failing else 0
        return Answers.of([(float(n), 1.0, "no answer: EOF" if n < failed else "", "1") for n in range(400)])

    # What `ReleaseDriver` does.
    def next(self, strategy):
        return strategy

    def begin(self, desired):
        return 1

    def ends_well(self, number):
        end = self.ends.pop(0) if self.ends else None
        if end:
            raise end


@pytest.fixture
def file(tmp_path, monkeypatch):
    path = tmp_path / "soak.json"
    for name, value in {"FILE": path, "REQUESTS": 1200, "_REST_S": 0, "sources_digest": lambda: "abc"}.items():
        monkeypatch.setattr(soak, name, value)
    monkeypatch.setattr(soak.report, "commit", lambda root: "commit")
    return path


@pytest.fixture
def run(file, monkeypatch):
    def run(session):
        monkeypatch.setattr(soak, "ReleaseDriver", lambda stack: session)
        (result,) = soak.soak(session)
        return result

    return run


def test_a_run_in_which_all_goes_well_holds(run):
    session = Session()
    result = run(session)
    assert (result.holds, result.value, result.figures["requests"]) == (True, 0, 1200)
    assert session.finished == 3


def test_a_round_whose_rollout_failed_is_kept_with_what_it_failed_and_no_later_run_forgets_it(run, file):
    failed = MeasurementError("the rollout succeeds: rollout 2 is failed")
    first = run(Session(failing=[0, 7], ends=[None, failed]))
    assert (first.holds, first.value) == (False, 7)
    assert [(each.failed, each.end == "succeeded") for each in load(file, "abc")] == [(0, True), (7, False)]
    second = run(Session())
    assert (second.holds, second.value, second.figures["requests"]) == (False, 7, 1200)
    assert "rollout 2 is failed" in second.error


def test_a_controller_that_went_away_in_a_round_is_kept_as_its_end(run, file):
    assert not run(Session(ends=[ConnectionResetError("gone")])).holds
    assert [each.end for each in load(file, "abc")] == ["gone"]


def test_a_round_that_a_person_interrupts_is_kept_only_where_requests_failed(run, file):
    session = Session(ends=[KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        run(session)
    assert session.finished == 1
    assert load(file, "abc") == []
    with pytest.raises(KeyboardInterrupt):
        run(Session(failing=[2], ends=[KeyboardInterrupt()]))
    assert [(each.failed, each.end) for each in load(file, "abc")] == [(2, INTERRUPTED)]
    assert not run(Session()).holds


def test_a_rollout_that_failed_is_told_even_where_its_load_cannot_be(run, file, monkeypatch):
    session = Session(ends=[MeasurementError("it rolled back")])
    monkeypatch.setattr(session, "finish", lambda: (_ for _ in ()).throw(MeasurementError("vegeta failed")))
    result = run(session)
    assert not result.holds
    assert "it rolled back\nand what its load saw is unknown: vegeta failed" in result.error
