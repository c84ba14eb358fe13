from contextlib import contextmanager

import pytest

from bench import rollbacks
from bench.answers import Answers
from bench.rollbacks import pooled_percent


def answers(requests, failed, label="1-new"):
    good, bad = ("", label), ("no answer: EOF", "")
    return Answers.of([(float(-n), 1.0, *(bad if n < failed else good)) for n in range(requests)])


def test_the_share_that_failed_is_of_the_requests_of_all_rounds():
    assert pooled_percent([answers(1000, 5), answers(3000, 15)]) == pytest.approx(0.5)
    assert pooled_percent([]) == 0


def test_two_bad_rounds_of_five_cannot_hide_behind_the_others():
    rounds = [answers(1000, 6), answers(1000, 6), answers(1000, 6), answers(1000, 30), answers(1000, 30)]
    assert pooled_percent(rounds) > 1


class ReleaseDriver:
    """Rollbacks that take no time."""

    api = store = None

    def __init__(self, stack):
        self.api = self

    def next(self, strategy):
        label = {"version": type("Labelled", (), {"label": "1-new"})}
        return type("Desired", (), label)

    def begin(self, desired):
        return 1

    def until(self, *_):
        pass

    def rollback(self, name):
        pass

    def serving(self):
        pass


class Session:
    stack = None

    def __init__(self, failing):
        self.failing = list(failing)

    def tell(self, text):
        pass

    @contextmanager
    def arrivals(self, rate):
        yield self

    def finish(self):
        return answers(100, self.failing.pop(0))


@pytest.mark.parametrize(("failing", "holds"), [([0] * 5, True), ([0, 0, 1, 0, 0], False)])
def test_a_rollback_in_which_requests_failed_does_not_hold(failing, holds, monkeypatch):
    monkeypatch.setattr(rollbacks, "ReleaseDriver", ReleaseDriver)
    monkeypatch.setattr(rollbacks, "_AFTER_S", 0)
    monkeypatch.setattr(rollbacks.time, "time", lambda: 2.0)
    found = {result.row.name: result for result in rollbacks.rollback(Session(failing))}
    assert found["rollouts/rollback-failed"].holds is holds
    assert found["rollouts/rollback-failed"].value == sum(failing)
    assert found["rollouts/rollback"].value == 0
