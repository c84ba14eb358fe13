"""An application that serves, ready to be brought through a strategy's stages."""

from __future__ import annotations

from rollout_world import World, desired

from heliostat.rollout.model import Phase
from heliostat.spec.analysis import Analysis, Disagreement, Latency, SuccessRate
from heliostat.spec.rollouts import Desired
from heliostat.spec.strategies import BlueGreen, Canary, CanaryStep, Strategy

RATE = Analysis(checks=(SuccessRate(at_least=0.99),), seconds=20)
TWICE = Analysis(checks=(Latency(times=2.0),), seconds=20)
SAME = Analysis(checks=(Disagreement(at_most=0.1),), seconds=20)
TENTH = Canary(steps=(CanaryStep(weight=10), CanaryStep(weight=50)), analysis=RATE)


def serving_one(strategy: Strategy | None = None, replicas: int = 2, per_second: float = 200.0) -> World:
    world = World()
    world.clients.per_second = per_second
    world.declare(desired(1, strategy or BlueGreen(), replicas))
    world.settle()
    return world


def until_phase(world: World, *phases: Phase, most: int = 400) -> World:
    world.run_until(*phases, looks=most)
    return world


def shipped(wanted: Desired, manner: str = "fine", per_second: float = 200.0) -> World:
    world = serving_one(per_second=per_second)
    world.manner = manner
    world.declare(wanted)
    return world


def error_of(world: World) -> str:
    assert world.state.rollout is not None
    assert world.state.rollout.phase is Phase.FAILED, world.story
    return world.state.rollout.error or ""


def waiting(manner: str = "fine", way: Strategy | None = None, per_second: float = 200.0) -> World:
    way = way or Canary(steps=(CanaryStep(weight=10, approval=True),), analysis=RATE, approval_timeout_seconds=600)
    return until_phase(shipped(desired(2, way), manner, per_second), Phase.WAITING)
