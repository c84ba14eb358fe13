"""What a round does next, by who answered."""

from __future__ import annotations

import pytest

from heliostat.federated.messages import Step
from heliostat.federated.rounds import OpenRound, Verdict, threshold_of, verdict

CASES = [
    # step, answered, pending, required, late, what follows
    (Step.FIT, 2, 0, 2, False, Verdict.GO_ON),
    (Step.FIT, 2, 1, 2, False, Verdict.WAIT),
    (Step.FIT, 2, 1, 2, True, Verdict.GO_ON),
    (Step.FIT, 1, 1, 2, True, Verdict.WAIT),
    (Step.FIT, 0, 0, 2, False, Verdict.WAIT),
    (Step.KEYS, 1, 0, 3, True, Verdict.WAIT),
    (Step.SHARES, 2, 1, 3, False, Verdict.WAIT),
    (Step.SHARES, 2, 1, 3, True, Verdict.RESTART),
    (Step.MASKED, 2, 0, 3, False, Verdict.RESTART),
    (Step.MASKED, 3, 1, 3, True, Verdict.GO_ON),
    (Step.REVEAL, 3, 2, 3, False, Verdict.GO_ON),
    (Step.REVEAL, 2, 1, 3, True, Verdict.RESTART),
]


@pytest.mark.parametrize(("step", "answered", "pending", "required", "late", "wanted"), CASES)
def test_a_step_ends_as_it_should(step: Step, answered: int, pending: int, required: int, late: bool, wanted: Verdict) -> None:
    assert verdict(step, answered, pending, required, late) is wanted


def test_masks_need_more_than_half_of_those_that_share_them() -> None:
    assert [threshold_of(members, 3) for members in (3, 4, 5, 6, 10)] == [3, 3, 3, 4, 6]


def test_an_attempt_begins_anew_in_the_same_round_and_a_round_after_it_with_none() -> None:
    state = OpenRound().after(Step.KEYS, frozenset({"b", "a"}))
    assert state.passed == {Step.KEYS: ("a", "b")}
    assert (state.again().round, state.again().attempt, state.again().passed) == (1, 2, {})
    assert (state.again().next().round, state.again().next().attempt) == (2, 1)
