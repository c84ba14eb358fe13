"""A person's word names the rollout and the step that the person read of."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rollout_world import World
from stage_world import until_phase, waiting

from heliostat.rollout import orders
from heliostat.rollout.model import Phase, State, Step
from heliostat.rollout.orders import OrderError
from heliostat.rollout.show import step
from heliostat.spec.rollouts import ActionRequest
from heliostat.spec.strategies import Canary, CanaryStep

ASKS_TWICE = Canary(steps=(CanaryStep(weight=1, approval=True), CanaryStep(weight=10, approval=True)))


def say(world: World, order: Callable[[State, ActionRequest, float], Step], word: ActionRequest) -> None:
    world.state = order(world.state, word, world.clock).state


def test_two_people_who_read_of_the_same_step_let_one_step_go_on() -> None:
    world = waiting(way=ASKS_TWICE)
    assert world.state.rollout is not None
    number, read = world.state.rollout.number, step(world.state)
    say(world, orders.approve, ActionRequest(by="ada", rollout=number, step=read))
    with pytest.raises(OrderError, match=r"step 1 \(1 % of the traffic\) of rollout 2 is approved already"):
        orders.approve(world.state, ActionRequest(by="grace", rollout=number, step=read), world.clock)
    until_phase(world, Phase.SHIFTING)
    until_phase(world, Phase.WAITING)
    with pytest.raises(OrderError, match=r"step 1 of rollout 2 does not wait any more: it is at step 2 \(10 %"):
        orders.approve(world.state, ActionRequest(by="grace", rollout=number, step=read), world.clock)
    assert world.share == 1000
    say(world, orders.approve, ActionRequest(by="grace", rollout=2, step=1))
    world.settle()
    assert world.share == 10_000


def test_a_second_approval_without_a_step_says_that_it_came_late() -> None:
    world = waiting()
    world.approve()
    with pytest.raises(OrderError, match="is approved already"):
        world.approve()


def test_a_step_that_is_not_reached_yet_cannot_be_approved_beforehand() -> None:
    world = waiting(way=ASKS_TWICE)
    with pytest.raises(OrderError, match=r"step 2 of rollout 2 does not wait yet: it is at step 1 \(1 % of the traffic\)"):
        orders.approve(world.state, ActionRequest(by="ada", step=1), world.clock)
    world.reconcile()
    assert world.share == 100


def test_an_abort_does_not_care_which_step_was_read() -> None:
    world = waiting(way=ASKS_TWICE)
    world.approve()
    until_phase(world, Phase.SHIFTING)
    say(world, orders.abort, ActionRequest(by="ada", rollout=2))
    world.reconcile()
    assert world.share == 0
