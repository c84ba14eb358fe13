"""An asynchronous parameter server: an actor that holds a training's parameters, and what workers say to it.

Each worker computes gradients with the parameters that it has, sends them and takes the newest; nobody waits for a slower one
until he is ahead of him by more than the bound. Without a bound the slowest worker's gradients would be of parameters that are
long gone. What the model is depends on who came first: two trainings of the same are alike, not equal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from heliostat.ml.stopwatch import Stopwatch
from heliostat.spec.training_report import Phase

Arrays = Mapping[str, NDArray[Any]]
"""Parameters, or gradients, by name."""
Update = Callable[[Arrays, Arrays], Arrays]
_TAKES_SECONDS: Final = 600.0
"""How long a worker waits for the slowest; one that is lost ends the attempt, so that nobody waits for ever."""


class Clocks:
    """How many steps each worker has done, and who may do the next. Pure."""

    def __init__(self, workers: int, staleness: int) -> None:
        self._steps: dict[int, int] = dict.fromkeys(range(workers), 0)
        self._staleness = staleness

    def advance(self, rank: int) -> None:
        """Count a step of a worker."""
        self._steps[rank] += 1

    def leave(self, rank: int) -> None:
        """Wait for a worker no more: it has done all its steps."""
        self._steps.pop(rank, None)

    @property
    def are_done(self) -> bool:
        """Whether all have done their steps."""
        return not self._steps

    def may_go_on(self, rank: int) -> bool:
        """Whether a worker is ahead of the slowest by no more than the bound."""
        steps = self._steps.get(rank)
        return steps is None or steps - min(self._steps.values()) <= self._staleness


class ParameterHolder:
    """What the actor runs, one call at a time but for those that wait."""

    def __init__(self, parameters: Arrays, update: Update, workers: int, staleness: int) -> None:
        self._parameters = dict(parameters)
        self._update = update
        self._clocks = Clocks(workers, staleness)
        self._moved = asyncio.Condition()
        self._version = 0

    async def pull(self) -> tuple[int, Arrays]:
        """How many gradients they have, and the parameters."""
        return self._version, self._parameters

    async def push(self, rank: int, gradients: Arrays) -> tuple[int, Arrays]:
        """Apply a worker's gradients, and hand the parameters back once it may go on.

        Raises:
            ValueError: a gradient of a parameter that there is not, or of another shape, or one that is no number.
        """
        self._require_fitting(rank, gradients)
        async with self._moved:
            self._parameters = dict(self._update(self._parameters, gradients))
            self._version += 1
            self._clocks.advance(rank)
            self._moved.notify_all()
            await self._moved.wait_for(lambda: self._clocks.may_go_on(rank))
        return self._version, self._parameters

    async def leave(self, rank: int) -> tuple[int, Arrays]:
        """Note that a worker has done all its steps, and hand the parameters out once all have."""
        async with self._moved:
            self._clocks.leave(rank)
            self._moved.notify_all()
            await self._moved.wait_for(lambda: self._clocks.are_done)
        return self._version, self._parameters

    def _require_fitting(self, rank: int, gradients: Arrays) -> None:
        if gradients.keys() != self._parameters.keys():
            there = ", ".join(sorted(self._parameters))
            raise ValueError(f"worker {rank} sent gradients of {', '.join(sorted(gradients))}; the parameters are {there}")
        for name, gradient in gradients.items():
            expected, found = np.shape(self._parameters[name]), np.shape(gradient)
            if found != expected:
                raise ValueError(f"worker {rank}'s gradient of {name} has the shape {found}, the parameter has {expected}")
            if not np.isfinite(gradient).all():
                raise ValueError(f"worker {rank}'s gradient of {name} has numbers that are none: take smaller steps")


class ParameterServer:
    """One worker's connection to the parameter server."""

    def __init__(self, actor: Any, rank: int, watch: Stopwatch) -> None:
        self._actor, self._rank, self._watch = actor, rank, watch

    @classmethod
    def shared(
        cls,
        name: str,
        rank: int,
        workers: int,
        staleness: int,
        start: Callable[[], Arrays],
        update: Update,
        watch: Stopwatch,
    ) -> Self:
        """That of a training: made by the worker of rank 0, found by the others once it is there."""
        import ray
        from ray.train.collective import barrier

        if rank == 0:
            # Held by this worker: with the attempt it goes.
            made: Any = ray.remote(ParameterHolder)
            options = {"name": name, "num_cpus": 0, "max_concurrency": workers + 2}
            actor = made.options(**options).remote(dict(start()), update, workers, staleness)
            ray.get(actor.pull.remote())
            barrier()
        else:
            barrier()
            actor = ray.get_actor(name)
        return cls(actor, rank, watch)

    def pull(self) -> tuple[int, Arrays]:
        """How many gradients the parameters have, and the parameters."""
        return self._call(self._actor.pull)

    def push(self, gradients: Arrays) -> tuple[int, Arrays]:
        """Send gradients; the same of the newest parameters, once this worker is not too far ahead of the slowest.

        Raises:
            ValueError: the gradients do not fit the parameters, or hold numbers that are none.
        """
        return self._call(self._actor.push, self._rank, {name: np.asarray(each) for name, each in gradients.items()})

    def leave(self) -> tuple[int, Arrays]:
        """Say that this worker has done its steps, so that no other waits for it; the parameters once all have done theirs."""
        return self._call(self._actor.leave, self._rank)

    def _call(self, method: Any, *arguments: Any) -> tuple[int, Arrays]:
        import ray

        with self._watch.phase(Phase.SYNCHRONISATION):
            found: tuple[int, Arrays] = ray.get(method.remote(*arguments), timeout=_TAKES_SECONDS)
        return found
