"""The next version of the bench's application, by the controller's API: nothing is trained or built for it."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.api import ENDS, Api, told
from bench.commands import MeasurementError
from bench.session import Stack
from heliostat.spec.addresses import ControllerAddress, StoreAddress
from heliostat.spec.ledger import Entry, EntryKind, prefix_of
from heliostat.spec.rollouts import Desired, Phase, Rollout, Status
from heliostat.spec.strategies import Strategy
from heliostat.systems.objects import ObjectStore, open_store

APPLICATION = "flights"
_ENDS_S = 240.0
_WRITTEN_S = 10.0
_numbers = itertools.count(1)
_MAX_ROWS = 1_000


class ReleaseDriver:
    """The application's versions and rollouts."""

    def __init__(self, stack: Stack) -> None:
        self.api = Api(ControllerAddress.model_validate(stack.outputs["platform"]["controller"]))
        self.store: ObjectStore = open_store(StoreAddress.model_validate(stack.outputs["platform"]["store"]))

    def serving(self) -> Desired:
        """What serves, with nothing on its way.

        Raises:
            MeasurementError: nothing serves, or a rollout does not end.
        """
        status = self.api.until(APPLICATION, has_ended, "an earlier rollout ends", _ENDS_S)
        if status.desired is None or status.serving is None:
            raise MeasurementError(f"nothing serves: {told(status)}")
        # What is declared may be a version that was refused.
        return status.desired.model_copy(update={"version": status.serving})

    def next(self, strategy: Strategy, **changes: Any) -> Desired:
        """Another version of what serves, the same but for `changes` and a limit.

        Names alone make no other version: one that was rolled back would come again, and be refused.
        """
        serving, number = self.serving(), next(_numbers)
        digest = hashlib.sha256(f"{serving.version.digest} {time.time_ns()}".encode()).hexdigest()
        limits = serving.version.limits.model_copy(update={"max_rows": _MAX_ROWS + number})
        named = {"digest": digest, "label": f"bench-{number}-{digest[:6]}", "limits": limits, **changes}
        return serving.model_copy(update={"version": serving.version.model_copy(update=named), "strategy": strategy})

    def begin(self, desired: Desired) -> int:
        """Declare it; the number of its rollout."""
        status = self.api.declare(APPLICATION, desired)
        if status.rollout is None or status.rollout.to_version != desired.version.label:
            raise MeasurementError(f"no rollout to {desired.version.label} began: {told(status)}")
        return status.rollout.number

    def until(self, number: int, ready: Callable[[Rollout], bool], what: str, seconds: float = _ENDS_S) -> Rollout:
        """Rollout `number` once it is `ready`.

        Raises:
            MeasurementError: it ended before, did not come there, or another one took its place.
        """

        def there(status: Status) -> bool:
            rollout = status.rollout
            return rollout is not None and rollout.number >= number and (ready(rollout) or rollout.phase in ENDS)

        status = self.api.until(APPLICATION, there, what, seconds)
        rollout = status.rollout
        if rollout is None or rollout.number != number or not ready(rollout):
            raise MeasurementError(f"{what}: {told(status)}")
        return rollout

    def ends_well(self, number: int) -> Rollout:
        """Rollout `number` once it has succeeded.

        Raises:
            MeasurementError: it ended otherwise.
        """
        return self.until(number, lambda rollout: rollout.phase is Phase.SUCCEEDED, "the rollout succeeds")

    def shifts(self, number: int) -> list[Entry]:
        """The ledger's entries of this rollout's moves of traffic, which are made when each is decided.

        Raises:
            MeasurementError: there are none within some seconds.
        """
        deadline = time.monotonic() + _WRITTEN_S
        while time.monotonic() < deadline:
            keys = sorted(found.key for found in self.store.list(prefix_of(APPLICATION)))
            entries = [Entry.model_validate_json(self.store.get(key)) for key in keys]
            mine = [entry for entry in entries if entry.rollout == number and entry.kind is EntryKind.SHIFT]
            if mine:
                return mine
            time.sleep(0.2)
        raise MeasurementError(f"the ledger has no move of traffic of rollout {number}")


def in_phase(*phases: Phase, step: int | None = None) -> Callable[[Rollout], bool]:
    """Whether a rollout is in one of `phases`, and at `step`."""
    return lambda rollout: rollout.phase in phases and step in (None, rollout.step)


def has_ended(status: Status) -> bool:
    """Whether nothing is on its way."""
    return status.rollout is None or status.rollout.phase in ENDS


def entered(rollout: Rollout, phase: Phase, after: float = 0.0) -> float:
    """When the rollout first said that it was in `phase`, after a time; Unix time.

    Raises:
        MeasurementError: it never was.
    """
    for event in rollout.events:
        if event.phase is phase and event.at >= after:
            return event.at
    raise MeasurementError(f"rollout {rollout.number} was never {phase}")


def packaged(root: Path, contract: str, store: ObjectStore) -> str:
    """The code package of a contract below `root`, stored; its URI."""
    from heliostat.spec.code import code_of
    from heliostat.systems import code_packages

    return code_packages.upload(code_of(root, contract), store)
