"""An MLflow that remembers models, versions and files, over httpx's transport, as its REST API answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from heliostat.systems.external_models import ExternalModels

FLAVOURS = """\
flavors:
  python_function: {loader_module: mlflow.sklearn, python_version: 3.11.7, model_path: model.skops}
  sklearn: {pickled_model: model.skops, serialization_format: skops}
"""


def described(*columns: tuple[str, str], flavours: str = FLAVOURS) -> str:
    """An `MLmodel` with these columns, each a name and a type."""
    inputs = json.dumps([{"type": kind, "name": name, "required": True} for name, kind in columns])
    outputs = json.dumps([{"type": "double", "required": True}])
    return f"{flavours}signature:\n  inputs: '{inputs}'\n  outputs: '{outputs}'\n"


class PlayedMlflow:
    """What the server knows. `away` makes it answer nothing."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.logged: dict[str, dict[str, Any]] = {}
        self.versions: list[dict[str, Any]] = []
        self.aliases: dict[str, int] = {}
        self.runs: dict[str, list[str]] = {}
        self.away = False

    def log(
        self, model_id: str, text: str, requirements: str = "mlflow\n", status: str = "LOGGED_MODEL_READY", name: str = "m"
    ) -> str:
        """A logged model; its address."""
        uri = f"mlflow-artifacts:/1/models/{model_id}/artifacts"
        self.logged[model_id] = {"model_id": model_id, "name": name, "artifact_uri": uri, "status": status}
        self.files |= {f"1/models/{model_id}/artifacts/MLmodel": text.encode()}
        self.files |= {f"1/models/{model_id}/artifacts/requirements.txt": requirements.encode()}
        return f"models:/{model_id}"

    def register(self, source: str, name: str = "rents", tags: Any = ()) -> str:
        """A version of a registered model; its address."""
        number = sum(each["name"] == name for each in self.versions) + 1
        self.versions.append({"name": name, "version": str(number), "source": source, "run_id": "", "tags": list(tags)})
        return f"models:/{name}/{number}"

    def open(self, inputs: Any) -> ExternalModels:
        return ExternalModels(inputs.tracking_uri, transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("refused")
        path = request.url.path
        if path.startswith("/api/2.0/mlflow-artifacts/artifacts"):
            return self._artifacts(request, path.removeprefix("/api/2.0/mlflow-artifacts/artifacts").lstrip("/"))
        given = dict(request.url.params) | (json.loads(request.content) if request.content else {})
        found = self._api(request.method, path.removeprefix("/api/2.0/mlflow/"), given)
        return (
            httpx.Response(404, json={"error_code": "RESOURCE_DOES_NOT_EXIST"})
            if found is None
            else httpx.Response(200, json=found)
        )

    def _artifacts(self, request: httpx.Request, path: str) -> httpx.Response:
        if request.method == "PUT":
            self.files[path] = request.content
            return httpx.Response(200, json={})
        if path:
            return httpx.Response(200, content=self.files[path]) if path in self.files else httpx.Response(404)
        below = request.url.params["path"].rstrip("/") + "/"
        names = sorted({name.removeprefix(below) for name in self.files if name.startswith(below)})
        return httpx.Response(200, json={"files": [{"path": name} for name in names]})

    def _api(self, method: str, path: str, given: dict[str, Any]) -> dict[str, Any] | None:  # noqa: C901 - a call a line
        match path.split("/"):
            case ["logged-models", model_id]:
                if method == "PATCH":
                    self.logged[model_id]["status"] = given["status"]
                return {"model": {"info": self.logged[model_id]}} if model_id in self.logged else None
            case ["logged-models"]:
                self.log(f"m-{len(self.logged):08x}", "", name=given["name"], status="LOGGED_MODEL_PENDING")
                return {"model": {"info": list(self.logged.values())[-1]}}
            case ["experiments", "get-by-name"]:
                return {"experiment": {"experiment_id": "1", "lifecycle_stage": "active"}}
            case ["registered-models", "get"]:
                return {"registered_model": {}}
            case ["registered-models", "alias"]:
                number = self.aliases.get(given["alias"])
                return None if number is None else {"model_version": self._version(given["name"], number)}
            case ["model-versions", "create"]:
                self.register(given["source"], given["name"], given["tags"])
                return {"model_version": self.versions[-1]}
            case ["model-versions", "search"]:
                return {"model_versions": [each for each in self.versions if f"name='{each['name']}'" in given["filter"]]}
            case ["model-versions", "get"]:
                found = self._version(given["name"], int(given["version"]))
                return {"model_version": found} if found else None
            case ["model-versions", "get-download-uri"]:
                found = self._version(given["name"], int(given["version"]))
                return {"artifact_uri": found["source"]} if found else None
            case ["runs", "get"]:
                models = self.runs.get(given["run_id"])
                outputs = {"model_outputs": [{"model_id": each} for each in models or ()]}
                info = {"artifact_uri": f"mlflow-artifacts:/1/{given['run_id']}/artifacts"}
                return None if models is None else {"run": {"info": info, "outputs": outputs}}
        raise AssertionError(f"{method} {path} {given}")

    def _version(self, name: str, number: int) -> dict[str, Any] | None:
        return next((each for each in self.versions if each["name"] == name and each["version"] == str(number)), None)


def write_model(folder: Path, text: str, requirements: str = "mlflow\n") -> str:
    """A model in a folder of this machine; its address."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MLmodel").write_text(text)
    (folder / "requirements.txt").write_text(requirements)
    return f"file://{folder}"
