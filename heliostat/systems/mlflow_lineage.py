"""Which trainings and versions of models MLflow knows of data sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from heliostat.systems.mlflow_registry import Registry

DATA_TAG: Final = "heliostat.dataset"
"""On a run and on a registered version: the digest of the data that it was trained on."""
TRAINING_TAG: Final = "heliostat.training"
"""On a run: the identity of the training, by which its report is kept."""
_COMPLETE_TAG: Final = "heliostat.complete"
_PAGE: Final = 1_000
_EXPERIMENTS: Final = 100
"""Experiments that one search of runs is over."""


@dataclass(frozen=True)
class DataRun:
    """A run, not deleted, of a training on a data set."""

    run_id: str
    name: str
    digest: str
    complete: bool
    status: str
    started: float
    """Unix time, seconds."""


@dataclass(frozen=True)
class DataVersion:
    """A registered version of a model that was trained on a data set."""

    uri: str
    """`models:/<name>/<version>`."""
    run_id: str
    digest: str


class LineageRegistry(Registry):
    """One tracking server, asked for what was made of data. Use as a context manager."""

    def runs_on_data(self, digest: str | None = None) -> Iterator[DataRun]:
        """The trainings on a snapshot, or on any, newest first in each experiment."""
        query = f"tags.`{DATA_TAG}` = '{digest}'" if digest else f"tags.`{DATA_TAG}` != ''"
        experiments = [str(each["experiment_id"]) for each in self._pages("experiments/search", "experiments")]
        for first in range(0, len(experiments), _EXPERIMENTS):
            body = {"experiment_ids": experiments[first : first + _EXPERIMENTS], "filter": query}
            for item in self._pages("runs/search", "runs", **body, order_by=["attribute.start_time DESC"]):
                yield _run(item)

    def versions_on_data(self, digest: str | None = None) -> Iterator[DataVersion]:
        """The versions trained on a snapshot, or on any."""
        query = f"tags.`{DATA_TAG}` = '{digest}'" if digest else f"tags.`{DATA_TAG}` != ''"
        parameters: dict[str, Any] = {"filter": query, "max_results": _PAGE}
        while True:
            answer = self._call("GET", "model-versions/search", params=parameters) or {}
            for item in answer.get("model_versions", []):
                tags = {tag["key"]: tag["value"] for tag in item.get("tags", [])}
                if DATA_TAG in tags:
                    uri = f"models:/{item['name']}/{item['version']}"
                    yield DataVersion(uri, item.get("run_id") or "", tags[DATA_TAG])
            if not answer.get("next_page_token"):
                return
            parameters["page_token"] = answer["next_page_token"]

    def _pages(self, path: str, key: str, **body: Any) -> Iterator[dict[str, Any]]:
        body = {"max_results": _PAGE, **body}
        while True:
            answer = self._post(path, **body)
            yield from answer.get(key, [])
            if not answer.get("next_page_token"):
                return
            body["page_token"] = answer["next_page_token"]


def _run(item: dict[str, Any]) -> DataRun:
    info = item["info"]
    tags = {tag["key"]: tag["value"] for tag in item.get("data", {}).get("tags", [])}
    return DataRun(
        run_id=info["run_id"],
        name=info.get("run_name") or tags.get("mlflow.runName", ""),
        digest=tags.get(DATA_TAG, ""),
        complete=tags.get(_COMPLETE_TAG) == "true",
        status=info["status"],
        started=float(info.get("start_time") or 0) / 1000,
    )
