"""HAProxy beside the controller: what it is started with."""

from __future__ import annotations

from pathlib import Path

from heliostat.spec.controller import ControllerSettings
from heliostat.systems.haproxy_config import Plane


def plane_of(settings: ControllerSettings) -> Plane:
    """What HAProxy is started with."""
    return Plane(
        host=settings.inputs.host,
        public_port=settings.public_port,
        directory=settings.directory,
        runtime_directory=Path(settings.runtime_directory),
        threads=settings.traffic.threads,
        max_connections=settings.traffic.max_connections,
        answer_timeout_seconds=settings.traffic.answer_timeout_seconds,
    )
