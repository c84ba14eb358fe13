"""A refusal is of a version and of how it is judged; what serves can always be scaled."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rollout_world import World, desired
from stage_world import RATE, TENTH, serving_one, shipped, until_phase, waiting

from heliostat.controller import views
from heliostat.rollout.model import Phase
from heliostat.rollout.orders import RefusedError
from heliostat.rollout.plan import plan
from heliostat.rollout.refusals import as_judged, refusal
from heliostat.spec.addresses import StoreAddress
from heliostat.spec.analysis import Analysis, SuccessRate
from heliostat.spec.rollouts import Desired, Runtime
from heliostat.spec.strategies import Affinity, BlueGreen, Canary, CanaryStep, Recreate, Rolling, Shadow, Strategy
from heliostat.spec.workload import Limits, PredictionLog

ASKED = Canary(steps=(CanaryStep(weight=10, approval=True),), analysis=RATE, approval_timeout_seconds=600)


def with_(wanted: Desired, **version: object) -> Desired:
    return wanted.model_copy(update={"version": wanted.version.model_copy(update=version)})


def aborted(wanted: Desired) -> World:
    world = until_phase(shipped(wanted), Phase.ANALYSING)
    world.abort()
    world.settle()
    return world


def listed(world: World) -> list[str]:
    return [each.label for each in views.status(world.state, None, (), "http://public", world.clock).refused]


SAME: dict[str, Callable[[Desired], Desired]] = {
    "replicas": lambda it: it.model_copy(update={"replicas": 3}),
    "requests at a time": lambda it: it.model_copy(update={"max_ongoing_requests": 16}),
    "the log": lambda it: with_(it, digest="f" * 64, prediction_log=PredictionLog(flush_seconds=2, sampling_rate=0.5)),
    "the data's digest": lambda it: with_(it, data_digest="d" * 64),
    "the window": lambda it: it.model_copy(update={"strategy": TENTH.model_copy(update={"retention_seconds": 900.0})}),
    "the affinity": lambda it: it.model_copy(update={"strategy": TENTH.model_copy(update={"affinity": Affinity(header="x")})}),
}
STRICT = Analysis(checks=(SuccessRate(at_least=0.9),), seconds=20)
ANOTHER: dict[str, Callable[[Desired], Desired]] = {
    "the code": lambda it: with_(it, code_uri="file:///other.zip"),
    "the model": lambda it: with_(it, model_uri="models:/flights/9"),
    "the contract": lambda it: with_(it, contract="app:other"),
    "the registry": lambda it: with_(it, tracking_uri="http://127.0.0.1:5001"),
    "the store": lambda it: with_(it, store=StoreAddress(uri="file:///other")),
    "what a request may hold": lambda it: with_(it, limits=Limits(max_rows=5)),
    "CPUs of a replica": lambda it: it.model_copy(update={"cpus_per_replica": 2.0}),
    "accelerators of a replica": lambda it: it.model_copy(update={"gpus_per_replica": 1.0}),
    "the time to start": lambda it: it.model_copy(update={"startup_timeout_seconds": 21.0}),
    "a limit": lambda it: it.model_copy(update={"strategy": TENTH.model_copy(update={"analysis": STRICT})}),
    "a step": lambda it: it.model_copy(update={"strategy": TENTH.model_copy(update={"steps": TENTH.steps[:1]})}),
    "the strategy": lambda it: it.model_copy(update={"strategy": BlueGreen(after=RATE)}),
}


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_what_was_aborted_does_not_come_back_by_what_it_is_not_judged_by(change: Callable[[Desired], Desired]) -> None:
    wanted = desired(2, TENTH)
    world = aborted(wanted)
    with pytest.raises(RefusedError, match="somebody aborted it"):
        world.declare(change(wanted))
    assert plan(world.state, change(wanted), None, None).refused is not None
    assert len(world.serving()) == 2


@pytest.mark.parametrize("change", ANOTHER.values(), ids=ANOTHER)
def test_another_version_or_other_checks_are_no_longer_refused(change: Callable[[Desired], Desired]) -> None:
    wanted = desired(2, TENTH)
    assert refusal(aborted(wanted).state, change(wanted)) is None


@pytest.mark.parametrize(
    ("strategy", "same"),
    [
        (Rolling(analysis=RATE), Rolling(analysis=RATE, percentage=100, max_surge=3, min_healthy_percentage=0)),
        (BlueGreen(after=RATE), BlueGreen(after=RATE, retention_seconds=0)),
        (Shadow(analysis=RATE), Shadow(analysis=RATE, retention_seconds=0)),
        (Recreate(), Recreate()),
    ],
)
def test_how_replicas_move_and_what_follows_is_nothing_to_pass(strategy: Strategy, same: Strategy) -> None:
    assert as_judged(desired(2, strategy)) == as_judged(desired(2, same, replicas=5))


def test_scaling_after_an_abort_ships_nothing_until_somebody_says_so() -> None:
    world = serving_one(replicas=1)
    world.declare(desired(2, TENTH, replicas=1))
    until_phase(world, Phase.ANALYSING)
    world.abort()
    world.settle()
    with pytest.raises(RefusedError):
        world.declare(desired(2, TENTH, replicas=2))
    world.declare(desired(2, TENTH, replicas=2), retry=True)
    world.settle()
    assert world.state.rollout is not None
    assert world.state.rollout.phase is Phase.SUCCEEDED


def test_a_version_that_was_aborted_and_then_approved_is_refused_no_more_and_can_be_scaled_to_any_count() -> None:
    world = waiting(way=ASKED)
    world.abort()
    world.settle()
    assert listed(world) == ["2-fine"]
    # Judged otherwise, it is another attempt, and it serves.
    world.declare(desired(2, ASKED.model_copy(update={"analysis": STRICT}), replicas=3))
    until_phase(world, Phase.WAITING)
    assert listed(world) == ["2-fine"], "not before it serves"
    world.approve()
    world.settle()
    assert (listed(world), world.state.refused) == ([], ())
    for replicas in (2, 1, 4):
        world.declare(desired(2, ASKED, replicas))
        world.settle()
        assert len(world.serving()) == replicas


def test_what_serves_is_not_listed_as_refused_while_it_is_being_left() -> None:
    world = serving_one()
    world.declare(desired(2, BlueGreen(retention_seconds=0)))
    world.settle()
    world.roll_back(desired(1, BlueGreen()))
    world.reconcile()
    assert [each.label for each in world.state.refused] == ["2-fine"]
    assert listed(world) == []
    with pytest.raises(RefusedError):
        world.declare(desired(2, BlueGreen(retention_seconds=0), replicas=3))
    world.settle()
    assert listed(world) == ["2-fine"]


def test_what_was_left_in_vain_serves_on_and_can_be_scaled() -> None:
    world = serving_one()
    world.declare(desired(2, BlueGreen(retention_seconds=0)))
    world.settle()
    world.roll_back(desired(1, BlueGreen(), behaviour="crashes"))
    world.settle()
    assert listed(world) == []
    world.declare(desired(2, BlueGreen(retention_seconds=0), replicas=3))
    world.settle()
    assert len(world.serving()) == 3


def test_other_replicas_of_what_serves_that_failed_stay_refused_while_it_serves() -> None:
    """More CPUs each are other replicas: those that did not start are not tried at every update, and what serves scales."""
    world = serving_one()
    bigger = desired(1, BlueGreen(), behaviour="crashes").model_copy(update={"cpus_per_replica": 4.0})
    world.declare(bigger)
    world.settle()
    with pytest.raises(RefusedError):
        world.declare(bigger)
    world.declare(desired(1, BlueGreen(), replicas=3))
    world.settle()
    assert len(world.serving()) == 3


def test_the_same_version_on_another_library_is_not_refused() -> None:
    wanted = desired(2, BlueGreen())

    def on(digest: str) -> Desired:
        runtime = Runtime(library="0.1.0", library_digest=digest * 64, library_uri="file:///library.zip")
        return wanted.model_copy(update={"version": wanted.version.model_copy(update={"runtime": runtime})})

    assert as_judged(on("a")) == as_judged(on("a"))
    assert len({as_judged(each) for each in (wanted, on("a"), on("b"))}) == 3
