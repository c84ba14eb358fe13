"""A RayJob as KubeRay takes it: a job with a Ray cluster of its own, made as a cluster that is there. Pure."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

API_VERSION: Final = "ray.io/v1"
JOB_LABEL: Final = "heliostat/job"
"""What all attempts of a job have in common."""
WORK_LABEL: Final = "heliostat/work"
"""What all jobs of a training have in common, whatever code and data."""
ID_ANNOTATION: Final = "heliostat/submission-id"
"""The whole submission id, of which the name may be a short form."""
STOPPED_ANNOTATION: Final = "heliostat/stopped"
"""That whoever suspended it meant its end; queues suspend what they let wait."""
GRACE_SECONDS: Final = 60
"""How much later than whoever waits KubeRay ends a job that takes too long: who waits can say why."""
MAX_NAME: Final = 47
"""KubeRay refuses a longer name of a RayJob, in its status."""
_MAX_LABEL: Final = 63
_TAKEN: Final = ("rayVersion", "authOptions")
"""What of a cluster's own settings a job's cluster has too. It has no autoscaler: it is as large as its work. Nor does it
outlive its head: the training goes on from its checkpoint in the next attempt."""
_OF_THE_AUTOSCALER: Final = ("scaleStrategy", "idleTimeoutSeconds")
_HASH: Final = 10


@dataclass(frozen=True)
class Request:
    """A job that is asked for."""

    submission_id: str
    """`<name>-<digest>-<attempt>`."""
    entrypoint: str
    runtime_env: Mapping[str, Any]
    metadata: Mapping[str, str]
    group: str
    """The workers of the cluster that its own is made as."""
    replicas: int
    """How many of them; of slices of several hosts how many slices."""
    timeout_seconds: float
    """From its start, the wait for nodes included."""


def ray_job(request: Request, cluster: Mapping[str, Any]) -> dict[str, Any]:
    """The RayJob of a request, on a cluster as the RayCluster `cluster` is.

    Raises:
        ValueError: that has no such group of workers.
    """
    base = request.submission_id.rpartition("-")[0]
    labels = {key: value for key, value in (cluster["metadata"].get("labels") or {}).items() if key != "heliostat/part"}
    own = {JOB_LABEL: shortened(base, _MAX_LABEL), WORK_LABEL: shortened(base.rpartition("-")[0], _MAX_LABEL)}
    return {
        "apiVersion": API_VERSION,
        "kind": "RayJob",
        "metadata": {
            "name": name_of(request.submission_id),
            "namespace": cluster["metadata"]["namespace"],
            "labels": {**labels, **own},
            "annotations": {ID_ANNOTATION: request.submission_id},
        },
        "spec": {
            # By the operator's own call: a submitter's shell would read what is in quotes, and its word is not KubeRay's.
            "submissionMode": "HTTPMode",
            "entrypoint": request.entrypoint,
            "runtimeEnvYAML": json.dumps(request.runtime_env),
            "jobId": request.submission_id,
            "metadata": dict(request.metadata),
            "activeDeadlineSeconds": math.ceil(request.timeout_seconds) + GRACE_SECONDS,
            # The next attempt is another RayJob: attempts are counted, and told, where they are made.
            "backoffLimit": 0,
            "shutdownAfterJobFinishes": True,
            # Accelerators go at once; what the job wrote lies in the store.
            "ttlSecondsAfterFinished": 0,
            "rayClusterSpec": _cluster(cluster, request.group, request.replicas),
        },
    }


def name_of(submission_id: str) -> str:
    """The name of a submission's RayJob: the id itself, or a short form that no other id has."""
    return shortened(submission_id, MAX_NAME)


def shortened(text: str, longest: int) -> str:
    """`text` where it is short enough, else its beginning with a hash of all of it."""
    if len(text) <= longest:
        return text
    digest = hashlib.sha256(text.encode()).hexdigest()[:_HASH]
    return f"{text[: longest - _HASH - 1].rstrip('-')}-{digest}"


def mistakes(job: Mapping[str, Any]) -> Iterator[str]:
    """What KubeRay would refuse in a status, or leave out without a word, of what an API server accepts."""
    name, spec = job["metadata"]["name"], job["spec"]
    if len(name) > MAX_NAME or not re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name):
        yield f"{name} is no name of a RayJob: up to {MAX_NAME} lower-case letters, digits and dashes, a letter first"
    if not spec["entrypoint"].strip():
        yield "there is no entrypoint"
    if spec["activeDeadlineSeconds"] <= 0:
        yield "activeDeadlineSeconds is not above 0"
    if (spec["ttlSecondsAfterFinished"] or spec.get("suspend")) and not spec["shutdownAfterJobFinishes"]:
        yield "ttlSecondsAfterFinished and suspend need shutdownAfterJobFinishes"
    if len(name := job["metadata"]["labels"][JOB_LABEL]) > _MAX_LABEL:
        yield f"{name} is no label: it is longer than {_MAX_LABEL}"
    yield from _cluster_mistakes(spec["rayClusterSpec"])


def _cluster_mistakes(cluster: Mapping[str, Any]) -> Iterator[str]:
    token = (cluster.get("authOptions") or {}).get("mode") == "token"
    release = tuple(int(part) for part in re.findall(r"\d+", cluster.get("rayVersion") or "")[:2])
    if token and release < (2, 52):
        yield f"tokens need Ray 2.52 or later, and rayVersion is {cluster.get('rayVersion') or 'not set'}"
    for key in ("suspend", "managedBy", "upgradeStrategy"):
        if key in cluster:
            yield f"rayClusterSpec.{key} is not for a RayJob"
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        named = group.get("groupName", "the head")
        if not group["template"]["spec"].get("containers"):
            yield f"{named} has no container"
    for group in cluster["workerGroupSpecs"]:
        named, replicas = group["groupName"], group.get("replicas") or 0
        if replicas < 1 or not group["minReplicas"] <= replicas <= group["maxReplicas"]:
            yield f"{named} has {replicas} replicas of {group['minReplicas']} to {group['maxReplicas']}"
        if group.get("numOfHosts", 1) < 1:
            yield f"{named} has {group['numOfHosts']} hosts"


def _cluster(pattern: Mapping[str, Any], group: str, replicas: int) -> dict[str, Any]:
    spec = pattern["spec"]
    groups = {each["groupName"]: each for each in spec.get("workerGroupSpecs") or ()}
    if group not in groups:
        there = ", ".join(sorted(groups)) or "none"
        raise ValueError(f"the Ray cluster {pattern['metadata']['name']} has no group {group} (there are: {there})")
    workers = {key: value for key, value in groups[group].items() if key not in _OF_THE_AUTOSCALER}
    return {
        **{key: spec[key] for key in _TAKEN if key in spec},
        "enableInTreeAutoscaling": False,
        "headGroupSpec": _without_api(spec["headGroupSpec"]),
        "workerGroupSpecs": [{**workers, "replicas": replicas, "minReplicas": replicas, "maxReplicas": replicas}],
    }


def _without_api(head: Mapping[str, Any]) -> dict[str, Any]:
    """A head without an autoscaler beside it has nothing to ask the API for."""
    template = head["template"]
    return {**head, "template": {**template, "spec": {**template["spec"], "automountServiceAccountToken": False}}}
