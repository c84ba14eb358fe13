"""A real Kubernetes for the tests of this folder, which `make test-kubernetes` runs and nothing else does.

HELIOSTAT_TEST_KUBECONFIG names a cluster that tests may write to, as its administrator. Without it a node of this machine is
brought up by the scripts in HELIOSTAT_KUBERNETES_NODE, or beside the checkout, with the programs in KUBERNETES_NODE_CACHE.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes.cluster import Cluster
from tests.platforms.strict import SHARED

NODE = Path(os.environ.get("HELIOSTAT_KUBERNETES_NODE") or SHARED / "kubernetes-node")
CACHE = Path(os.environ.get("KUBERNETES_NODE_CACHE") or NODE / "cache")
_UP_SECONDS = 300


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, which is empty but for what other tests of this folder left."""
    if named := os.environ.get("HELIOSTAT_TEST_KUBECONFIG"):
        yield Cluster(Path(named), _kubectl())
        return
    if not (NODE / "up.sh").exists():
        pytest.skip(f"HELIOSTAT_TEST_KUBECONFIG names no cluster, and there is no {NODE}/up.sh")
    if not (CACHE / "bin" / "kubelet").exists():
        pytest.skip(
            f"{CACHE} has no kubelet: build one with {NODE}/build.sh {CACHE}, or name its place in KUBERNETES_NODE_CACHE"
        )
    state = tmp_path_factory.mktemp("node")
    command = [str(NODE / "up.sh"), "-s", str(state), "-c", str(CACHE)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=_UP_SECONDS, check=False)
    try:
        assert ran.returncode == 0, ran.stderr
        yield Cluster(Path(ran.stdout.strip().splitlines()[-1]), _kubectl())
    finally:
        subprocess.run([str(NODE / "down.sh"), "-s", str(state)], check=False, timeout=_UP_SECONDS)


def _kubectl() -> str:
    built = CACHE / "bin" / "kubectl"
    found = str(built) if built.exists() else shutil.which("kubectl")
    if found is None:
        pytest.skip(f"there is no kubectl on the PATH, and none in {CACHE}/bin")
    return found
