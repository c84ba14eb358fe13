"""Makes a data set's snapshot. Run by the provider's Dataset as a Ray job."""

from __future__ import annotations

from heliostat.jobs.specification import progress, run
from heliostat.ml import datasets
from heliostat.ml.contracts import load_entry_point
from heliostat.spec.jobs import SnapshotSpecification
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import open_store


def snapshot(specification: SnapshotSpecification) -> None:
    """Call the workload's data function and keep what it returns."""
    progress("reading the data")
    data = load_entry_point(specification.entry_point)(specification.parameters)
    if not isinstance(data, datasets.Tables | datasets.Parts):
        found = type(data).__name__
        raise PermanentError(
            f"{specification.entry_point} returned {found}: it must return Tables or Parts of heliostat.ml.datasets"
        )
    store = open_store(specification.store)
    manifest = datasets.save(data, specification.name, store, progress, specification.task)
    datasets.put_json(store, specification.result_key, manifest)


if __name__ == "__main__":
    run(SnapshotSpecification, snapshot)
