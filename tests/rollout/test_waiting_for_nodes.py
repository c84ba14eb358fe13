"""A version that waits for nodes which an autoscaler brings: its own time to start begins once they are there."""

from __future__ import annotations

from dataclasses import replace

from rollout_world import STARTUP_SECONDS, World, desired

from heliostat.rollout import show
from heliostat.rollout.model import Colour, ColourStatus, Condition, Phase
from heliostat.rollout.observed import AwaitedNodes
from heliostat.spec.strategies import BlueGreen

NODES = AwaitedNodes("a10", 60.0)
TIMEOUT = 20.0


class Scaled(World):
    """A cluster whose green colour has no node until `nodes_at`, in seconds since the beginning."""

    def __init__(self, nodes_at: float) -> None:
        super().__init__()
        self.nodes_at = nodes_at
        self._placed = self.cluster.status
        self.cluster.status = self._seen  # type: ignore[method-assign]

    def _seen(self, colour: Colour, golden: dict[str, str | None], now: float, *, blind: bool) -> ColourStatus:
        found = self._placed(colour, golden, now, blind=blind)
        deployed = self.cluster.colours.get(colour)
        if colour is Colour.BLUE or deployed is None or found.condition is Condition.STOPPING or self.elapsed >= self.nodes_at:
            return found
        for each in deployed.replicas:
            each.ready_at = now + STARTUP_SECONDS
        return replace(found, condition=Condition.STARTING, running=frozenset(), healthy=frozenset(), awaits=NODES)


def moving(nodes_at: float, behaviour: str = "fine") -> Scaled:
    world = Scaled(nodes_at)
    world.declare(desired(1, BlueGreen()))
    world.settle()
    world.nodes_at += world.elapsed
    world.declare(desired(2, BlueGreen(), behaviour=behaviour, timeout=TIMEOUT))
    return world


def through(world: World, seconds: int) -> None:
    for _ in range(seconds):
        world.reconcile()
        world.advance()


def test_a_version_waits_for_its_nodes_longer_than_it_may_take_to_start_and_then_serves() -> None:
    world = moving(nodes_at=2 * TIMEOUT)
    through(world, 5)
    assert "starting: waits for a node of group a10: the autoscaler brings it, within 1 min" in world.story[-1]
    assert world.rollout is not None
    assert show.until(world.state) == world.rollout.nodes_until
    world.settle()
    assert world.phase is Phase.SUCCEEDED
    assert any("the nodes of group a10 that it waited for are there" in line for line in world.story)
    assert sum("waits for a node" in line for line in world.story) == 1
    assert world.rollout.figures["startup_seconds"] < TIMEOUT, "how long nodes take is not how long a start takes"
    assert (world.rollout.awaits, world.rollout.nodes_until) == ("", None)


def test_nodes_that_do_not_come_in_time_end_it_and_are_not_held_against_the_version() -> None:
    world = moving(nodes_at=10_000)
    world.settle()
    assert world.phase is Phase.FAILED
    assert world.rollout is not None
    assert "no node of group a10 came within 1 min (controller.nodeTimeoutSeconds)" in (world.rollout.error or "")
    assert world.state.refused == ()
    assert len(world.serving()) == 2
    (failed,) = [each for each in world.events if each.phase is Phase.ROLLING_BACK]
    begun = next(each for each in world.events if each.rollout == 2 and each.phase is Phase.STARTING)
    assert 60 <= failed.seconds - begun.seconds <= 65


def test_a_version_that_does_not_start_on_its_new_nodes_fails_after_its_own_time() -> None:
    world = moving(nodes_at=30, behaviour="never_healthy")
    world.settle()
    assert world.phase is Phase.FAILED
    assert world.rollout is not None
    assert "replicas of 2-never_healthy were healthy after 20 s (startupTimeoutSeconds)" in (world.rollout.error or "")
    assert len(world.state.refused) == 1
    came = next(each for each in world.events if "are there" in each.message)
    back = next(each for each in world.events if each.phase is Phase.ROLLING_BACK)
    assert back.seconds - came.seconds <= TIMEOUT + 3


def test_nodes_that_come_and_go_do_not_begin_its_patience_anew() -> None:
    world = moving(nodes_at=10_000)
    through(world, 3)
    assert world.rollout is not None
    first, beginning = world.rollout.nodes_until, world.nodes_at
    world.nodes_at = 0
    through(world, 1)
    world.nodes_at = beginning
    through(world, 2)
    assert sum("waits for a node" in line for line in world.story) == 2
    assert world.rollout is not None
    assert world.rollout.nodes_until == first is not None


def test_where_no_autoscaler_is_known_nothing_waits_and_its_time_counts_as_ever() -> None:
    world = World()
    world.declare(desired(1, BlueGreen(), behaviour="never_healthy", timeout=TIMEOUT))
    world.settle()
    assert world.phase is Phase.FAILED
    assert not any("waits for a node" in line for line in world.story)
