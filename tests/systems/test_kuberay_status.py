"""What KubeRay says of a RayJob, as a job and in words."""

from __future__ import annotations

from typing import Any

import pytest

from heliostat.spec.ray_job import STOPPED_ANNOTATION
from heliostat.systems.kuberay_status import job_of, waiting

BEGAN = "2026-11-30T12:00:00Z"


def found(annotations: dict[str, str] | None = None, **status: Any) -> dict[str, Any]:
    metadata = {"name": "train-flights-abc-2", "creationTimestamp": BEGAN, "annotations": annotations or {}}
    return {"metadata": metadata, "status": status} if status else {"metadata": metadata}


@pytest.mark.parametrize(
    ("deployment", "job", "status"),
    [
        ("", "", "PENDING"), ("Initializing", "", "PENDING"), ("Waiting", "", "PENDING"), ("Retrying", "FAILED", "PENDING"),
        ("Running", "", "PENDING"), ("Running", "PENDING", "PENDING"), ("Running", "RUNNING", "RUNNING"),
        ("Running", "SUCCEEDED", "RUNNING"), ("Suspending", "RUNNING", "RUNNING"), ("Suspended", "", "PENDING"),
        ("Complete", "SUCCEEDED", "SUCCEEDED"), ("Complete", "STOPPED", "STOPPED"), ("Failed", "FAILED", "FAILED"),
        ("Failed", "SUCCEEDED", "FAILED"), ("ValidationFailed", "", "FAILED"),
    ],
)  # fmt: skip
def test_a_job_is_what_kuberay_says_that_its_ray_job_is(deployment: str, job: str, status: str) -> None:
    assert job_of(found(jobDeploymentStatus=deployment, jobStatus=job)).status == status


def test_one_that_nobody_has_looked_at_yet_is_pending_since_it_was_made() -> None:
    job = job_of(found())
    assert (job.status, job.attempt, job.started) == ("PENDING", 2, 1796040000.0)


def test_a_suspended_one_has_ended_where_its_end_was_meant_and_waits_without_a_start_where_not() -> None:
    assert job_of(found({STOPPED_ANNOTATION: "true"}, jobDeploymentStatus="Suspended")).status == "STOPPED"
    assert job_of(found(jobDeploymentStatus="Suspended", startTime=BEGAN)).started is None


def test_of_a_job_that_fails_the_exit_code_is_known_and_its_log_is_told_by_itself() -> None:
    message = "Job entrypoint command failed with exit code -9, last available logs (truncated to 20,000 chars):\nBoom\n"
    job = job_of(found(jobDeploymentStatus="Failed", jobStatus="FAILED", reason="AppFailed", message=message))
    assert (job.exit_code, job.message) == (-9, "Job entrypoint command failed with exit code -9")


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("DeadlineExceeded", "raise timeoutSeconds"), ("SubmissionFailed", "whether the operator reaches the head"),
        ("ValidationFailed", "KubeRay refuses it"), ("JobStatusCheckTimeoutExceeded", "no answer from its head"),
        ("PreRunningDeadlineExceeded", "nodes come"), ("SomethingNew", "why"),
    ],
)  # fmt: skip
def test_each_reason_of_a_failure_is_told_with_its_fix_and_kuberays_own_words(reason: str, told: str) -> None:
    message = job_of(found(jobDeploymentStatus="Failed", reason=reason, message="why")).message
    assert told in message
    assert "why" in message


def pod(kind: str, *, scheduled: str = "", waits: str = "", phase: str = "Pending") -> dict[str, Any]:
    conditions = [{"type": "PodScheduled", "status": "False", "message": scheduled}] if scheduled else []
    state = {"waiting": {"reason": waits, "message": "pull access denied"}} if waits else {"running": {}}
    status = {"phase": phase, "conditions": conditions, "containerStatuses": [{"state": state}]}
    return {"metadata": {"labels": {"ray.io/node-type": kind}}, "status": status}


def test_nothing_waits_where_all_pods_run() -> None:
    assert waiting(found(), [pod("head", phase="Running")], []) == ""


def test_pods_that_wait_for_the_same_are_told_as_one() -> None:
    pods = [pod("head", waits="ContainerCreating"), *[pod("worker", scheduled="Insufficient nvidia.com/gpu")] * 3]
    assert waiting(found(), pods, []) == "the head is starting; 3 workers are waiting for a node: Insufficient nvidia.com/gpu"


def test_an_image_that_cannot_be_had_is_told() -> None:
    assert waiting(found(), [pod("worker", waits="ImagePullBackOff")], []) == (
        "1 worker is unable to start: ImagePullBackOff: pull access denied"
    )


def test_what_the_autoscaler_does_about_it_is_told_and_other_events_are_not() -> None:
    events = [{"reason": "TriggeredScaleUp", "message": "pod triggered scale-up"}] * 2
    events.append({"reason": "FailedScheduling", "message": "no"})
    assert waiting(found(), [], events) == "the autoscaler: pod triggered scale-up"


def test_a_quota_that_is_used_up_is_told_although_there_are_no_pods() -> None:
    conditions = [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: gpus"}]
    assert "exceeded quota: gpus" in waiting(found(rayClusterStatus={"conditions": conditions}), [], [])
