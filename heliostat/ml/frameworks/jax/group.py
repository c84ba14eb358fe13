"""The workers of a training as one group of JAX: what they compute on, and that all of them are there.

Ray's JaxTrainer connects workers that hold GPUs or TPUs. Those on CPUs it leaves alone without a word: each finds itself the
only process, and trains by itself on its part of the data. Here all are connected alike, and each counts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from heliostat.ml.training import Context
from heliostat.spec.training_report import Phase

__all__ = ["Group", "alone", "join"]

_AXIS: Final = "workers"
_MEET_SECONDS: Final = 300
T = TypeVar("T")


@dataclass(frozen=True)
class Group:
    """What a training computes on: the devices of all of its workers."""

    processes: int
    process: int
    """This worker, from 0."""
    platform: str
    """`cpu`, `gpu` or `tpu`."""
    mesh: Any
    """All devices, in one dimension."""

    @property
    def devices(self) -> int:
        """How many there are in all."""
        return int(self.mesh.devices.size)

    def part(self, rows: int) -> slice:
        """This worker's part of a batch of so many rows.

        Raises:
            ValueError: the devices cannot share them evenly.
        """
        if rows % self.devices:
            whole = max(1, round(rows / self.devices)) * self.devices
            raise ValueError(f"a batch of {rows} rows cannot be shared among {self.devices} devices: take {whole}")
        each = rows // self.processes
        return slice(self.process * each, (self.process + 1) * each)

    def batch(self, part: NDArray[Any]) -> Any:
        """The whole batch, spread over the devices, of which `part` is this worker's part: `(rows, ...)`."""
        import jax

        return jax.make_array_from_process_local_data(self._sharding(_AXIS), part)

    def everywhere(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
        """Arrays on each device, as parameters are; the same in all workers."""
        import jax

        # A copy: a computation that gives its argument's memory away must not be given what NumPy holds.
        return {
            name: jax.make_array_from_process_local_data(self._sharding(), np.array(array), array.shape)
            for name, array in arrays.items()
        }

    def fetched(self, arrays: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Arrays that are on each device, as NumPy has them."""
        return {name: np.asarray(array.addressable_data(0)) for name, array in arrays.items()}

    def _sharding(self, *axes: str) -> Any:
        from jax.sharding import NamedSharding, PartitionSpec

        return NamedSharding(self.mesh, PartitionSpec(*axes))


def join(context: Context) -> Group:
    """The group of a training's workers. Called by all of them, before anything else of JAX.

    A worker that holds accelerators computes on these, any other on as many threads of its CPUs as it has.

    Raises:
        RuntimeError: fewer workers, or others, than the training has are in the group; or JAX does not find the accelerators
            that the worker holds.
    """
    jax = _set_up(context)
    if context.workers > 1 and not jax.distributed.is_initialized():
        _forget_devices()
        with context.measured(Phase.SYNCHRONISATION):
            jax.distributed.initialize(
                context.machines[0], context.workers, context.rank, initialization_timeout=_MEET_SECONDS
            )
    devices = jax.local_devices() if context.workers == 1 else jax.devices()
    platform = _platform(context, jax)
    group = Group(
        processes=context.workers,
        process=context.rank,
        platform=platform,
        mesh=jax.sharding.Mesh(np.array(devices), (_AXIS,)),
    )
    if context.workers > 1:
        _require_all(context, jax)
    return group


def alone(context: Context) -> None:
    """Have JAX compute on this worker's devices and no other's, as for a parameter server. Before anything else of JAX.

    Raises:
        RuntimeError: JAX does not find the accelerators that the worker holds.
    """
    _platform(context, _set_up(context))


def _set_up(context: Context) -> Any:
    """JAX, told what it reads when it first looks for devices: threads of workers on the same CPUs take each other's time."""
    if not context.accelerators:
        os.environ["JAX_PLATFORMS"] = "cpu"
        os.environ["NPROC"] = str(context.threads)
    import jax

    return jax


def _platform(context: Context, jax: Any) -> str:
    """Where a worker computes, which the training's report tells as well."""
    devices = jax.local_devices()
    platform = str(devices[0].platform)
    if context.accelerators and platform == "cpu":
        raise RuntimeError(
            f"worker {context.rank} holds {context.accelerators:g} accelerators and JAX finds none: install the jax of its "
            "platform (`jax[cuda13]`, `jax[tpu]`) in the image of the nodes"
        )
    context.accelerator = "" if platform == "cpu" else f"{len(devices)} x {devices[0].device_kind}"
    return platform


def _require_all(context: Context, jax: Any) -> None:
    """See that every worker of the training is in the group, each once: by counting, and by asking all of them."""
    from jax.experimental import multihost_utils

    there = jax.process_count()
    if there != context.workers or jax.process_index() != context.rank:
        raise RuntimeError(
            f"worker {context.rank} of {context.workers} is process {jax.process_index()} of {there} in JAX's group: the "
            "training would be of a part of the data; is JAX initialised elsewhere too?"
        )
    with context.measured(Phase.SYNCHRONISATION):
        ranks = sorted(np.ravel(multihost_utils.process_allgather(np.array([context.rank]))).tolist())
    if ranks != list(range(context.workers)):
        raise RuntimeError(f"workers {ranks} answered in JAX's group of {context.workers}: each must, once")


def _forget_devices() -> None:
    """Let JAX find its devices anew: it found those of one process where something was tried before, and a group has more."""
    from jax.extend import backend

    backend.clear_backends()
