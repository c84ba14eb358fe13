"""Which clusters get more room in the update that is previewed: what runs on one does not fail for want of it.

A preview asks the cluster as it is, before its change. Both previews are in the plugin's one process, the cluster's first:
what runs on it depends on it.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from heliostat.spec.controller import SETTINGS_FILE, ControllerSettings
from heliostat.spec.platform import RayWorkers
from heliostat.spec.resources import ControllerAddress, RayAddress

_growing: dict[RayAddress, tuple[RayWorkers, RayWorkers]] = {}


def note(cluster: RayAddress, before: RayWorkers, after: RayWorkers) -> None:
    """Remember how a cluster's workers change, as its newest preview has it."""
    if after.count > before.count or after.cpus > before.cpus:
        _growing[cluster] = before, after
    else:
        _growing.pop(cluster, None)


def growth(controller: ControllerAddress) -> str | None:
    """How the cluster of a controller grows in this update, in words; None where it does not, or that is not known."""
    try:
        # Only who runs on this machine has its settings beside its token.
        text = (Path(controller.token_file).parent / SETTINGS_FILE).read_bytes()
        return of_cluster(ControllerSettings.model_validate_json(text).inputs.ray)
    except (OSError, ValidationError):
        return None


def of_cluster(ray: RayAddress) -> str | None:
    """How a cluster grows in this update, in words; None where it does not."""
    changes = _growing.get(ray)
    return f"from {_words(changes[0])} to {_words(changes[1])}" if changes is not None else None


def _words(workers: RayWorkers) -> str:
    return (
        f"{workers.count} worker{'' if workers.count == 1 else 's'} with {workers.cpus} CPU{'' if workers.cpus == 1 else 's'}"
    )
