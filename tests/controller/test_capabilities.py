"""What a backend cannot do is refused before anything moves, all of it at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rollouts_in_memory import WELL, World, canary, quick, world
from test_controller import desired

from heliostat.spec.capabilities import ALL, Capability, needed, unsupported
from heliostat.spec.rollouts import Declaration, Desired
from heliostat.spec.strategies import Affinity, BlueGreen, Canary, CanaryStep, Recreate, Rolling, Shadow
from heliostat.systems.errors import PermanentError

__all__ = ["quick", "world"]

FINE = Canary(steps=(CanaryStep(weight=0.5), CanaryStep(weight=20), CanaryStep(weight=33.33)), affinity=Affinity(header="x"))
GREEDY = desired(2, strategy=FINE).model_copy(update={"gpus_per_replica": 0.5})


@pytest.mark.parametrize("strategy", [Recreate(), Rolling(), BlueGreen(), canary(10, 50)])
def test_what_every_backend_can_do_needs_nothing(strategy) -> None:
    assert list(needed(desired(1, strategy=strategy))) == []


def test_what_a_declaration_needs_is_told_with_the_part_that_does() -> None:
    assert dict(needed(GREEDY)) == {
        Capability.ACCELERATORS: "gpusPerReplica: 0.5",
        Capability.AFFINITY: "strategy.affinity",
        Capability.FRACTIONAL_WEIGHTS: "strategy.steps with weights of 0.5, 33.33 %",
    }
    assert [what for what, _ in needed(desired(1, strategy=Shadow(analysis=WELL)))] == [Capability.SHADOW]


def test_what_cannot_be_done_is_told_at_once_with_what_can() -> None:
    assert unsupported(GREEDY, ALL) is None
    text = unsupported(GREEDY, {Capability.SHADOW, Capability.ACCELERATORS})
    assert text is not None
    assert "strategy.affinity needs affinity; strategy.steps with weights of 0.5, 33.33 % needs fractional weights" in text
    assert "It can do: accelerators, shadow" in text
    assert "gpusPerReplica" not in text


@pytest.fixture
def plain(world: World) -> Iterator[World]:
    """Backends that can do nothing that not all can."""
    world.cluster.traffic.capabilities = frozenset()
    world.cluster.reconciler.backend.capabilities = frozenset()
    yield world


async def test_the_plan_and_the_declaration_are_refused_and_nothing_moves(plain: World) -> None:
    declaration = Declaration(desired=GREEDY)
    for call in (plain.client.plan, plain.client.declare):
        with pytest.raises(PermanentError, match=r"this platform cannot do it: gpusPerReplica: 0\.5 needs accelerators"):
            await call("boats", declaration)
    assert "boats" not in plain.cluster.reconciler.states
    assert await plain.client.read("boats") is None


async def test_what_they_can_do_is_not_refused(plain: World) -> None:
    asked: Desired = desired(1, strategy=BlueGreen())
    assert (await plain.client.plan("boats", Declaration(desired=asked))).changes


async def test_ray_serve_and_haproxy_can_do_all(world: World) -> None:
    reconciler = world.cluster.reconciler
    assert reconciler.backend.capabilities | reconciler.traffic.capabilities == ALL
