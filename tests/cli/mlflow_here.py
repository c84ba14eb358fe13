"""MLflow's own server on a SQLite database, in a thread of this process: its REST API is the real one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mlflow_here(folder: Path, serves_artifacts: bool = False) -> Iterator[str]:
    """The URL of a tracking server that keeps all it has in `folder`; artifacts go through it where it serves them."""
    from werkzeug.serving import make_server

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("_MLFLOW_SERVER_FILE_STORE", f"sqlite:///{folder}/mlflow.db")
        patch.setenv("_MLFLOW_SERVER_REGISTRY_STORE", f"sqlite:///{folder}/mlflow.db")
        patch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", f"{folder}/artifacts")
        patch.setenv("MLFLOW_ENABLE_WORKSPACES", "false")
        from mlflow.server import app, handlers

        if serves_artifacts:
            patch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", "mlflow-artifacts:/")
            patch.setenv("_MLFLOW_SERVER_ARTIFACT_DESTINATION", f"{folder}/artifacts")
            patch.setenv("_MLFLOW_SERVER_SERVE_ARTIFACTS", "true")
            for kept in ("_tracking_store", "_model_registry_store", "_artifact_repo"):  # of a server before, in this process
                patch.setattr(handlers, kept, None)
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.port}"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
