"""What a stack has stored, read from its files: what was there before an upgrade has to be there after it."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

_CONTROLLER = ("SELECT application, number FROM rollouts", "SELECT * FROM events", "SELECT * FROM measurements")
_MLFLOW = (
    "SELECT run_uuid, name, status, experiment_id FROM runs",
    "SELECT run_uuid, key, value, step FROM metrics",
    "SELECT run_uuid, key, value FROM params",
    "SELECT name, version, run_id, source FROM model_versions",
)


def of(root: Path, data: Path) -> dict[str, set[Any]]:
    """By its kind: objects (the ledger and the prediction log among them), the controller's and MLflow's rows, the state's
    history; each as something that does not change."""
    return {
        "objects": _files(data / "objects"),
        "controller": _rows(data / "controller" / "controller.sqlite", _CONTROLLER),
        "mlflow": _rows(data / "mlflow" / "mlflow.db", _MLFLOW),
        "history of the state": _files(root / ".heliostat" / "state" / ".pulumi" / "history"),
    }


def request_ids(data: Path) -> set[str]:
    """Of all rows of the prediction log in the object store."""
    found = (data / "objects" / "predictions" / "flights").rglob("*.parquet")
    return {each for path in found for each in pq.ParquetFile(path).read(["request_id"])["request_id"].to_pylist()}


def _files(folder: Path) -> set[tuple[str, str]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {(str(path.relative_to(folder)), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files}


def _rows(path: Path, queries: tuple[str, ...]) -> set[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return {(query, *row) for query in queries for row in database.execute(query)}
