"""Finds models that others logged, by every address that MLflow has for them, and registers those that are not yet."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx

from heliostat.spec.addresses import StoreAddress
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.mlflow_models import ModelMissingError
from heliostat.systems.mlflow_registry import RegisteredVersion, Registry
from heliostat.systems.objects import open_store

MODEL_FILE: Final = "MLmodel"
SOURCE_TAG: Final = "heliostat.source"
"""On a version that was registered for a workload: the address that it was asked for by."""
CONTENT_TAG: Final = "heliostat.content"
"""The digest of a model's files, where those lay in no MLflow."""
_ARTIFACTS: Final = "/api/2.0/mlflow-artifacts/artifacts"
_READY: Final = frozenset({"", "LOGGED_MODEL_READY", "READY", "LOGGED_MODEL_STATUS_UNSPECIFIED"})


@dataclass(frozen=True)
class Located:
    """A model, and where its files lie."""

    source: str
    """Its address, as it was asked for."""
    location: str
    """Of its files, in MLflow's words; a folder's address where they are in no MLflow."""
    version: RegisteredVersion | None
    """The registered version that it is; None where it is none."""
    model_uri: str = ""
    """`models:/m-...`, where MLflow logged it as a model of its own."""
    run_id: str = ""

    @property
    def is_elsewhere(self) -> bool:
        """Whether its files lie in a store, and no MLflow knows them."""
        return is_elsewhere(self.source)


