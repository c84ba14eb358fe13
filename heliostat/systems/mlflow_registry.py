"""MLflow's tracking server and model registry, by REST: importing mlflow itself takes 3 s and brings pandas along."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

from heliostat.spec.addresses import Access, BasicVariables, HttpAddress, TokenVariable, variables_of
from heliostat.spec.branch_environments import is_experiment_of
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.http import open_sync_client, reason

RESUMED_TAG: Final = "heliostat.resumed"
"""On a run: it was interrupted, and its model is another than that of a training in one go; the value says why."""
_ARTIFACTS: Final = "/api/2.0/mlflow-artifacts/artifacts"
_TOKEN: Final = "MLFLOW_TRACKING_TOKEN"  # noqa: S105 - a variable's name
_USERNAME: Final = "MLFLOW_TRACKING_USERNAME"
_PASSWORD: Final = "MLFLOW_TRACKING_PASSWORD"  # noqa: S105 - a variable's name
TRACKING_VARIABLES: Final = (_TOKEN, _USERNAME, _PASSWORD)
_SECONDS: Final = 60.0
_MOST_METRICS: Final = 1_000
_MOST_PARAMETERS: Final = 100
_MOST_EXPERIMENTS: Final = 1_000


class ModelMissingError(PermanentError):
    """There is no such model in the registry."""


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


def address_of(tracking_uri: str, access: Access | None = None) -> HttpAddress:
    """The address of a tracking server, with the credential that is named, or that MLflow's own client would use here.

    Raises:
        PermanentError: it is behind an API server, and there is a credential.
    """
    credential, proxy = (access.credential, access.proxy) if access else (None, None)
    if credential is None and os.environ.get(_USERNAME) and os.environ.get(_PASSWORD):
        credential = BasicVariables(username_variable=_USERNAME, password_variable=_PASSWORD)
    elif credential is None and os.environ.get(_TOKEN):
        credential = TokenVariable(variable=_TOKEN)
    if credential is not None and proxy is not None:
        raise PermanentError(
            f"MLflow at {tracking_uri} is reached through an API server, which keeps Authorization, and MLflow reads no other "
            f"header: unset {', '.join(variables_of(credential))} here, or name a URL that is reached without the proxy"
        )
    return HttpAddress(url=tracking_uri, credential=credential, proxy=proxy)


class Registry:
    """One tracking server. Use as a context manager; not for several threads at once.

    Raises PermanentError or RetryableError from every call. Who is let in is said by the `access`, else by the variables that
    MLflow's own client reads: MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, which win.
    """

    def __init__(
        self,
        tracking_uri: str,
        transport: httpx.BaseTransport | None = None,
        seconds: float = _SECONDS,
        access: Access | None = None,
    ) -> None:
        self._uri = tracking_uri.rstrip("/")
        self._client = open_sync_client(address_of(self._uri, access), seconds, transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    # The server

    def server_version(self) -> str:
        """The version of MLflow that answers."""
        return self._send("GET", "/version").text.strip()

    def require_database(self) -> None:
        """Ask for what only the database knows."""
        self._call("GET", "experiments/get", absent_is_none=True, params={"experiment_id": "0"})

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
        name, number = _parts(uri)
        parameters = {"name": name, "version": str(number)}
        found = self._call("GET", "model-versions/get", absent_is_none=True, params=parameters)
        return None if found is None else _version(found["model_version"])

    # Models

    def location(self, model_uri: str) -> str:
        """Where the artifacts of a model lie, by `models:/<name>/<number>` or `models:/<model id>`: a URI that never changes.

        Raises:
            ModelMissingError: there is no such model.
        """
        if model_uri.removeprefix("models:/").count("/"):
            name, number = _parts(model_uri)
            parameters = {"name": name, "version": str(number)}
            found = self._call("GET", "model-versions/get-download-uri", absent_is_none=True, params=parameters)
            uri = (found or {}).get("artifact_uri", "")
        else:
            found = self._call("GET", f"logged-models/{quote(model_uri.removeprefix('models:/'))}", absent_is_none=True)
            uri = (found or {}).get("model", {}).get("info", {}).get("artifact_uri", "")
        if not uri:
            raise ModelMissingError(f"there is no model {model_uri} in {self._uri}")
        return self.location(uri) if uri.startswith("models:/") else str(uri)

    def require_artifacts(self, location: str, below: str = "") -> list[str]:
        """The names of the artifacts at a location, or in its folder `below`: none where only others are there.

        Raises:
            PermanentError: nothing at all is at the location, or the server does not hand out what lies there.
        """
        if not location.startswith("mlflow-artifacts:"):
            raise PermanentError(f"the artifacts at {location} are not served by {self._uri}: start it with --serve-artifacts")
        top = location.removeprefix("mlflow-artifacts:").lstrip("/")
        names = list(self._artifacts(top, below))
        if not names and not (below and any(self._artifacts(top))):
            raise PermanentError(
                f"there are no artifacts at {location}: they were deleted, or the object store is another one since they were "
                "logged; go back to that store, or delete the run or model that names them, and it is made anew"
            )
        return names

    def hands_out(self, location: str) -> bool:
        """Whether it hands out any artifact at a location, or what lies there is not its to hand out."""
        if not location.startswith("mlflow-artifacts:"):
            return True
        path = location.removeprefix("mlflow-artifacts:").strip("/")
        answer = self._send("GET", _ARTIFACTS, absent_is_fine=True, params={"path": path})
        return answer.status_code == httpx.codes.OK and bool(answer.json().get("files"))

    def download(self, location: str, directory: Path, below: str = "") -> None:
        """Write every artifact at a location, or just those of its folder `below`, to the same places in `directory`.

        Raises:
            PermanentError: nothing at all is at the location, or the server does not hand out what lies there.
        """
        top = location.removeprefix("mlflow-artifacts:").lstrip("/")
        for name in self.require_artifacts(location, below):
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._stream(f"{_ARTIFACTS}/{quote(f'{top}/{name}')}", path)
            except httpx.HTTPError as error:
                raise RetryableError(f"MLflow at {self._uri} broke off {top}/{name}: {reason(error)}") from None

    def _stream(self, address: str, path: Path) -> None:
        with self._client.stream("GET", address) as response:
            if response.status_code != 200:
                raise RetryableError(f"MLflow at {self._uri} answered {response.status_code} to GET {address}")
            with path.open("wb") as file:
                for part in response.iter_bytes(1 << 20):
                    file.write(part)

    def _artifacts(self, top: str, below: str = "") -> Iterator[str]:
        path = f"{top}/{below}".rstrip("/")
        answer = self._send("GET", _ARTIFACTS, params={"path": path})
        for item in answer.json().get("files", []):
            name = f"{below}/{item['path']}".lstrip("/")
            if item.get("is_dir"):
                yield from self._artifacts(top, name)
            else:
                yield name

    def attach(self, run_id: str, files: Mapping[str, bytes], below: str) -> None:
        """Put files beside a run's model, into its folder `below`; those that are there are written over.

        Raises:
            PermanentError: the run is gone, or the server does not keep its artifacts.
        """
        found = self._call("GET", "runs/get", params={"run_id": run_id}) or {}
        location = str(found["run"]["info"]["artifact_uri"])
        if not location.startswith("mlflow-artifacts:"):
            raise PermanentError(f"the artifacts at {location} are not served by {self._uri}: start it with --serve-artifacts")
        top = location.removeprefix("mlflow-artifacts:").lstrip("/")
        for name, content in files.items():
            self._send("PUT", f"{_ARTIFACTS}/{quote(f'{top}/{below}/{name}')}", content=content)

    # The wire

    def _post(self, path: str, **body: Any) -> dict[str, Any]:
        return self._call("POST", path, json=body) or {}

    def _call(self, method: str, path: str, absent_is_none: bool = False, **arguments: Any) -> dict[str, Any] | None:
        response = self._send(method, f"/api/2.0/mlflow/{path}", absent_is_none, **arguments)
        return None if response.status_code == 404 else response.json()

    def _send(self, method: str, path: str, absent_is_fine: bool = False, **arguments: Any) -> httpx.Response:
        try:
            response = self._client.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise RetryableError(f"MLflow does not answer at {self._uri}: {reason(error)}; is it up?") from None
        if response.status_code == 404 and absent_is_fine:
            return response
        if response.status_code >= 400:
            kind = RetryableError if response.status_code >= 500 or response.status_code == 429 else PermanentError
            text = response.text.strip()[:1000]
            raise kind(f"MLflow at {self._uri} answered {response.status_code} to {method} {path}: {text}")
        return response


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


def _parts(uri: str) -> tuple[str, int]:
    name, _, number = uri.removeprefix("models:/").rpartition("/")
    if not (uri.startswith("models:/") and name and number.isdigit()):
        raise PermanentError(f"{uri!r} does not name a registered model's version: write models:/<name>/<number>")
    return name, int(number)


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _now() -> int:
    return int(time.time() * 1000)
