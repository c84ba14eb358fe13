"""Models on this node: fetched once from MLflow, kept by where they lie there, which never changes its content."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from heliostat.ml.pyfunc import DATA_FOLDER, MODEL_FOLDER, trained_folder
from heliostat.spec.addresses import Access
from heliostat.systems.mlflow_registry import Registry
from heliostat.systems.private_folder import node_folder


def fetch(model_uri: str, tracking_uri: str, access: Access | None = None, *, whole: bool = False) -> Path:
    """The folder that the model's predictor loads from: what a training of ours handed back, or with `whole` all of MLflow's.

    Raises:
        PermanentError, RetryableError: there is no such model, or MLflow does not answer.
        ValueError: the model was not logged by a training of ours.
    """
    with Registry(tracking_uri, access=access) as registry:
        location = registry.location(model_uri)
        name = hashlib.sha256(f"{tracking_uri} {location}".encode()).hexdigest()[:32]
        target = _cache() / (f"{name}-whole" if whole else name)
        if not target.is_dir():
            _download(registry, location, target, "" if whole else DATA_FOLDER)
    return target if whole else trained_folder(target) / MODEL_FOLDER


def _download(registry: Registry, location: str, target: Path, below: str) -> None:
    """Fetch beside, then put in place: two replicas that start at once both end with a whole model."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=target.parent))
    try:
        # A model of ours has a hundred files of code, which are not what runs here.
        registry.download(location, partial, below)
        try:
            partial.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _cache() -> Path:
    return node_folder() / "models"
