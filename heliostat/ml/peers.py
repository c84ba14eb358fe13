"""A Ray Train backend that tells every worker its peers, for libraries that connect their workers themselves.

Ray's own for LightGBM does the same and imports lightgbm, and with it scikit-learn, in every process of a training.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from ray.train.backend import Backend, BackendConfig

_MACHINES: tuple[str, ...] = ()
_TOKEN = ""


def machines() -> tuple[str, ...]:
    """`address:port` of every worker, by rank; empty outside a training of several workers."""
    return _MACHINES


def token() -> str:
    """The same in all workers of one start, another in each start; empty outside a training of several workers."""
    return _TOKEN


@dataclass
class PeersConfig(BackendConfig):
    """Asks Ray Train for the backend."""

    @property
    def backend_cls(self) -> type[Backend]:
        """The backend that Ray Train makes of it."""
        return PeersBackend


class PeersBackend(Backend):
    """Chooses a free port in each worker and tells them all."""

    def on_training_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Called by Ray Train's controller each time the workers have started."""
        if len(worker_group) > 1:
            worker_group.execute(_remember, tuple(worker_group.execute(_address)), uuid.uuid4().hex)


def _address() -> str:
    import socket

    import ray

    address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.bind((address, 0))
        return f"{address}:{probe.getsockname()[1]}"


def _remember(found: tuple[str, ...], token: str) -> None:
    global _MACHINES, _TOKEN
    _MACHINES, _TOKEN = found, token


@dataclass
class SlicesConfig(PeersConfig):
    """The same for workers on slices of TPUs, whose group Ray's own backend for JAX makes."""

    @property
    def backend_cls(self) -> type[Backend]:
        """The backend that Ray Train makes of it."""
        return SlicesBackend


class SlicesBackend(PeersBackend):
    """Ray's backend for JAX tells each worker its slice, and connects them; ours tells them their peers besides."""

    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Called by Ray Train's controller before the training's function."""
        backend, config = _jax()
        backend.on_start(worker_group, config)

    def on_shutdown(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Called when the workers are ended."""
        backend, config = _jax()
        backend.on_shutdown(worker_group, config)


def _jax() -> tuple[Any, Any]:
    from ray.train.v2.jax.config import JaxConfig

    config = JaxConfig(use_tpu=True)
    return config.backend_cls(), config
