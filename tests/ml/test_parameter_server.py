"""The parameter server: who waits for whom, and what it takes."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliostat.ml.parameter_server import Clocks, ParameterHolder


def holder(workers: int = 2, staleness: int = 1) -> ParameterHolder:
    return ParameterHolder({"w": np.zeros(2)}, lambda w, g: {"w": w["w"] - g["w"]}, workers, staleness)


ONE = {"w": np.ones(2)}


@given(st.lists(st.integers(0, 2), max_size=60), st.integers(0, 4))
def test_no_worker_that_may_go_on_is_further_ahead_than_the_bound(moves: list[int], staleness: int) -> None:
    clocks, steps = Clocks(3, staleness), [0, 0, 0]
    for rank in moves:
        if clocks.may_go_on(rank):
            clocks.advance(rank)
            steps[rank] += 1
        assert clocks.may_go_on(rank) == (steps[rank] - min(steps) <= staleness)
        assert any(clocks.may_go_on(each) for each in range(3)), "the slowest never waits"


def test_a_worker_that_is_done_holds_nobody_up() -> None:
    clocks = Clocks(2, 0)
    clocks.advance(0)
    assert not clocks.may_go_on(0)
    clocks.leave(1)
    assert clocks.may_go_on(0)
    assert not clocks.are_done
    clocks.leave(0)
    assert clocks.are_done


async def test_the_faster_worker_waits_until_the_slower_has_come_nearer() -> None:
    server = holder()
    assert (await server.push(0, ONE))[0] == 1
    waiting = asyncio.create_task(server.push(0, ONE))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    assert (await server.pull())[0] == 2, "its gradients count while it waits"
    await server.push(1, ONE)
    version, parameters = await waiting
    assert version == 3
    assert parameters["w"].tolist() == [-3.0, -3.0]


async def test_the_parameters_are_handed_out_last_when_all_are_done() -> None:
    server = holder()
    waiting = asyncio.create_task(server.leave(0))
    await server.push(1, ONE)
    await asyncio.sleep(0)
    assert not waiting.done()
    assert (await server.leave(1))[1]["w"].tolist() == (await waiting)[1]["w"].tolist() == [-1.0, -1.0]


@pytest.mark.parametrize(
    ("gradients", "told"),
    [
        ({"v": np.ones(2)}, "sent gradients of v; the parameters are w"),
        ({"w": np.ones(3)}, r"has the shape \(3,\), the parameter has \(2,\)"),
        ({"w": np.array([1.0, np.nan])}, "take smaller steps"),
    ],
)
async def test_gradients_that_do_not_fit_are_refused_and_change_nothing(gradients: Any, told: str) -> None:
    server = holder()
    with pytest.raises(ValueError, match=told):
        await server.push(1, gradients)
    assert (await server.pull())[0] == 0
