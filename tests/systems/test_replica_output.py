"""What a replica prints is in its file at once: Serve would keep the last thousand lines of it in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from heliostat.spec.platform_resources import RayClusterInputs
from heliostat.systems.ray_nodes import LocalCluster

_REPLICA = """
import os, sys
from ray.serve._private import constants, logging_utils
from ray.serve._private.common import ServeComponentType
from ray.serve.schema import LoggingConfig

logging_utils.configure_component_logger(
    component_name="flights", component_id="one", component_type=ServeComponentType.REPLICA,
    logging_config=LoggingConfig(logs_dir=sys.argv[1]),
    max_bytes=0, backup_count=0, buffer_size=constants.RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE,
)
print("printed by the model")
os._exit(0)  # as one that is killed, which writes nothing more
"""


def test_what_a_replica_prints_outlives_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOSTAT_RUNTIME_DIR", str(tmp_path / "run"))
    cluster = LocalCluster(tmp_path / "ray")
    nodes = cluster._environment(RayClusterInputs(directory=str(cluster.directory)))
    subprocess.run([sys.executable, "-c", _REPLICA, str(tmp_path / "logs")], env={**os.environ, **nodes}, check=True)
    [log] = (tmp_path / "logs").iterdir()
    assert "printed by the model" in log.read_text()
