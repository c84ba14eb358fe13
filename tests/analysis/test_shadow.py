"""The runner beside clients: copies of what they send while they send it, and replays as soon as that is too little."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Annotated

import pytest
from replicas import AThirdOff, Replica, replicas, until
from serving_fakes import Ask

from heliostat.analysis.runner import sends_too_few
from heliostat.ml.personal import never_logged
from heliostat.serving.tap import sampled
from heliostat.spec.analysis import Source

DISAGREEMENT = {"kind": "disagreement", "atMost": 0.01}
SUCCESS = {"kind": "success-rate", "atLeast": 0.99}


def test_a_shadow_copies_requests_while_they_come_and_asks_only_the_candidate(start):
    with replicas(Replica(), Replica(AThirdOff, "2-new")) as (old, new):
        old.ask(10, "before")
        runner = start(DISAGREEMENT, shadow_share=1.0, seconds=60).tell([new.url], [old.url])
        copied = followed(runner, old)
        asked = old.seen
        old.ask(30)
        figures = runner.until(lambda figures: figures.requests >= copied + 30)
        assert figures.source is Source.SHADOW
        assert figures.serving.requests == figures.candidate.requests == copied + 30
        assert old.seen == asked + 30, "what serves was sent no copies"
        assert figures.checks[0].candidate == pytest.approx(10 / (copied + 30))
        assert not figures.exhausted


class Sized(Ask):
    size: Annotated[float, never_logged()]


def test_of_personal_fields_a_shadow_has_example_values_and_asks_both_the_same(start):
    changes = {"row": Sized, "examples": (Sized(kind="a", size=4, when=dt.datetime(2013, 7, 9)),), "golden": ()}
    with replicas(Replica(**changes), Replica(version="2-new", **changes)) as (old, new):
        old.ask(10, "before")
        runner = start(DISAGREEMENT, shadow_share=1.0, seconds=60).tell([new.url], [old.url])
        copied = followed(runner, old)
        old.ask(30)
        figures = runner.until(lambda figures: figures.requests >= copied + 30)
        assert figures.checks[0].candidate == 0, "what clients were answered is of other sizes than the copies have"


def test_a_shadow_without_traffic_replays_what_there_is(start):
    with replicas(Replica(), Replica(version="2-new")) as (old, new):
        figures = start(SUCCESS, shadow_share=0.5, seconds=2).tell([new.url], [old.url]).exhausted()
        assert (figures.source, figures.requests) == (Source.GOLDEN, 30)


@pytest.mark.parametrize(
    ("copied", "seconds", "left", "few"),
    [
        (50, 100, 50, False),
        (49, 100, 50, True),
        (90, 100, 12, False),
        (90, 100, 9, True),
        (100, 100, 0, False),
        (99, 100, 0, True),
        (0, 0, 0, True),
        (0, 100, 100, True),
    ],
)
def test_clients_send_too_few_where_going_on_like_that_does_not_reach_what_is_needed(copied, seconds, left, few):
    assert sends_too_few(copied, seconds, left, 100) is few


def test_a_shadow_whose_clients_stop_in_its_second_half_replays_what_there_is(start):
    with replicas(Replica(), Replica(version="2-new")) as (old, new):
        runner = start(SUCCESS, shadow_share=1.0, seconds=6).tell([new.url], [old.url])
        copied = followed(runner, old)
        old.ask(24 - copied)
        runner.until(lambda figures: figures.requests == 24)
        figures = runner.exhausted()
        assert (figures.source, figures.requests) == (Source.RECENT, 30)


def test_a_shadow_that_is_begun_again_late_replays_within_what_is_left_of_its_time(start):
    with replicas(Replica(), Replica(version="2-new")) as (old, new):
        for elapsed in (597, 700):
            figures = start(SUCCESS, shadow_share=0.5, seconds=600, elapsed=elapsed).tell([new.url], [old.url]).exhausted()
            assert (figures.source, figures.requests) == (Source.GOLDEN, 30)


def test_a_part_of_the_requests_is_copied_by_their_ids(start):
    with replicas(Replica(), Replica(version="2-new")) as (old, new):
        runner = start(SUCCESS, shadow_share=0.25, seconds=60, minRequests=10).tell([new.url], [old.url])
        copied = followed(runner, old)
        old.ask(400)
        expected = sum(sampled(b"r-%d" % number, 0.25) for number in range(400))
        assert 70 < expected < 130
        assert runner.until(lambda figures: figures.requests >= copied + expected).requests == copied + expected


def followed(runner, old):
    """Waits until the runner follows what serves; how many requests it copied until then."""
    asked = itertools.count()

    def is_copied(figures):
        old.ask(1, f"warm-{next(asked)}")
        return figures.requests > 0

    runner.until(is_copied)
    return until(lambda: (copied := runner.settled()) and copied.requests)
