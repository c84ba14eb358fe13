"""Which cluster a declaration is for, and what becomes of what is on one that does not answer. Pure."""

from __future__ import annotations

import pytest
from rollout_world import desired

from heliostat.rollout import orders
from heliostat.rollout.clusters import aimed, aimed_back, awaiting, begun_anew, let_go, named, onto, used
from heliostat.rollout.model import Colour, Observed, Progress, State, identity
from heliostat.rollout.refusals import is_refused, refusal, remember
from heliostat.spec.rollouts import Desired, Phase, RollbackRequest
from heliostat.spec.strategies import BlueGreen

OLD, NEW = "http://old:8265", "http://new:8265"
WAY = BlueGreen()


def one(cluster: str = "", number: int = 1) -> Desired:
    return onto(desired(number, WAY), cluster)


def moving(phase: Phase, live: Colour = Colour.BLUE) -> State:
    """From blue on the old cluster to green on the new one."""
    rollout = Progress(
        number=2, phase=phase, strategy=WAY, way_back=WAY, candidate=Colour.GREEN, target=one(NEW), previous=one(OLD),
        previous_colour=Colour.BLUE, started_at=1.0, since=1.0,
    )  # fmt: skip
    found = State(name="flights", live=live, declared=one(NEW), rollout=rollout)
    return found.with_slot(Colour.BLUE, desired=one(OLD), replicas=2).with_slot(Colour.GREEN, desired=one(NEW), replicas=2)


def test_the_same_version_on_another_cluster_is_another_thing() -> None:
    assert len({identity(one(cluster)) for cluster in ("", OLD, NEW)}) == 3


def test_a_declaration_without_a_cluster_is_written_as_before_there_were_several() -> None:
    assert "cluster" not in one().model_dump()
    assert Desired.model_validate(one().model_dump()) == one()
    assert Desired.model_validate_json(one(OLD).model_dump_json()) == one(OLD)


def test_what_is_declared_is_for_the_cluster_that_is_worked_on() -> None:
    for cluster in ("", OLD, NEW):
        assert aimed(one(cluster), (NEW, OLD)) == one(NEW)
    assert aimed(one(OLD), ("",)) == one(), "a backend of one cluster gives it no name"
    with pytest.raises(
        orders.OrderError, match="declared for the cluster http://other, and the controller works on http://new"
    ):
        aimed(one("http://other"), (NEW, OLD))


def test_a_rollback_goes_where_it_still_runs_or_else_to_the_cluster_that_is_worked_on() -> None:
    state = moving(Phase.RETAINING, Colour.GREEN)
    assert aimed_back(state, one(OLD), (NEW, OLD)) == one(OLD)
    assert aimed_back(state, one(OLD), (NEW,)) == one(NEW)
    assert aimed_back(state, one(OLD, number=5), (NEW, OLD)) == one(NEW, number=5)
    assert aimed_back(state, one(), (NEW, OLD)) == one(NEW)


def test_a_state_of_an_earlier_release_is_on_the_one_cluster_there_was() -> None:
    bare = begun_anew(moving(Phase.SHIFTING), {OLD, NEW}, "")
    assert used(bare) == {""}
    found = named(bare, OLD)
    assert used(found) == {OLD}
    assert found.declared == one(OLD)
    assert found.rollout is not None
    assert (found.rollout.target, found.rollout.previous) == (one(OLD), one(OLD))
    assert named(found, NEW) == found, "what has a name keeps it"


def test_what_serves_or_is_about_to_waits_for_its_cluster_and_what_is_kept_is_let_go() -> None:
    for phase in (Phase.STARTING, Phase.SHIFTING, Phase.ANALYSING, Phase.ROLLING_BACK):
        assert awaiting(moving(phase), {OLD}) == (Colour.BLUE,)
        assert awaiting(moving(phase), {NEW}) == (Colour.GREEN,)
        assert let_go(moving(phase), {OLD}) == moving(phase)
    kept = moving(Phase.RETAINING, Colour.GREEN)
    assert awaiting(kept, {OLD}) == ()
    assert let_go(kept, {OLD}).blue.desired is None
    assert let_go(kept, {NEW}) == kept
    assert awaiting(kept, {NEW}) == (Colour.GREEN,)
    assert awaiting(State(name="flights"), {OLD}) == ()


def test_what_was_on_a_cluster_that_is_gone_is_on_another_one_and_the_rest_stays() -> None:
    found = begun_anew(moving(Phase.SHIFTING), {OLD}, NEW)
    assert found.blue.desired == found.green.desired == one(NEW)
    assert begun_anew(moving(Phase.SHIFTING), {"http://other"}, NEW) == moving(Phase.SHIFTING)


def test_a_move_that_is_refused_does_not_refuse_what_serves() -> None:
    state = State(name="flights", live=Colour.BLUE).with_slot(Colour.BLUE, desired=one(OLD), replicas=2)
    state = remember(state, one(NEW), 2, 1.0, "it did not start", one(OLD))
    assert is_refused(state, one(NEW))
    assert not is_refused(state, one(OLD))
    assert refusal(state, one(NEW)) is not None


def test_a_version_that_is_refused_is_refused_wherever_it_is_declared() -> None:
    state = State(name="flights", live=Colour.BLUE).with_slot(Colour.BLUE, desired=one(OLD), replicas=2)
    state = remember(state, one(OLD, number=2), 2, 1.0, "it was slow", one(OLD))
    for cluster in ("", OLD, NEW):
        assert is_refused(state, one(cluster, number=2))


def test_who_goes_back_to_the_old_cluster_refuses_the_move_alone() -> None:
    state = moving(Phase.RETAINING, Colour.GREEN)
    found = orders.roll_back(state, one(OLD), Observed(), RollbackRequest(by="ada"), 1.0)
    assert found.declared == one(OLD)
    assert is_refused(found, one(NEW))
    assert not is_refused(found, one(OLD))
