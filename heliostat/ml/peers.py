"""A Ray Train backend that tells every worker its peers, for libraries that connect their workers themselves.

Ray's own for LightGBM does the same and imports lightgbm, and with it scikit-learn, in every process of a training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ray.train.backend import Backend, BackendConfig

_MACHINES: tuple[str, ...] = ()


def machines() -> tuple[str, ...]:
    """`address:port` of every worker, by rank; empty outside a training of several workers."""
    return _MACHINES


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
            worker_group.execute(_remember, tuple(worker_group.execute(_address)))


def _address() -> str:
    import socket

    import ray

    address: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.bind((address, 0))
        return f"{address}:{probe.getsockname()[1]}"


def _remember(found: tuple[str, ...]) -> None:
    global _MACHINES
    _MACHINES = found
