"""The test plays KubeRay's operator: RayJobs in an API server, whose jobs really run, each with a Jobs API of its own.

It does what the operator does with the fields that it reads: submissionMode HTTPMode, entrypoint, jobId, runtimeEnvYAML,
suspend, shutdownAfterJobFinishes. What it does not read it refuses where the operator would act on it.
"""

from __future__ import annotations

import copy
import datetime
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from api_server import ApiServer
from service_behind import Asked, Service

NAMESPACE = "ml"
OBJECTS = re.compile(r"/apis/ray\.io/v1/namespaces/ml/(rayjobs|rayclusters)(?:/([^/]+))?")
CORE = re.compile(r"/api/v1/namespaces/ml/(pods|events)")
READ = {
    "submissionMode", "entrypoint", "runtimeEnvYAML", "jobId", "metadata", "activeDeadlineSeconds", "backoffLimit",
    "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "rayClusterSpec", "suspend",
}  # fmt: skip
NOW = "2026-11-30T12:00:00Z"


class RayOperator:
    """The RayJobs that there are, and the processes that are their jobs."""

    def __init__(self, api: ApiServer, service: Service, folder: Path) -> None:
        self._api, self._service, self._folder = api, service, folder
        self.jobs: dict[str, dict[str, Any]] = {}
        self.clusters: dict[str, dict[str, Any]] = {}
        self.pods: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.asked: list[tuple[str, str, dict[str, list[str]]]] = []
        """Method, path and query of what was asked of RayJobs."""
        self.holds = False
        """Whether clusters never come: their nodes do not."""
        self.refusal: tuple[int, str] | None = None
        """What the API server says to each RayJob that is to be made."""
        self._lock = threading.RLock()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        service.answer = self._jobs_api
        api.objects = self.answer

    def stop(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()

    def answer(self, method: str, path: str, query: str, body: bytes) -> tuple[int, object] | None:
        """What the API server has of these kinds; None of any other."""
        asked = parse_qs(query)
        with self._lock:
            if found := OBJECTS.fullmatch(path):
                self.asked.append((method, path, asked))
                kept = self.jobs if found[1] == "rayjobs" else self.clusters
                return copy.deepcopy(self._objects(method, kept, found[2], asked, body))
            if found := CORE.fullmatch(path):
                return 200, {"kind": "List", "items": self.pods if found[1] == "pods" else self.events}
        return None

    def settle(self, name: str, **status: Any) -> None:
        """Have the operator say something of a RayJob."""
        with self._lock:
            self.jobs[name].setdefault("status", {}).update(status)

    def _objects(self, method: str, kept: dict[str, Any], name: str | None, asked: Any, body: bytes) -> tuple[int, object]:
        if method == "POST":
            return self._make(json.loads(body), "dryRun" in asked)
        if name is None:
            chosen = dict(part.split("=") for part in asked["labelSelector"][0].split(","))
            items = [each for each in kept.values() if chosen.items() <= each["metadata"]["labels"].items()]
            return 200, {"kind": "List", "apiVersion": "v1", "items": items}
        if name not in kept:
            return status_of(404, "NotFound", f'rayjobs.ray.io "{name}" not found')
        if method == "DELETE":
            return 200, kept.pop(name)
        if method == "PATCH":
            change = json.loads(body)
            kept[name]["metadata"]["annotations"].update(change["metadata"]["annotations"])
            kept[name]["spec"].update(change["spec"])
            self._suspend(name)
        return 200, kept[name]

    def _make(self, job: dict[str, Any], rehearsal: bool) -> tuple[int, object]:
        name = job["metadata"]["name"]
        if self.refusal:
            return status_of(self.refusal[0], "Refused", self.refusal[1])
        if name in self.jobs:
            return status_of(409, "AlreadyExists", f'rayjobs.ray.io "{name}" already exists')
        assert job["spec"].keys() <= READ
        assert job["spec"]["submissionMode"] == "HTTPMode"
        if not rehearsal:
            self.jobs[name] = {**job, "metadata": {**job["metadata"], "creationTimestamp": NOW}}
            self._begin(name)
        return 201, job

    def _begin(self, name: str) -> None:
        job = self.jobs[name]
        began = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        job["status"] = {"jobDeploymentStatus": "Initializing", "rayClusterName": f"{name}-abcde", "startTime": began}
        if self.holds:
            return
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        with self._log(job).open("wb") as log:
            process = subprocess.Popen(
                job["spec"]["entrypoint"], shell=True, stdout=log, stderr=log, env={**os.environ, "PATH": path},
                start_new_session=True,
            )  # fmt: skip
        self._running[name] = process
        self._api.services[NAMESPACE, f"{name}-head-svc", 8265] = self._service.url
        dashboard = f"{name}-head-svc.{NAMESPACE}.svc.cluster.local:8265"
        self.settle(name, jobDeploymentStatus="Running", jobStatus="RUNNING", dashboardURL=dashboard)
        threading.Thread(target=self._wait, args=(name, process), daemon=True).start()

    def _wait(self, name: str, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        with self._lock:
            self._api.services.pop((NAMESPACE, f"{name}-head-svc", 8265), None)
            job = self.jobs.get(name)
            if job is None or job["spec"].get("suspend"):
                return
            if code == 0:
                self.settle(name, jobStatus="SUCCEEDED", jobDeploymentStatus="Complete")
                return
            tail = self._log(job).read_text()[-20_000:]
            told = f"Job entrypoint command failed with exit code {code}, last available logs (truncated to 20,000 chars):\n"
            self.settle(name, jobStatus="FAILED", jobDeploymentStatus="Failed", reason="AppFailed", message=told + tail)

    def _suspend(self, name: str) -> None:
        job = self.jobs[name]
        if not job["spec"].get("suspend") or job["status"]["jobDeploymentStatus"] in ("Complete", "Failed"):
            return
        assert job["spec"]["shutdownAfterJobFinishes"]
        if name in self._running:
            os.killpg(self._running[name].pid, 9)
        job["status"] = {"jobDeploymentStatus": "Suspended"}

    def _jobs_api(self, asked: Asked) -> tuple[int, object]:
        """The dashboard's, of whichever cluster."""
        job_id = urlsplit(asked.path).path.split("/")[3]
        found = next((each for each in self.jobs.values() if each["spec"]["jobId"] == job_id), None)
        return (200, {"logs": self._log(found).read_text()}) if found else (404, "no such job")

    def _log(self, job: dict[str, Any]) -> Path:
        return self._folder / f"{job['metadata']['name']}.log"


def status_of(code: int, reason: str, message: str) -> tuple[int, object]:
    """An API server's own refusal."""
    told = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return code, {**told, "message": message, "reason": reason, "code": code}


@pytest.fixture
def operator(api_server: ApiServer, service: Service, tmp_path: Path) -> Iterator[RayOperator]:
    found = RayOperator(api_server, service, tmp_path)
    yield found
    found.stop()
