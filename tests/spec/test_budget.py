"""What a training may take, in seconds or by the price list."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from heliostat.pricing.trainings import usd_an_hour
from heliostat.spec.budget import AfterBudget, TrainingBudget, limit_of, may_go_on
from heliostat.spec.groups import ChosenGroup, NodeMachine, WorkerGroup
from heliostat.spec.workload import Scaling, Training


def on(machine: NodeMachine | None) -> ChosenGroup:
    return ChosenGroup(name="g", group=WorkerGroup(kind="cpu", cpus=7, memory_gib=24, max=3, machine=machine))


C6I = NodeMachine(cloud="aws", region="us-east-1", name="c6i.16xlarge")


def test_the_smaller_of_two_limits_holds() -> None:
    assert limit_of(None, None) is None
    assert limit_of(TrainingBudget(seconds=60), None) == 60
    assert limit_of(TrainingBudget(usd=1), 2.0) == 1800
    assert limit_of(TrainingBudget(seconds=600, usd=1), 2.0) == 600
    assert limit_of(TrainingBudget(seconds=6000, usd=1), 2.0) == 1800


def test_a_budget_in_usd_needs_a_price() -> None:
    with pytest.raises(ValueError, match="the price of the nodes is not known: give it in `seconds`"):
        limit_of(TrainingBudget(usd=1), None)


def test_a_budget_says_how_much() -> None:
    with pytest.raises(ValidationError, match="give `seconds`, `usd` or both"):
        TrainingBudget(then=AfterBudget.REFUSE)
    with pytest.raises(ValidationError):
        TrainingBudget(seconds=0)


def test_what_a_budget_ended_goes_on_with_a_larger_one_only() -> None:
    assert may_go_on(60.0, 61.0)
    assert may_go_on(60.0, None)
    assert not may_go_on(60.0, 60.0)
    assert not may_go_on(60.0, 30.0)
    assert not may_go_on(None, None)


def test_a_training_without_a_budget_is_written_as_before_there_were_any() -> None:
    assert {"budget", "continueFrom", "tuning"}.isdisjoint(Training().model_dump(mode="json"))


def test_the_price_is_of_the_nodes_that_the_workers_fill() -> None:
    assert usd_an_hour(Scaling(workers=2), on(C6I))[0] == pytest.approx(2.72)
    assert usd_an_hour(Scaling(workers=8), on(C6I))[0] == pytest.approx(2 * 2.72)
    assert usd_an_hour(Scaling(workers=8), on(C6I), 1)[0] == pytest.approx(2.72)


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (None, "no group of nodes"),
        (on(None), "somebody else made the cluster"),
        (on(C6I.model_copy(update={"name": "c99.large"})), "the price list has no c99.large in us-east-1"),
    ],
)
def test_a_price_that_is_not_known_is_not_guessed(chosen: ChosenGroup | None, told: str) -> None:
    price, why = usd_an_hour(Scaling(), chosen)
    assert price is None
    assert told in why
