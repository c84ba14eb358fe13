"""One cell of the table: a rollout under load, a kill in the middle of it, and what came of it."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress

from bench.api import ENDS, told
from bench.commands import MeasurementError
from heliostat.rollout.model import Colour
from heliostat.spec.rollouts import Phase, Rollout, Status
from heliostat.spec.strategies import BlueGreen
from tests.faults.agreement import Expected, differences, live_colour
from tests.faults.load import Load, noticed
from tests.faults.outcome import TROUBLE, Outcome, run, weigh
from tests.faults.table import BY_UP, RATE, Cell, Kind, Moment, promise
from tests.faults.up import Project, Up
from tests.faults.victims import crowded, kill
from tests.faults.world import APPLICATION, World

_COMES_S = 90.0
"""How long a rollout may take to come to the state."""
_ENDS_S = 90.0
_ENDS_WITHOUT_HEAD_S = 200.0
_AGREE_S = 30.0
_LOOK_S = 0.1
_BEFORE_S = 0.4
_PLACINGS = 3
"""How often a version is shipped at most until Ray places its replicas on two nodes."""
_AFTER_S = 0.4
"""How much load there is around a rollout."""
_NOTICED_AFTER_S = {Kind.CONTROLLER: 1.0, Kind.HEAD: 2.0}
"""How long what nobody brings back by itself is dead until somebody does."""


def measure(cell: Cell, world: World, project: Project) -> Outcome:
    """Measure one cell on a world that is whole, and leave it whole where the cell holds.

    Where the rollout did not come to its state, the outcome has an `error`: nothing was killed, and it may be tried again.
    Whatever goes wrong once something was killed is what the cell shows.
    """
    began = time.monotonic()
    outcome = Outcome(cell.name, promised=promise(cell).text)
    try:
        live = _whole(cell, world)
    except TROUBLE as error:
        outcome.error = str(error)
        return outcome
    with Load(world.url, {"x": 3}, RATE) as load, ExitStack() as ends:
        time.sleep(_BEFORE_S)
        run(_Run(cell, world, project, live, outcome, ends), outcome)
        time.sleep(_AFTER_S)
        weigh(cell, outcome, noticed(load.finish()))
    if outcome.holds or outcome.nothing:
        _bring_nodes(world, outcome)
    outcome.seconds = round(time.monotonic() - began, 2)
    return outcome


class _Run:
    """The rollout of one cell."""

    def __init__(self, cell: Cell, world: World, project: Project, live: Colour, outcome: Outcome, ends: ExitStack) -> None:
        self._cell, self._world, self._project, self._live = cell, world, project, live
        self._outcome, self._ends = outcome, ends
        self._number = 0
        self._old = self._new = ""
        self._up: Up | None = None

    def begin(self) -> None:
        """Declare the next version."""
        before = self._world.api.status(APPLICATION)
        self._number = (before.rollout.number if before.rollout else 0) + 1
        self._old = before.serving.label if before.serving else ""
        inputs = self._world.inputs(self._cell.scene.strategy)
        desired = self._world.desired(inputs)
        self._new = desired.version.label
        if self._cell.kind in BY_UP:
            self._project.make()
            self._project.declare(inputs)
            self._up = self._ends.enter_context(self._project.up())
        else:
            self._world.api.declare(APPLICATION, desired)

    def come(self) -> None:
        """Wait until the rollout is in the state."""
        abort_at = self._cell.scene.abort_at
        if abort_at is not None:
            self._comes_to(abort_at)
            self._world.api.abort(APPLICATION)
        rollout = self._comes_to(self._cell.scene.moment)
        self._outcome.at = f"{rollout.phase}, step {rollout.step}"

    def hurt(self) -> None:
        """Kill, and do what somebody would do about it."""
        kind, world = self._cell.kind, self._world
        if self._up is not None:
            self._outcome.killed = self._up.kill() if kind is Kind.UP else self._up.kill_plugin()
            self._up.ended()
            self._up = self._ends.enter_context(self._project.up())
            return
        self._outcome.killed = kill(kind, world, self._live)
        time.sleep(_NOTICED_AFTER_S.get(kind, 0.0))
        if kind is Kind.CONTROLLER:
            world.start_controller()
        if kind is Kind.HEAD:
            world.bring_nodes()

    def end(self) -> None:
        """Wait for the rollout's end, and approve it where it waits for that."""
        seconds = _ENDS_WITHOUT_HEAD_S if self._cell.kind is Kind.HEAD else _ENDS_S
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            status = self._world.api.until(APPLICATION, self._ends_or_waits, "the rollout ends", left, patient=True)
            rollout = self._ours(status)
            if rollout.phase is not Phase.WAITING:
                break
            self._approve()
        self._outcome.end = rollout.phase + (f": {rollout.error.splitlines()[0]}" if rollout.error else "")
        self._up_ends(rollout)

    def agree(self, killed: float) -> None:
        """Wait until controller, HAProxy and Serve say the same."""
        cell = self._cell
        expected = Expected(self._number, self._old, self._new, cell.rolls_back)
        deadline = time.monotonic() + _AGREE_S
        while (found := differences(self._world, expected)) and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
        self._outcome.settled_seconds = round(time.monotonic() - killed, 2)
        if found:
            self._outcome.why += [*found, told(self._world.api.status(APPLICATION)), self._world.log()]

    def let_end(self) -> None:
        """Where nothing was killed: the rollout ends by itself."""
        self._world.api.until(APPLICATION, self._ends_or_waits, "the rollout ends", _ENDS_S, patient=True)
        status = self._world.api.status(APPLICATION)
        if status.rollout is not None and status.rollout.phase is Phase.WAITING:
            self._approve()
            self._world.api.until(APPLICATION, _has_ended, "the rollout ends", _ENDS_S, patient=True)

    def _approve(self) -> None:
        """It may go on between the look and the word."""
        with suppress(MeasurementError):
            self._world.api.approve(APPLICATION)
        time.sleep(_LOOK_S)

    def _comes_to(self, moment: Moment) -> Rollout:
        status = self._world.api.until(
            APPLICATION, lambda found: self._is_at(found, moment), f"the rollout comes to {moment.phase}", _COMES_S
        )
        rollout = self._ours(status)
        if not moment.is_now(rollout):
            said = f"\n{self._up.output()}" if self._up else ""
            raise MeasurementError(f"the rollout was never seen in {moment.phase}: {told(status)}{said}")
        return rollout

    def _is_at(self, status: Status, moment: Moment) -> bool:
        if self._up is not None and not self._up.runs and (status.rollout is None or status.rollout.number < self._number):
            raise MeasurementError(f"the `up` ended before it had begun a rollout:\n{self._up.output()}")
        rollout = status.rollout
        return rollout is not None and rollout.number >= self._number and (moment.is_now(rollout) or rollout.phase in ENDS)

    def _ends_or_waits(self, status: Status) -> bool:
        rollout = status.rollout
        return rollout is not None and rollout.number >= self._number and rollout.phase in (*ENDS, Phase.WAITING)

    def _ours(self, status: Status) -> Rollout:
        if status.rollout is None or status.rollout.number != self._number:
            raise MeasurementError(f"rollout {self._number} was expected: {told(status)}")
        return status.rollout

    def _up_ends(self, rollout: Rollout) -> None:
        """The second `up` says how the rollout ended."""
        if self._up is None:
            return
        code = self._up.ended()
        if (code == 0) != (rollout.phase is Phase.SUCCEEDED):
            self._outcome.why.append(f"the `up` after it ended with {code}, the rollout {rollout.phase}:\n{self._up.output()}")


def _has_ended(status: Status) -> bool:
    return status.rollout is not None and status.rollout.phase in ENDS


def _whole(cell: Cell, world: World) -> Colour:
    """The colour that serves, on more than one node where one is to die.

    Raises:
        MeasurementError: no colour has all the traffic.
    """
    live = live_colour(world)
    for _ in range(_PLACINGS):
        if live is None or cell.kind is not Kind.WORKER or not crowded(world, live):
            break
        world.ship(BlueGreen(retention_seconds=0))
        live = live_colour(world)
    if live is None:
        raise MeasurementError("no colour has all the traffic")
    return live


def _bring_nodes(world: World, outcome: Outcome) -> None:
    try:
        world.bring_nodes()
    except TROUBLE as error:
        outcome.why.append(f"the nodes did not come back: {error}")
        outcome.holds = False