class ExternalModels(Registry):
    """One tracking server, asked for models by every address that MLflow has for them. Use as a context manager."""

    def located(self, source: str) -> Located:
        """The model at an address.

        Raises:
            ModelMissingError: there is none.
            PermanentError: its logging failed, so that it is not whole.
        """
        kind, _, rest = source.partition(":/")
        if kind == "runs":
            return self._of_run(source, *rest.split("/", 1))
        if kind != "models":
            return Located(source, source, None)
        if "@" in rest:
            name, _, alias = rest.partition("@")
            version = self._by_alias(name, alias, source)
        elif "/" in rest:
            found = self.version(source)
            if found is None:
                raise self._missing(source)
            version = found
        else:
            return self._logged(source, rest)
        self._require_ready(version.source)
        return Located(source, self.location(version.uri), version, run_id=version.run_id)

    def text(self, located: Located, name: str, store: StoreAddress) -> str | None:
        """A file of the model's, whole; None where it has no such file.

        Raises:
            PermanentError: this MLflow does not hand out files.
        """
        if located.is_elsewhere:
            there = open_store(beside(located.location, store))
            return there.get(name).decode() if there.exists(name) else None
        if not located.location.startswith("mlflow-artifacts:"):
            self.require_artifacts(located.location)
        path = located.location.removeprefix("mlflow-artifacts:").lstrip("/")
        answer = self._send("GET", f"{_ARTIFACTS}/{quote(f'{path}/{name}')}", absent_is_fine=True)
        return None if answer.status_code == httpx.codes.NOT_FOUND else answer.content.decode()

    def registered(self, located: Located, name: str, files: Path | None, tags: Mapping[str, str]) -> RegisteredVersion:
        """The registered version of a model: its own, or one of `name` that is made for it, once.

        `files`: the folder with its files, where they lie in no MLflow; they are copied into it.
        """
        if located.version is not None:
            return located.version
        content = digest_of(files) if files is not None else ""
        known = {SOURCE_TAG: located.source, **({CONTENT_TAG: content} if content else {})}
        for version in self._versions(name):
            if all(version.tags.get(key) == value for key, value in known.items()):
                return version
        source = located.model_uri or located.location
        if files is not None:
            source = self._copied(files, name, known)
        return self.new_version(name, source, located.run_id, f"Served as {located.source}", {**known, **tags})

    def _of_run(self, source: str, run_id: str, path: str) -> Located:
        found = self._call("GET", "runs/get", absent_is_none=True, params={"run_id": run_id})
        if found is None:
            raise self._missing(source)
        run = found["run"]
        for output in (run.get("outputs") or {}).get("model_outputs") or []:
            logged = self._call("GET", f"logged-models/{quote(output['model_id'])}", absent_is_none=True)
            if logged is not None and logged["model"]["info"].get("name") == path:
                return self._logged(source, output["model_id"])
        return Located(source, f"{run['info']['artifact_uri'].rstrip('/')}/{path}", None, run_id=run_id)

    def _logged(self, source: str, model_id: str) -> Located:
        found = self._call("GET", f"logged-models/{quote(model_id)}", absent_is_none=True)
        if found is None:
            raise self._missing(source)
        info = found["model"]["info"]
        _require_whole(source, info)
        return Located(
            source, info["artifact_uri"], None, model_uri=f"models:/{model_id}", run_id=info.get("source_run_id") or ""
        )

    def _require_ready(self, source: str) -> None:
        """See that the model behind a registered version is whole."""
        if (match := re.fullmatch(r"models:/(m-[0-9a-f]+)", source)) is None:
            return
        found = self._call("GET", f"logged-models/{match.group(1)}", absent_is_none=True)
        if found is not None:
            _require_whole(source, found["model"]["info"])

    def _by_alias(self, name: str, alias: str, source: str) -> RegisteredVersion:
        try:
            found = self._call("GET", "registered-models/alias", absent_is_none=True, params={"name": name, "alias": alias})
        except PermanentError as error:
            if "alias" not in str(error):
                raise
            found = None  # MLflow answers 400 for an alias that a model does not have
        if found is None:
            raise self._missing(source)
        version = self.version(f"models:/{name}/{found['model_version']['version']}")
        if version is None:
            raise self._missing(source)
        return version

    def _versions(self, name: str) -> list[RegisteredVersion]:
        found = self._call("GET", "model-versions/search", params={"filter": f"name='{name}'", "max_results": 1000}) or {}
        numbers = [int(item["version"]) for item in found.get("model_versions", [])]
        return [version for number in numbers if (version := self.version(f"models:/{name}/{number}")) is not None]

    def _copied(self, files: Path, name: str, tags: Mapping[str, str]) -> str:
        """A model of MLflow's own, in the experiment `name`, with these files: for it registers nothing else."""
        body = {
            "experiment_id": self.experiment(name),
            "name": name,
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        info = self._post("logged-models", **body)["model"]["info"]
        path = str(info["artifact_uri"]).removeprefix("mlflow-artifacts:").lstrip("/")
        for file in sorted(each for each in files.rglob("*") if each.is_file()):
            target = f"{_ARTIFACTS}/{quote(f'{path}/{file.relative_to(files).as_posix()}')}"
            self._send("PUT", target, content=file.read_bytes())
        done = {"model_id": info["model_id"], "status": "LOGGED_MODEL_READY"}
        self._call("PATCH", f"logged-models/{quote(info['model_id'])}", json=done)
        return f"models:/{info['model_id']}"

    def _missing(self, source: str) -> ModelMissingError:
        return ModelMissingError(f"there is no model {source} in MLflow at {self._uri}: name one that is there")


def is_elsewhere(source: str) -> bool:
    """Whether an address is that of a folder, which no MLflow knows."""
    return not source.startswith(("models:/", "runs:/"))


def beside(folder: str, store: StoreAddress) -> StoreAddress:
    """A folder's address, which is read with what opens the platform's store where both are of one kind."""
    same = folder.partition("://")[0] == store.uri.partition("://")[0]
    return StoreAddress(uri=folder.rstrip("/"), **({"endpoint": store.endpoint, "region": store.region} if same else {}))


def fetch_folder(folder: str, store: StoreAddress, directory: Path) -> None:
    """Write all files of a model that lies in no MLflow into a folder of this machine.

    Raises:
        ModelMissingError: there are none.
    """
    there = open_store(beside(folder, store))
    names = [each.key for each in there.list()]
    if not names:
        raise ModelMissingError(f"there is nothing at {folder}: name the folder that holds {MODEL_FILE}")
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        there.get_file(name, directory / name)


def _require_whole(source: str, info: Mapping[str, Any]) -> None:
    status = str(info.get("status") or "")
    if status in _READY:
        return
    if status == "LOGGED_MODEL_PENDING":
        raise RetryableError(f"the model {source} is still being logged: run it again when that has ended")
    told = info.get("status_message") or "its call of log_model was refused or interrupted"
    raise PermanentError(f"the model {source} is not whole ({status}): {told}. Log it again, and name that one")


def digest_of(folder: Path) -> str:
    """SHA-256 over the names and contents of the files in a folder."""
    digest = hashlib.sha256()
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
