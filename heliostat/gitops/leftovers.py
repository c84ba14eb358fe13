"""What an environment has besides its resources: objects, and runs of MLflow. Taken away once nothing writes to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from heliostat.gitops.records import EnvironmentRecord
from heliostat.spec.addresses import Access, StoreAddress
from heliostat.spec.branch_environments import experiment_in, name_in
from heliostat.spec.ledger import prefix_of
from heliostat.spec.predictions import schedule_key, top
from heliostat.systems.mlflow_experiments import Experiments
from heliostat.systems.objects import Directory, open_store

_OF_APPLICATIONS: Final = ("predictions", "predictions-unread", "tasks", "monitors", "ground-truth", "reviews")
"""Folders in which an application has one. What the gate said of its versions is a monitor's, whether there is one or not."""


def remove_leftovers(record: EnvironmentRecord, platform: Mapping[str, Any], *, keep_runs: bool) -> None:
    """Delete what is an environment's own on a platform, by what that exports; the same once more does nothing.

    Snapshots, trainings, evaluations and code stay: they are named by their content, and others may have adopted them.
    """
    if not platform.get("store"):
        return  # a platform that is gone has taken it along
    store = open_store(StoreAddress.model_validate(platform["store"]))
    for prefix in _prefixes(record):
        for found in list(store.list(prefix)):
            store.delete(found.key)
        if isinstance(store, Directory):
            store.remove_empty_folders(prefix)
    for batch in record.batches:
        store.delete(schedule_key(name_in(record.name, batch)))
    if not keep_runs and platform.get("trackingUri"):
        access = platform.get("trackingAccess")
        named = Access.model_validate(access) if access else None
        with Experiments(str(platform["trackingUri"]), access=named) as experiments:
            for workload in record.workloads:
                experiments.delete(experiment_in(record.name, workload))


def _prefixes(record: EnvironmentRecord) -> Iterator[str]:
    """Where the objects of its own lie."""
    for application in record.applications:
        yield prefix_of(application)
        yield from (f"{top_}/{application}/" for top_ in _OF_APPLICATIONS)
    yield from (top(name_in(record.name, batch)) for batch in record.batches)
