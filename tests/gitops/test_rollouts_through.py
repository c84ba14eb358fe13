"""What production waits for in staging: each application serves what is declared, and no rollout of it ended otherwise."""

from __future__ import annotations

import pytest
from rolled_back import entry, rollout, status, version

from heliostat.gitops.rollouts_through import NotThrough, brought_by, not_through
from heliostat.spec.rollouts import Origin, Phase, Status

OLD, NEW = version(1), version(2)
COMMIT, EARLIER = "c" * 40, "e" * 40
THROUGH = (Phase.RETAINING, Phase.RETIRING, Phase.SUCCEEDED)


def in_phase(phase: Phase, serving: int = 2, commit: str = COMMIT, **said: object) -> Status:
    moving = rollout(9, phase).model_copy(update={"origin": Origin(by="ci", commit=commit), **said})
    return status(version(serving)).model_copy(update={"rollout": moving})


def found(there: Status | None, brought: int | None = 2) -> list[NotThrough]:
    digest = version(brought).digest if brought is not None else ""
    return list(not_through(["bees"], {"bees": there} if there else {}, COMMIT, lambda _: digest))


@pytest.mark.parametrize("phase", THROUGH)
def test_what_serves_all_of_what_is_declared_is_through(phase: Phase):
    assert found(in_phase(phase)) == []


@pytest.mark.parametrize("phase", [each for each in Phase if each not in (*THROUGH, Phase.FAILED, Phase.SUPERSEDED)])
def test_what_moves_is_not_through_yet_but_for_what_is_on_its_way_back(phase: Phase):
    (one,) = found(in_phase(phase, serving=1, candidate_weight=0.2, steps=("a", "b"), error="too slow"))
    assert one.application == "bees" and one.may_come == (phase is not Phase.ROLLING_BACK)
    assert one.why.startswith("rollout 9 ")
    if phase is Phase.WAITING:
        assert one.why == "rollout 9 waits for a person, with 20 % of the traffic, step 1 of 2"


def test_a_rollout_that_has_not_begun_is_waited_for():
    for there in (None, status(OLD, pending=True)):
        assert found(there) == [NotThrough("bees", "its rollout has not begun", may_come=True)]


def test_what_was_rolled_back_does_not_come_by_waiting():
    back = NotThrough("bees", "rollout 9 was rolled back: too slow", may_come=False)
    failed = {"error": "\n too slow \nTraceback"}
    assert found(in_phase(Phase.FAILED, serving=1, **failed)) == [back]
    assert found(in_phase(Phase.FAILED, serving=1, commit=EARLIER, **failed)) == [back], "it is declared still"
    assert found(in_phase(Phase.FAILED, serving=2, **failed)) == [back], "a change of replicas has the same version"


def test_what_went_back_and_is_declared_no_more_is_through():
    assert found(in_phase(Phase.FAILED, serving=1, commit=EARLIER), brought=None) == [], "what is declared now serves"


def test_what_a_commit_brought_is_the_target_of_its_newest_rollout():
    entries = [entry(7, OLD, None), entry(6, NEW, COMMIT), entry(5, OLD, COMMIT), entry(4, OLD, EARLIER)]
    assert brought_by(entries, COMMIT, since=5) == NEW.digest, "a person went back from it since"
    assert brought_by(entries, COMMIT, since=7) == brought_by(entries, "f" * 40, since=0) == ""


def test_what_a_person_took_back_is_not_through():
    (one,) = found(in_phase(Phase.SUCCEEDED, serving=1))
    assert (one.why, one.may_come) == (f"{OLD.label} serves, and not what was applied: it was rolled back", False)


def test_a_stack_without_applications_is_through():
    assert list(not_through([], {}, COMMIT, lambda _: "")) == []
