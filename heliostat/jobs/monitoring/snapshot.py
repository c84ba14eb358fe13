"""What a monitor does where a person's rows are deleted from what its version was trained on."""

from __future__ import annotations

from heliostat.ml.datasets import Snapshot
from heliostat.spec.data_sets import prefix_of
from heliostat.spec.monitoring import MonitorSpecification
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectMissingError, ObjectStore
from heliostat.systems.references import take


def with_what_is_left(specification: MonitorSpecification, store: ObjectStore) -> MonitorSpecification:
    """A monitor of the snapshot that has the place of its version's own, where a person's rows were deleted from that one."""
    while specification.dataset_digest is not None:
        name, here = specification.dataset_key.split("/")[1], Snapshot(specification.dataset_key, specification.store)
        try:
            home = here.home()
            erased = Snapshot(here.key, home).manifest().get("erased")
            if erased is None:
                break
            digest = str(erased["successor"])
            there = Snapshot(prefix_of(name, digest)[:-1], home)
            if home.uri != specification.store.uri:
                take(store, home, there.manifest())
        except (ObjectMissingError, PermanentError):
            break  # whoever reads its rows says so; a reference that is kept needs none of them
        specification = specification.model_copy(update={"dataset_key": there.key, "dataset_digest": digest})
    return specification
