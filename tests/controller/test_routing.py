"""By what clients are known, and when they are dealt anew."""

from __future__ import annotations

from test_controller import desired

from heliostat.controller.routing import known_by
from heliostat.rollout.model import Colour, Observed, Progress, State
from heliostat.spec.rollouts import Phase
from heliostat.spec.strategies import Affinity, BlueGreen, Canary, CanaryStep, Strategy

COOKIE = Affinity(cookie="who")
BY_COOKIE = Canary(steps=(CanaryStep(weight=10),), affinity=COOKIE)
NEW = desired(2).version.digest


def state(strategy: Strategy = BY_COOKIE, share: int = 0, phase: Phase = Phase.SHIFTING, direct: bool = False) -> State:
    rollout = Progress(
        number=2, phase=phase, strategy=strategy, way_back=strategy, candidate=Colour.GREEN, target=desired(2),
        started_at=1.0, since=1.0, direct=direct,
    )  # fmt: skip
    return State(name="flights", share=share, rollout=rollout)


def test_the_candidates_digest_deals_them_while_all_are_on_one_version() -> None:
    assert known_by(state(), Observed(share=0), (None, "")) == (COOKIE, NEW)
    assert known_by(state(), Observed(share=0), (COOKIE, "old")) == (COOKIE, NEW)


def test_nobody_is_dealt_anew_while_clients_are_on_both() -> None:
    assert known_by(state(share=1_000), Observed(share=1_000), (COOKIE, "old")) == (COOKIE, "old")
    # On its way there, or back from where another one left it.
    assert known_by(state(share=1_000), Observed(share=0), (COOKIE, "old")) == (COOKIE, "old")
    assert known_by(state(share=0), Observed(share=1_000), (COOKIE, "old")) == (COOKIE, "old")


def test_those_that_are_known_for_the_first_time_are_dealt_at_any_share() -> None:
    assert known_by(state(share=1_000), Observed(share=1_000), (None, "")) == (COOKIE, NEW)


def test_they_stay_dealt_once_it_has_ended() -> None:
    ended = state(share=10_000, phase=Phase.SUCCEEDED)
    assert known_by(ended, Observed(share=10_000), (COOKIE, "old")) == (COOKIE, "old")


def test_a_strategy_without_it_knows_nobody() -> None:
    assert known_by(state(BlueGreen()), Observed(), (COOKIE, "old"))[0] is None


def test_the_way_back_and_what_never_had_a_rollout_change_nothing() -> None:
    assert known_by(state(BlueGreen(), direct=True), Observed(), (COOKIE, "old")) == (COOKIE, "old")
    assert known_by(State(name="flights"), Observed(), (None, "")) == (None, "")
