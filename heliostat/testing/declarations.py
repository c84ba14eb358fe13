"""Versions that are nowhere, for tests of what moves them: backends, routers and strategies."""

from __future__ import annotations

from typing import Any, Final

from heliostat.spec.addresses import StoreAddress
from heliostat.spec.rollouts import Desired, Version
from heliostat.spec.strategies import BlueGreen, Strategy
from heliostat.spec.workload import Limits, PredictionLog

AT_ONCE: Final = BlueGreen(retention_seconds=0)
"""Moves a version in as fast as can be, and keeps nothing."""


def version(number: int = 1, **changes: Any) -> Version:
    """A version by its number, with other values for those of its fields that are named: another number is another version."""
    given: dict[str, Any] = {
        "digest": f"{number:064x}",
        "label": f"version-{number}",
        "code_uri": "file:///none",
        "contract": "under:test",
        "model_uri": f"models:/none/{number}",
        "tracking_uri": "http://127.0.0.1:1",
        "store": StoreAddress(uri="file:///none"),
        "prediction_log": PredictionLog(),
        "limits": Limits(),
    }
    return Version(**{**given, **changes})


def desired(number: int = 1, strategy: Strategy = AT_ONCE, *, replicas: int = 2, **changes: Any) -> Desired:
    """The declaration of version `number`, which moves in by `strategy`, by default blue-green that keeps nothing.

    `changes` are other values of its fields; `version` is one of them.
    """
    given: dict[str, Any] = {
        "version": version(number),
        "replicas": replicas,
        "cpus_per_replica": 1,
        "max_ongoing_requests": 8,
        "startup_timeout_seconds": 20.0,
        "strategy": strategy,
    }
    return Desired(**{**given, **changes})
