"""A real Kubernetes for the tests of this folder, which `make test-kubernetes` runs and nothing else does.

HELIOSTAT_TEST_KUBECONFIG names a cluster that tests may write to, as its administrator. Without it a node of this machine is
brought up by the scripts in HELIOSTAT_KUBERNETES_NODE, or beside the checkout, with the programs in KUBERNETES_NODE_CACHE.
KUBERNETES_NODE_STATE names the folder of one that is up already, or is to stay up.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes import node_image
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.node import Node
from tests.network.lan import why_not
from tests.platforms.strict import SHARED

NODE = Path(os.environ.get("HELIOSTAT_KUBERNETES_NODE") or SHARED / "kubernetes-node")
CACHE = Path(os.environ.get("KUBERNETES_NODE_CACHE") or NODE / "cache")
STATE = os.environ.get("KUBERNETES_NODE_STATE")
NAMED = os.environ.get("HELIOSTAT_TEST_KUBECONFIG")


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node of this machine."""
    if not (NODE / "up.sh").exists():
        pytest.skip(f"HELIOSTAT_TEST_KUBECONFIG names no cluster, and there is no {NODE}/up.sh")
    if not (CACHE / "bin" / "kubelet").exists():
        pytest.skip(
            f"{CACHE} has no kubelet: build one with {NODE}/build.sh {CACHE}, or name its place in KUBERNETES_NODE_CACHE"
        )
    found = Node(NODE, CACHE, Path(STATE) if STATE else tmp_path_factory.mktemp("node"))
    try:
        found.up()
        yield found
    finally:
        if not STATE:
            found.down()


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """The cluster, which is empty but for what other tests of this folder left."""
    if NAMED:
        return Cluster(Path(NAMED), _kubectl())
    found: Node = request.getfixturevalue("node")
    return Cluster(found.kubeconfig, str(found.kubectl))


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> str:
    """The image of all pods, by its digest, on the node."""
    if NAMED:
        pytest.skip("the cluster that HELIOSTAT_TEST_KUBECONFIG names has no way to get an image that was just made")
    if reason := why_not():
        pytest.skip(reason)
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap is not installed: it makes the image's system")
    found: Node = request.getfixturevalue("node")
    made = node_image.make(NODE, CACHE)
    found.up(made.file)
    found.tag(made.tag, made.by_digest)
    return made.by_digest


def _kubectl() -> str:
    built = CACHE / "bin" / "kubectl"
    found = str(built) if built.exists() else shutil.which("kubectl")
    if found is None:
        pytest.skip(f"there is no kubectl on the PATH, and none in {CACHE}/bin")
    return found
