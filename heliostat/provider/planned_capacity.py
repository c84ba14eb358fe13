"""Which clusters get more room in the update that is previewed: what runs on one does not fail for want of it.

A preview asks the cluster as it is, before its change. Both previews are in the plugin's one process, the cluster's first:
what runs on it depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping

from heliostat.spec.groups import ChosenGroup
from heliostat.spec.platforms.local import RayWorkers

_growing: dict[str, tuple[RayWorkers, RayWorkers]] = {}
"""The workers before and after, by the URL of the cluster."""


def note(cluster: str, before: RayWorkers, after: RayWorkers) -> None:
    """Remember how a cluster's workers change, as its newest preview has it."""
    if after.count > before.count or after.cpus > before.cpus:
        _growing[cluster] = before, after
    else:
        _growing.pop(cluster, None)


def growth(cluster: str) -> str | None:
    """How a cluster grows in this update, in words; None where it does not, or is not made by it."""
    changes = _growing.get(cluster)
    return f"from {_words(changes[0])} to {_words(changes[1])}" if changes is not None else None


def group_growth(known: Mapping[str, int], chosen: ChosenGroup | None) -> str | None:
    """How the group that an application runs on grows in this update, in words; None where it does not.

    Args:
        known: The most workers of each group, as the controller has it before the update.
        chosen: The group as the update declares it; None where the application names none.
    """
    if chosen is None or chosen.group is None or not known:
        return None
    before = known.get(chosen.name, 0)
    return (
        f"the group {chosen.name} from at most {before} to {chosen.group.most} workers" if chosen.group.most > before else None
    )


def _words(workers: RayWorkers) -> str:
    return (
        f"{workers.count} worker{'' if workers.count == 1 else 's'} with {workers.cpus} CPU{'' if workers.cpus == 1 else 's'}"
    )
