"""The platform's stack on a node, made by the program and the embedded engine from a machine beside it."""

from __future__ import annotations

import json
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.kubernetes import site
from tests.kubernetes.checkout import Checkout
from tests.kubernetes.cluster import Cluster
from tests.kubernetes.kuberay import operating
from tests.kubernetes.node import Node
from tests.kubernetes.ray_operator import is_ready
from tests.network.lan import Machine

BIN = Path(sys.executable).parent
STACK = "platform"
_BUCKET_PORT = 9000
_LONGEST_SECONDS = 300


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds: it is looked at again and again, as nobody says when."""
    end = time.monotonic() + _LONGEST_SECONDS
    while not holds():
        assert time.monotonic() < end, f"not within {_LONGEST_SECONDS} s: {what}"
        time.sleep(0.5)


def config(image: str, endpoint: str) -> dict[str, Any]:
    """What the stack declares: all of it as small as it works."""
    return {
        "kind": "kubernetes",
        "namespace": site.NAMESPACE,
        "createNamespace": False,
        "tags": {"owner": "tests", "environment": "test", "costCentre": "cc-1"},
        "image": image,
        "store": {"kind": "s3", "bucket": "models", "endpoint": endpoint, "region": "us-east-1"},
        "storeSecret": "bucket",
        "ray": {"cpus": 2, "memoryGib": 4},
        "groups": {"cpu": {"kind": "cpu", "cpus": 2, "memoryGib": 4, "min": 2, "max": 3}},
        "mlflow": {"cpus": 2, "memoryGib": 3, "workers": 1},
        "controller": {"cpus": 2, "memoryGib": 2},
        "traffic": {"cpus": 1, "memoryGib": 0.5},
    }


class PlatformStack:
    """One that is up."""

    def __init__(self, node: Node, cluster: Cluster, checkout: Checkout) -> None:
        self.node, self.cluster, self.checkout = node, cluster, checkout

    def get(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """The objects of a kind in the platform's namespace."""
        chosen = ("-l", selector) if selector else ()
        return list(json.loads(self.cluster.run("get", kind, "-n", site.NAMESPACE, *chosen, "-o", "json"))["items"])

    def names(self, kind: str) -> set[str]:
        """Those of a kind."""
        return {each["metadata"]["name"] for each in self.get(kind)}

    def ready(self, selector: str) -> set[str]:
        """The pods that are ready."""
        return {each["metadata"]["name"] for each in self.get("pods", selector) if is_ready(each)}

    def service(self, name: str) -> str:
        """The address of a service, as the node has it."""
        return next(str(each["spec"]["clusterIP"]) for each in self.get("services") if each["metadata"]["name"] == name)

    def secret(self, name: str, key: str) -> str:
        """What a secret has in an entry."""
        (found,) = (each for each in self.get("secrets") if each["metadata"]["name"] == name)
        return b64decode(found["data"][key]).decode()


@contextmanager
def made(node: Node, cluster: Cluster, image: str, folder: Path) -> Iterator[PlatformStack]:
    """Make it, and end all that it takes beside the node; the cluster keeps what was made."""
    site.prepare(cluster, folder / "volumes")
    logs = folder / "logs"
    logs.mkdir()
    with node.neighbours(logs) as (desk, bucket):
        endpoint = f"http://{bucket.address}:{_BUCKET_PORT}"
        checkout = Checkout(node, desk, folder)
        _start_bucket(bucket, endpoint, checkout.environment)
        checkout.declare(STACK, {"platform": config(image, endpoint)})
        checkout(STACK, "stack", "init")
        with operating(cluster, site.NAMESPACE, logs):
            checkout.up(STACK)
            yield PlatformStack(node, cluster, checkout)


def _start_bucket(bucket: Machine, endpoint: str, environment: dict[str, str]) -> None:
    bucket.start([str(BIN / "moto_server"), "-H", bucket.address, "-p", str(_BUCKET_PORT)], environment)
    bucket.until(lambda: bucket.get(f"{endpoint}/").status_code < 500, "the bucket answers")
    program = "import boto3, sys; boto3.client('s3', endpoint_url=sys.argv[1]).create_bucket(Bucket='models')"
    done = bucket.run([sys.executable, "-c", program, endpoint], environment)
    assert done.returncode == 0, done.stderr
