"""A cluster's jobs and a tracking server that remember, in the place of Ray's Jobs API and of MLflow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from heliostat.provider.resource import Context
from heliostat.spec.addresses import ControllerAddress, RayAddress, StoreAddress, TokenFile
from heliostat.spec.training_resources import Code, DatasetAddress
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.mlflow_registry import RegisteredVersion, Run
from heliostat.systems.objects import open_store
from heliostat.systems.ray_jobs import FAILURE
from heliostat.testing.jobs import JobResult, MemoryJobs, Submission


class World:
    """What the handlers see. `outcome` is what a job does, by its specification: writes results and returns how it ends."""

    def __init__(self, tmp_path: Any) -> None:
        root = tmp_path / "checkout"
        (root / "workloads").mkdir(parents=True)
        (root / "workloads" / "__init__.py").write_text("")
        from heliostat.spec.code import code_digest

        files = ("workloads/__init__.py",)
        self.code = Code(root=str(root), files=files, digest=code_digest(root, files))
        self.store = StoreAddress(uri=f"file://{tmp_path}/objects")
        self.ray = RayAddress(url="http://ray")
        self.controller = ControllerAddress(url="http://controller", credential=TokenFile(path="/t"))
        self.dataset = DatasetAddress(uri=f"{self.store.uri}/datasets/flights/{'d' * 64}", digest="d" * 64)
        self.jobs = MemoryJobs(self._run)
        self.runs: dict[str, Run] = {}
        self.versions: list[RegisteredVersion] = []
        self.submitted: list[dict[str, Any]] = []
        self.outcome: Callable[[dict[str, Any]], JobResult | None] = lambda specification: JobResult()
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
        from heliostat.provider import evaluations, model_version, ray_work, records, train_job

        monkeypatch.setattr(ray_work, "open_runner", lambda address, own=None: self.jobs)
        for module in (records, train_job, model_version, evaluations):
            monkeypatch.setattr(module, "open_registry", lambda inputs: FakeRegistry(self))

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

    def specification(self, submission_id: str) -> dict[str, Any]:
        """What a job was told to do."""
        found: dict[str, Any] = json.loads(open_store(self.store).get(f"jobs/{submission_id}.json"))
        return found

    def _run(self, submission: Submission) -> JobResult | None:
        specification = self.specification(submission.submission_id)
        asked = {"id": submission.submission_id, "entrypoint": submission.entrypoint, "env": submission.runtime_env}
        self.submitted.append({**asked, **specification})
        return self.outcome(specification)


class FakeRegistry:
    def __init__(self, world: World) -> None:
        self.world = world

    def __enter__(self) -> FakeRegistry:
        if self.world.mlflow_away:
            raise RetryableError("MLflow does not answer")
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def runs_of(self, workload: str, tags: dict[str, str]) -> list[Run]:
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
