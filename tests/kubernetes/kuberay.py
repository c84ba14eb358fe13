"""KubeRay's operator for one namespace: a program of it that HELIOSTAT_KUBERAY_OPERATOR names, or one that is played."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kubernetes.cluster import Cluster
from tests.kubernetes.ray_operator import PlayedOperator

PROGRAM = os.environ.get("HELIOSTAT_KUBERAY_OPERATOR")
_END_SECONDS = 30


@contextmanager
def operating(cluster: Cluster, namespace: str, logs: Path) -> Iterator[None]:
    """Have RayClusters of a namespace become pods, as long as the context lasts."""
    if PROGRAM is None:
        with PlayedOperator(cluster, namespace):
            yield
        return
    # A program outside of the cluster asks Ray's heads through the API server.
    command = [PROGRAM, "--watch-namespace", namespace, "--use-kubernetes-proxy", "--enable-leader-election=false"]
    addresses = [f"--{name}=127.0.0.1:0" for name in ("metrics-addr", "health-probe-bind-address")]
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    with (logs / "kuberay-operator.log").open("wb") as log:
        process = subprocess.Popen([*command, *addresses], env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        yield
        assert process.poll() is None, f"the operator ended: {log.name}"
    finally:
        process.terminate()
        process.wait(_END_SECONDS)
