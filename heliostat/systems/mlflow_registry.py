"""MLflow's runs and registered models."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from heliostat.spec.branch_environments import is_experiment_of
from heliostat.systems.errors import PermanentError
from heliostat.systems.mlflow_models import ModelFiles, parts_of_uri

RESUMED_TAG: Final = "heliostat.resumed"
"""On a run: it was interrupted, and its model is another than that of a training in one go; the value says why."""
_MOST_METRICS: Final = 1_000
_MOST_PARAMETERS: Final = 100
_MOST_EXPERIMENTS: Final = 1_000


@dataclass(frozen=True)
class Run:
    """A run that is not deleted."""

    run_id: str
    status: str
    """`RUNNING`, `FINISHED`, `FAILED` or `KILLED`."""
    experiment_id: str
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    """The last value of each."""
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class RegisteredVersion:
    """One version of a registered model."""

    name: str
    version: int
    run_id: str
    source: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        """As MLflow names it."""
        return f"models:/{self.name}/{self.version}"


class Registry(ModelFiles):
    """The runs and registered models of a tracking server."""

    # Runs

    def experiment(self, name: str) -> str:
        """The id of the experiment `name`, which is created where it is not there."""
        path = "experiments/get-by-name"
        found = self._call("GET", path, absent_is_none=True, params={"experiment_name": name})
        if found is None:
            try:
                return str(self._post("experiments/create", name=name)["experiment_id"])
            except PermanentError:  # somebody else was faster
                found = self._call("GET", path, params={"experiment_name": name})
        experiment = (found or {})["experiment"]
        if experiment["lifecycle_stage"] != "active":
            self._post("experiments/restore", experiment_id=experiment["experiment_id"])
        return str(experiment["experiment_id"])

    def runs_of(self, workload: str, tags: Mapping[str, str]) -> list[Run]:
        """Runs of a workload's trainings that carry all these tags, newest first, in whichever environment they were made."""
        found = self._experiments(workload)
        return self._runs(sorted(found), tags) if found else []

    def _experiments(self, workload: str) -> list[str]:
        """The ids of the experiments with trainings of a workload."""
        found: list[str] = []
        body: dict[str, Any] = {"filter": f"name LIKE '{workload}%'", "max_results": _MOST_EXPERIMENTS}
        while True:
            answer = self._post("experiments/search", **body)
            there = answer.get("experiments", [])
            found += [str(each["experiment_id"]) for each in there if is_experiment_of(workload, each["name"])]
            if not answer.get("next_page_token"):
                return found
            body["page_token"] = answer["next_page_token"]

    def _runs(self, experiments: Sequence[str], tags: Mapping[str, str]) -> list[Run]:
        query = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        body = {"experiment_ids": list(experiments), "filter": query, "max_results": 100}
        answer = self._post("runs/search", **body, order_by=["attribute.start_time DESC"])
        return [_run(item) for item in answer.get("runs", [])]

    def run(self, run_id: str) -> Run | None:
        """The run; None where it is deleted or was never there."""
        found = self._call("GET", "runs/get", absent_is_none=True, params={"run_id": run_id})
        if found is None or found["run"]["info"].get("lifecycle_stage") == "deleted":
            return None
        return _run(found["run"])

    def model_of(self, run_id: str) -> str | None:
        """`models:/<model id>` of the model that a run logged last; None where it logged none."""
        found = self._call("GET", "runs/get", absent_is_none=True, params={"run_id": run_id}) or {}
        logged = found.get("run", {}).get("outputs", {}).get("model_outputs", [])
        return f"models:/{logged[-1]['model_id']}" if logged else None

    def create_run(self, experiment: str, name: str, tags: Mapping[str, str]) -> str:
        """A new run in the experiment called `experiment`."""
        body = {"experiment_id": self.experiment(experiment), "run_name": name, "start_time": _now(), "tags": _pairs(tags)}
        return str(self._post("runs/create", **body)["run"]["info"]["run_id"])

    def end_run(self, run_id: str, status: str = "FINISHED") -> None:
        """Set how the run ended; `RUNNING` opens it again."""
        self._post("runs/update", run_id=run_id, status=status, **({} if status == "RUNNING" else {"end_time": _now()}))

    def log(
        self,
        run_id: str,
        parameters: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        metrics: Sequence[tuple[str, float, int]] = (),
    ) -> None:
        """Parameters, tags and metrics `(name, value, step)`, in as many calls as MLflow's limits ask for."""
        given = _pairs({name: str(value) for name, value in (parameters or {}).items()})
        for start in range(0, len(given), _MOST_PARAMETERS):
            self._post("runs/log-batch", run_id=run_id, params=given[start : start + _MOST_PARAMETERS])
        if tags:
            self._post("runs/log-batch", run_id=run_id, tags=_pairs(tags))
        now = _now()
        points = [{"key": name, "value": value, "step": step, "timestamp": now} for name, value, step in metrics]
        for start in range(0, len(points), _MOST_METRICS):
            self._post("runs/log-batch", run_id=run_id, metrics=points[start : start + _MOST_METRICS])

    def log_input(self, run_id: str, name: str, digest: str, uri: str, rows: Mapping[str, int]) -> None:
        """Say which data a run learnt from. MLflow keeps 36 characters of the digest."""
        source, profile = json.dumps({"uri": uri, "digest": digest}), json.dumps({"rows": dict(rows)})
        dataset = {"name": name, "digest": digest[:36], "source_type": "heliostat", "source": source, "profile": profile}
        tags = [{"key": "mlflow.data.context", "value": "training"}]
        self._post("runs/log-inputs", run_id=run_id, datasets=[{"tags": tags, "dataset": dataset}])

    # Registry

    def register(self, name: str, source: str, run_id: str, description: str, tags: Mapping[str, str]) -> RegisteredVersion:
        """The version of `name` that comes from the run: the one that is there, or a new one."""
        if found := self.versions_of_run(name, run_id):
            return found[0]
        return self.new_version(name, source, run_id, description, tags)

    def new_version(self, name: str, source: str, run_id: str, description: str, tags: Mapping[str, str]) -> RegisteredVersion:
        """A version of `name`, whatever versions of the run there are."""
        if self._call("GET", "registered-models/get", absent_is_none=True, params={"name": name}) is None:
            try:
                self._post("registered-models/create", name=name)
            except PermanentError as error:
                if "RESOURCE_ALREADY_EXISTS" not in str(error):
                    raise
        body = {"name": name, "source": source, "run_id": run_id, "description": description, "tags": _pairs(tags)}
        if source.startswith("models:/"):
            body["model_id"] = source.removeprefix("models:/")
        return _version(self._post("model-versions/create", **body)["model_version"])

    def versions_of_run(self, name: str, run_id: str) -> list[RegisteredVersion]:
        """The versions of `name` made from a run, oldest first."""
        query = f"name='{name}' and run_id='{run_id}'"
        found = self._call("GET", "model-versions/search", params={"filter": query, "max_results": 100}) or {}
        return sorted((_version(item) for item in found.get("model_versions", [])), key=lambda version: version.version)

    def newest_version(self, name: str) -> RegisteredVersion | None:
        """The version of `name` with the highest number; None where there is none."""
        parameters: dict[str, Any] = {"filter": f"name='{name}'", "max_results": 1, "order_by": ["version_number DESC"]}
        found = self._call("GET", "model-versions/search", params=parameters) or {}
        return next((_version(item) for item in found.get("model_versions", [])), None)

    def version(self, uri: str) -> RegisteredVersion | None:
        """The version at `models:/<name>/<number>`; None where there is none."""
        name, number = parts_of_uri(uri)
        parameters = {"name": name, "version": str(number)}
        found = self._call("GET", "model-versions/get", absent_is_none=True, params=parameters)
        return None if found is None else _version(found["model_version"])


def _run(item: Mapping[str, Any]) -> Run:
    data, info = item.get("data", {}), item["info"]
    return Run(
        run_id=info["run_id"],
        status=info["status"],
        experiment_id=info["experiment_id"],
        tags={tag["key"]: tag["value"] for tag in data.get("tags", [])},
        metrics={metric["key"]: float(metric["value"]) for metric in data.get("metrics", [])},
        parameters={parameter["key"]: parameter["value"] for parameter in data.get("params", [])},
    )


def _version(item: Mapping[str, Any]) -> RegisteredVersion:
    return RegisteredVersion(
        name=item["name"],
        version=int(item["version"]),
        run_id=item.get("run_id") or "",
        source=item.get("source") or "",
        tags={tag["key"]: tag["value"] for tag in item.get("tags", [])},
    )


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _now() -> int:
    return int(time.time() * 1000)
