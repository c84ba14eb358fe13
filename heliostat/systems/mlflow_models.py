"""Where MLflow's models lie, and their files, which the tracking server hands out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

import httpx

from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.http import reason
from heliostat.systems.mlflow_client import MlflowClient

_ARTIFACTS: Final = "/api/2.0/mlflow-artifacts/artifacts"


class ModelMissingError(PermanentError):
    """There is no such model in the registry."""


class ModelFiles(MlflowClient):
    """The models that a tracking server knows, as files."""

    def location(self, model_uri: str) -> str:
        """Where the artifacts of a model lie, by `models:/<name>/<number>` or `models:/<model id>`: a URI that never changes.

        Raises:
            ModelMissingError: there is no such model.
        """
        if model_uri.removeprefix("models:/").count("/"):
            name, number = parts_of_uri(model_uri)
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


def parts_of_uri(uri: str) -> tuple[str, int]:
    """Name and number of `models:/<name>/<number>`.

    Raises:
        PermanentError: it is none.
    """
    name, _, number = uri.removeprefix("models:/").rpartition("/")
    if not (uri.startswith("models:/") and name and number.isdigit()):
        raise PermanentError(f"{uri!r} does not name a registered model's version: write models:/<name>/<number>")
    return name, int(number)
