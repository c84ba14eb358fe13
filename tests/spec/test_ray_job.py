"""The RayJob of a training with a cluster of its own: what it takes of the platform's, and what KubeRay would not take."""

from __future__ import annotations

import copy
import json
from functools import cache
from typing import Any

import pytest

from heliostat.spec.ray_job import GRACE_SECONDS, JOB_LABEL, MAX_NAME, WORK_LABEL, Request, mistakes, name_of, ray_job
from tests.platforms import golden, strict

ID = "train-flights-0123456789ab-1"
ENTRYPOINT = """python -m heliostat.jobs.train '{"store": {"uri": "s3://models"}, "key": "jobs/$x.json"}'"""


@cache
def _planned() -> dict[str, Any]:
    return next(each for each in golden.load("kubernetes") if each["type"].endswith(":RayCluster"))["inputs"]


def cluster() -> dict[str, Any]:
    """The RayCluster of the reviewed plan, as the API server has it."""
    return {"metadata": {**copy.deepcopy(_planned()["metadata"]), "name": "ray-1"}, "spec": copy.deepcopy(_planned()["spec"])}


def job(
    group: str = "l4", replicas: int = 2, submission_id: str = ID, pattern: dict[str, Any] | None = None
) -> dict[str, Any]:
    request = Request(submission_id, ENTRYPOINT, {"env_vars": {"A": "${PATH}"}}, {"heliostat": "x"}, group, replicas, 90.5)
    return ray_job(request, cluster())


@pytest.mark.skipif(not strict.DEFINITIONS.exists(), reason="KubeRay's definitions are not on this machine")
def test_it_is_as_its_definition_says() -> None:
    schema = strict.definition("rayjobs")
    for group in ("cpu", "l4", "v6e"):
        assert list(strict.mistakes_by_definition(job(group), schema, "RayJob")) == []
    broken = job()
    broken["spec"]["ttlSecondsAfterFinish"] = 1
    assert list(strict.mistakes_by_definition(broken, schema, "RayJob")) == ["RayJob.spec.ttlSecondsAfterFinish is not known"]


def test_kuberay_takes_it() -> None:
    for group in ("cpu", "l4", "v6e"):
        assert list(mistakes(job(group))) == []


def test_its_cluster_is_the_platforms_with_one_group_as_large_as_the_work() -> None:
    made, planned = job("v6e", 2)["spec"]["rayClusterSpec"], cluster()["spec"]
    [workers] = made["workerGroupSpecs"]
    assert (workers["replicas"], workers["minReplicas"], workers["maxReplicas"], workers["numOfHosts"]) == (2, 2, 2, 4)
    pattern = next(each for each in planned["workerGroupSpecs"] if each["groupName"] == "v6e")
    assert workers["template"] == pattern["template"]
    assert workers["rayStartParams"] == pattern["rayStartParams"]
    assert (
        made["headGroupSpec"]["template"]["spec"]["containers"] == planned["headGroupSpec"]["template"]["spec"]["containers"]
    )
    assert made["authOptions"] == planned["authOptions"]
    assert made["rayVersion"] == planned["rayVersion"]


def test_it_has_neither_an_autoscaler_nor_what_outlives_its_head_nor_a_right_to_the_api() -> None:
    made = job()["spec"]["rayClusterSpec"]
    assert made["enableInTreeAutoscaling"] is False
    assert not {"autoscalerOptions", "gcsFaultToleranceOptions", "upgradeStrategy"} & made.keys()
    assert made["headGroupSpec"]["template"]["spec"]["automountServiceAccountToken"] is False
    assert cluster()["spec"]["headGroupSpec"]["template"]["spec"]["automountServiceAccountToken"] is True


def test_its_accelerators_go_with_its_end_and_it_is_tried_once() -> None:
    spec = job()["spec"]
    assert (spec["shutdownAfterJobFinishes"], spec["ttlSecondsAfterFinished"], spec["backoffLimit"]) == (True, 0, 0)
    assert spec["activeDeadlineSeconds"] == 91 + GRACE_SECONDS


def test_command_and_environment_arrive_as_they_are() -> None:
    spec = job()["spec"]
    assert (spec["submissionMode"], spec["entrypoint"], spec["jobId"]) == ("HTTPMode", ENTRYPOINT, ID)
    assert json.loads(spec["runtimeEnvYAML"]) == {"env_vars": {"A": "${PATH}"}}


def test_it_says_whose_it_is_and_is_no_part_of_the_platform() -> None:
    labels = job()["metadata"]["labels"]
    assert (labels["owner"], labels["cost-centre"]) == ("vision", "cc-42")
    assert "heliostat/part" not in labels
    assert (labels[JOB_LABEL], labels[WORK_LABEL]) == ("train-flights-0123456789ab", "train-flights")


def test_a_long_id_has_a_name_of_its_own_each_time_the_same() -> None:
    ids = [f"train-{'x' * 40}-0123456789ab-{attempt}" for attempt in (1, 2)]
    names = [name_of(each) for each in ids]
    assert names == [name_of(each) for each in ids]
    assert len(set(names)) == 2
    assert all(len(name) <= MAX_NAME for name in names)
    assert name_of(ID) == ID
    assert all(list(mistakes(job(submission_id=each))) == [] for each in ids)


def test_a_group_that_the_cluster_has_not_is_named_with_those_that_it_has() -> None:
    with pytest.raises(ValueError, match=r"ray-1 has no group h100 \(there are: cpu, l4, v6e\)"):
        job("h100")


def set_in(*path: Any, value: Any) -> Any:
    def change(found: dict[str, Any]) -> None:
        for part in path[:-1]:
            found = found[part]
        found[path[-1]] = value

    return change


OWN = ("spec", "rayClusterSpec")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (set_in("metadata", "name", value="x" * 48), "is no name of a RayJob"),
        (set_in("metadata", "name", value="1-train"), "is no name of a RayJob"),
        (set_in("metadata", "labels", JOB_LABEL, value="x" * 64), "longer than 63"),
        (set_in("spec", "entrypoint", value=" "), "no entrypoint"),
        (set_in("spec", "activeDeadlineSeconds", value=0), "not above 0"),
        (set_in(*OWN, "rayVersion", value="2.51.0"), "tokens need Ray 2.52"),
        (set_in(*OWN, "upgradeStrategy", value={}), "upgradeStrategy is not for a RayJob"),
        (set_in(*OWN, "headGroupSpec", "template", "spec", "containers", value=[]), "the head has no container"),
        (set_in(*OWN, "workerGroupSpecs", 0, "maxReplicas", value=1), "l4 has 2 replicas of 2 to 1"),
        (set_in(*OWN, "workerGroupSpecs", 0, "numOfHosts", value=0), "l4 has 0 hosts"),
    ],
)
def test_what_an_api_server_takes_and_kuberay_does_not_is_named(change: Any, told: str) -> None:
    broken = job()
    change(broken)
    [mistake] = mistakes(broken)
    assert told in mistake


@pytest.mark.parametrize("key", ["ttlSecondsAfterFinished", "suspend"])
def test_what_comes_after_the_end_needs_a_cluster_that_goes(key: str) -> None:
    broken = job()
    broken["spec"] |= {key: 5, "shutdownAfterJobFinishes": False}
    [mistake] = mistakes(broken)
    assert "need shutdownAfterJobFinishes" in mistake
