"""What a platform on one machine could never hold is told before anything starts, workers of tasks among it."""

from __future__ import annotations

from typing import Any

from heliostat.spec.local_room import too_large
from heliostat.spec.platforms.local import LocalPlatform
from heliostat.spec.workload import Workload


def told(serving: dict[str, Any]) -> list[tuple[tuple[int | str, ...], str]]:
    """What is said of a workload on nodes of 2 and 4 CPUs."""
    platform = LocalPlatform.model_validate(
        {"kind": "local", "ray": {"head": {"cpus": 2}, "workers": {"cpus": 4, "count": 1}}}
    )
    workload = Workload.model_validate({"serving": serving, "model": "models:/flights/1"})
    return list(too_large(platform, workload))


def test_workers_of_tasks_that_fit_are_not_told() -> None:
    assert told({"replicas": 2, "queue": {"workers": {"replicas": 2, "cpusPerReplica": 2}}}) == []
    assert told({"replicas": 6}) == []
    assert told({"replicas": 6, "queue": {"workers": {"replicas": 9, "cpusPerReplica": 0}}}) == []


def test_workers_of_tasks_that_do_not_fit_by_themselves_are() -> None:
    [(path, text)] = told({"queue": {"workers": {"replicas": 2, "cpusPerReplica": 3}}})
    assert path == ("serving", "queue", "workers", "replicas")
    assert text == (
        "2 replicas of workers of tasks of 3 CPUs need more than there is: the cluster's nodes have 2, 4 CPUs, room for 1; "
        "declare fewer, or more below platform.ray"
    )


def test_as_many_as_there_may_be_have_to_fit() -> None:
    [(path, text)] = told({"queue": {"workers": {"scaling": {"maxReplicas": 7}}}})
    assert path == ("serving", "queue", "workers", "scaling", "maxReplicas")
    assert text.startswith("7 replicas of workers of tasks of 1 CPUs")


def test_replicas_and_workers_have_to_fit_beside_each_other() -> None:
    [(path, text)] = told({"replicas": 4, "queue": {"workers": {"replicas": 3}}})
    assert path == ("serving", "queue", "workers", "replicas")
    assert text == (
        "4 replicas of 1 CPUs and 3 replicas of workers of tasks of 1 CPUs do not fit beside each other: the cluster's nodes "
        "have 2, 4 CPUs; declare fewer of either, or more below platform.ray"
    )
    assert told({"replicas": 2, "queue": {"workers": {"replicas": 1, "cpusPerReplica": 4}}}) == []
