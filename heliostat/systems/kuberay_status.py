"""What KubeRay and Kubernetes say of a RayJob, as a job and in words. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from heliostat.spec.ray_job import ID_ANNOTATION, STOPPED_ANNOTATION
from heliostat.systems.ray_jobs import Job

_EXIT_CODE: Final = re.compile(r"failed with exit code (-?[0-9]+)")
_LOG_TAIL: Final = ", last available logs"
"""What follows in Ray's message is the end of the log, which is told by itself."""
_FIXES: Final = {
    "DeadlineExceeded": "it did not end in its time: raise timeoutSeconds, or give it less to do",
    "PreRunningDeadlineExceeded": "its cluster was not ready in time: see whether the group's nodes come",
    "SubmissionFailed": (
        "KubeRay could not hand it to its cluster: see whether the operator reaches the head there (network policies, DNS)"
    ),
    "ValidationFailed": "KubeRay refuses it: the operator may be of another release than the platform asks for",
    "JobStatusCheckTimeoutExceeded": "KubeRay got no answer from its head for too long: give it memory",
    "JobDeploymentStatusTransitionGracePeriodExceeded": "KubeRay and its cluster do not agree on its end; run it again",
}
"""What each reason means. Of `AppFailed` the job's own words tell more."""
_NOT_YET: Final = ("ContainerCreating", "PodInitializing")
_OF_AUTOSCALERS: Final = ("TriggeredScaleUp", "NotTriggerScaleUp", "Nominated")
"""Events on a pod that waits, by which the cluster autoscaler or Karpenter says what it does about it."""


def job_of(found: Mapping[str, Any]) -> Job:
    """A RayJob as a job. It has ended when KubeRay says that the RayJob has, whatever its Ray job or a submitter says."""
    metadata, status = found["metadata"], found.get("status") or {}
    annotations = metadata.get("annotations") or {}
    state = _state(status, STOPPED_ANNOTATION in annotations)
    # A queue that holds it back has all the time in the world.
    held = state == "PENDING" and status.get("jobDeploymentStatus") == "Suspended"
    began = None if held else status.get("startTime") or metadata.get("creationTimestamp")
    told = str(status.get("message") or "")
    code = _EXIT_CODE.search(told)
    return Job(
        submission_id=annotations.get(ID_ANNOTATION, metadata["name"]),
        status=state,
        message=_message(status, told) if state == "FAILED" else "",
        started=datetime.fromisoformat(began).timestamp() if began else None,
        exit_code=0 if state == "SUCCEEDED" else int(code[1]) if state == "FAILED" and code else None,
    )


def is_told_to_stop(found: Mapping[str, Any]) -> bool:
    """Whether somebody asked for its end already."""
    return STOPPED_ANNOTATION in (found["metadata"].get("annotations") or {})


def waiting(found: Mapping[str, Any], pods: Iterable[Mapping[str, Any]], events: Iterable[Mapping[str, Any]]) -> str:
    """Why the cluster of a RayJob is not there yet, in one line; empty where nothing says why."""
    if (found.get("status") or {}).get("jobDeploymentStatus") == "Suspended":
        return "somebody suspended it, as a queue does: it begins when they let it"
    refused = [each.get("message", "") for each in _conditions(found) if _is(each, "ReplicaFailure", "True")]
    waits = Counter(text for pod in pods if (text := _of_pod(pod)))
    told = [f"{_count(kind, count)} {text}" for (kind, text), count in waits.items()]
    scaled = dict.fromkeys(each["message"] for each in events if each.get("reason") in _OF_AUTOSCALERS)
    parts = [*(f"KubeRay cannot make its pods: {text}" for text in refused), *told]
    return "; ".join([*parts, *(f"the autoscaler: {text}" for text in scaled)])


def _state(status: Mapping[str, Any], told_to_stop: bool) -> str:
    match status.get("jobDeploymentStatus") or "":
        case "Complete":
            return "STOPPED" if status.get("jobStatus") == "STOPPED" else "SUCCEEDED"
        case "Failed" | "ValidationFailed":
            return "STOPPED" if status.get("jobStatus") == "STOPPED" else "FAILED"
        case "Suspended":
            return "STOPPED" if told_to_stop else "PENDING"
        case "Running" if status.get("jobStatus") not in (None, "", "PENDING"):
            return "RUNNING"
        case "Suspending":
            return "RUNNING"
    return "PENDING"


def _message(status: Mapping[str, Any], told: str) -> str:
    reason = str(status.get("reason") or status.get("jobDeploymentStatus") or "")
    told = told.partition(_LOG_TAIL)[0].strip()
    fix = _FIXES.get(reason)
    if fix is not None:
        return f"{fix} ({reason}{f': {told}' if told else ''})"
    return told or reason


def _conditions(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    cluster = (found.get("status") or {}).get("rayClusterStatus") or {}
    return cluster.get("conditions") or []


def _is(condition: Mapping[str, Any], kind: str, status: str) -> bool:
    return (condition.get("type"), condition.get("status")) == (kind, status)


def _of_pod(pod: Mapping[str, Any]) -> tuple[str, str] | None:
    """Whether it is of the head or a worker, and why it does not run; None where it does."""
    status = pod.get("status") or {}
    if status.get("phase") != "Pending":
        return None
    kind = (pod["metadata"].get("labels") or {}).get("ray.io/node-type", "pod")
    unplaced = [each for each in status.get("conditions") or () if _is(each, "PodScheduled", "False")]
    if unplaced:
        return kind, f"waiting for a node: {unplaced[0].get('message') or unplaced[0].get('reason') or 'none fits'}"
    stuck = [each for each in _waiting_containers(status) if each.get("reason") not in _NOT_YET]
    if stuck:
        return kind, f"unable to start: {stuck[0].get('reason')}: {stuck[0].get('message') or 'see its events'}"
    return kind, "starting"


def _waiting_containers(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for each in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        if waits := (each.get("state") or {}).get("waiting"):
            yield waits


def _count(kind: str, count: int) -> str:
    if kind == "head":
        return "the head is" if count == 1 else f"{count} heads are"
    return f"{count} {kind} is" if count == 1 else f"{count} {kind}s are"
