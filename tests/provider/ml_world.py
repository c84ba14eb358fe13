"""A cluster and a tracking server that remember, in the place of Ray's Jobs API and of MLflow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from heliostat.provider.resource import Context
from heliostat.spec.addresses import ControllerAddress, RayAddress, TokenFile
from heliostat.spec.resources import Code, DatasetAddress, StoreAddress
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.mlflow_registry import RegisteredVersion, Run
from heliostat.systems.objects import open_store
from heliostat.systems.ray_jobs import FAILURE, PROGRESS, Job, JobInterrupted


class World:
    """What the handlers see. `outcome` is what a job does once it runs: writes results and returns its status and log."""

    def __init__(self, tmp_path: Any) -> None:
        root = tmp_path / "checkout"
        (root / "workloads").mkdir(parents=True)
        (root / "workloads" / "__init__.py").write_text("")
        from heliostat.spec.code import digest_of

        files = ("workloads/__init__.py",)
        self.code = Code(root=str(root), files=files, digest=digest_of(root, files))
        self.store = StoreAddress(uri=f"file://{tmp_path}/objects")
        self.ray = RayAddress(url="http://ray")
        self.controller = ControllerAddress(url="http://controller", credential=TokenFile(path="/t"))
        self.dataset = DatasetAddress(uri=f"{self.store.uri}/datasets/flights/{'d' * 64}", digest="d" * 64)
        self.jobs: dict[str, Job] = {}
        self.logs: dict[str, str] = {}
        self.runs: dict[str, Run] = {}
        self.versions: list[RegisteredVersion] = []
        self.submitted: list[dict[str, Any]] = []
        self.outcome: Callable[[dict[str, Any]], tuple[str, str]] = lambda specification: ("SUCCEEDED", "")
        self.serving: str | None = None
        self.mlflow_away = False
        self.gone: set[str] = set()
        """Versions whose artifacts somebody deleted, by URI."""
        self.told: dict[str, list[str]] = {"progress": [], "info": [], "warn": []}
        self.cancelled = asyncio.Event()

    @property
    def context(self) -> Context:
        return Context("urn", *(self.told[kind].append for kind in ("progress", "info", "warn")), self.cancelled)

    def install(self, monkeypatch: Any) -> None:
        from heliostat.provider import model_version, ray_work, train_job

        monkeypatch.setattr(ray_work, "open_runner", lambda address: FakeJobs(self))
        monkeypatch.setattr(train_job, "open_registry", lambda inputs: FakeRegistry(self))
        monkeypatch.setattr(model_version, "open_registry", lambda inputs: FakeRegistry(self))

        async def incumbent(inputs: Any) -> str | None:
            return self.serving

        monkeypatch.setattr(model_version, "_incumbent", incumbent)

    def snapshot(self, labels: dict[str, int] | None = None) -> None:
        """Keep what the data set's snapshot says of itself; `labels` counts those of the test split."""
        store, key = open_store(self.store), f"datasets/flights/{'d' * 64}"
        columns = {"origin": "string", "carrier": "string", "late": "bool"}
        store.put(f"{key}/manifest.json", json.dumps({"label": "late", "columns": columns}).encode())
        counted = {} if labels is None else {"classBalance": labels}
        store.put(f"{key}/statistics.json", json.dumps({"test": {"rows": 9, **counted}}).encode())

    def job(self, submission_id: str, status: str, log: str = "", message: str = "", exit_code: int | None = None) -> None:
        self.jobs[submission_id] = Job(submission_id, status, message, None, exit_code)
        self.logs[submission_id] = log


class FakeJobs:
    def __init__(self, world: World) -> None:
        self.world = world

    async def __aenter__(self) -> FakeJobs:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def attempts(self, base: str) -> list[Job]:
        found = [job for job in self.world.jobs.values() if job.submission_id.rpartition("-")[0] == base]
        return sorted(found, key=lambda job: job.attempt)

    async def submit(self, submission_id: str, entrypoint: str, runtime_env: Any, metadata: Any) -> None:
        specification = json.loads(open_store(self.world.store).get(f"jobs/{submission_id}.json"))
        self.world.submitted.append({"id": submission_id, "entrypoint": entrypoint, "env": runtime_env, **specification})
        self.world.job(submission_id, "RUNNING")

    async def follow(self, submission_id: str, on_progress: Any, cancelled: asyncio.Event, seconds: float) -> Job:
        if cancelled.is_set():
            raise JobInterrupted(submission_id)
        if self.world.jobs[submission_id].status == "RUNNING":
            specification = json.loads(open_store(self.world.store).get(f"jobs/{submission_id}.json"))
            status, log = self.world.outcome(specification)
            self.world.job(submission_id, status, log)
        for line in self.world.logs[submission_id].splitlines():
            if PROGRESS in line:
                on_progress(json.loads(line.partition(PROGRESS)[2]))
        return self.world.jobs[submission_id]

    async def logs(self, submission_id: str) -> str:
        return self.world.logs[submission_id]


class FakeRegistry:
    def __init__(self, world: World) -> None:
        self.world = world

    def __enter__(self) -> FakeRegistry:
        if self.world.mlflow_away:
            raise RetryableError("MLflow does not answer")
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def runs(self, experiment: str, tags: dict[str, str]) -> list[Run]:
        return [run for run in self.world.runs.values() if tags.items() <= dict(run.tags).items()]

    def run(self, run_id: str) -> Run | None:
        return self.world.runs.get(run_id)

    def log(self, run_id: str, parameters: Any = None, tags: Any = None, metrics: Any = ()) -> None:
        run = self.world.runs[run_id]
        figures = {**run.metrics, **{name: value for name, value, _ in metrics}}
        self.world.runs[run_id] = Run(run_id, run.status, "1", {**run.tags, **(tags or {})}, figures, run.parameters)

    def version(self, uri: str) -> RegisteredVersion | None:
        return next((version for version in self.world.versions if version.uri == uri), None)

    def location(self, uri: str) -> str:
        return uri

    def require_artifacts(self, location: str) -> list[str]:
        if location in self.world.gone:
            raise PermanentError(f"there are no artifacts at {location}")
        return ["MLmodel"]

    def register(self, name: str, source: str, run_id: str, description: str, tags: Any) -> RegisteredVersion:
        for version in self.world.versions:
            if version.run_id == run_id:
                return version
        self.world.versions.append(RegisteredVersion(name, len(self.world.versions) + 1, run_id, source, tags))
        return self.world.versions[-1]


def failure(kind: str, message: str) -> str:
    return "some line\n" + FAILURE + json.dumps({"kind": kind, "message": message}) + "\n"


__all__ = ["FakeJobs", "FakeRegistry", "PermanentError", "World", "failure"]
