"""This repository's workload on the platform's stack: declared and driven from outside, called from inside of the cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from heliostat.platforms.kubernetes import ray_cluster
from tests.kubernetes.checkout import Checkout
from tests.kubernetes.platform_stack import PlatformStack
from tests.kubernetes.steady_load import SteadyLoad

WORK = "work"
ROOT = Path(__file__).parents[2]
_ASK = (
    "import httpx, json, sys; url, body = sys.argv[1:];"
    "found = httpx.request('POST' if body else 'GET', url, content=body, timeout=30, trust_env=False,"
    "                      headers={'Content-Type': 'application/json'});"
    "print(json.dumps([found.status_code, found.text, dict(found.headers)]))"
)


class Flights:
    """It, as a stack of workloads of its own declares it."""

    def __init__(self, platform: PlatformStack) -> None:
        self.platform = platform

    @property
    def checkout(self) -> Checkout:
        return self.platform.checkout

    def use(self, strategy: dict[str, Any], rows: int = 900) -> None:
        """Declare it with a strategy; another limit of rows is another version for which nothing is trained."""
        serving = {"replicas": 2, "cpusPerReplica": 1, "strategy": strategy, "limits": {"maxRows": rows}}
        flights = {
            "training": {"parameters": {"rounds": 5}, "scaling": {"workers": 2, "cpusPerWorker": 1}},
            "gate": {"metric": "roc_auc", "margin": 0.5},
            "serving": serving,
        }
        self.checkout.declare(WORK, {"platformStack": "organization/heliostat/platform", "workloads": {"flights": flights}})

    def serving(self) -> str:
        """The version that answers."""
        code, _, headers = self.ask(f"{self._url}/predict", json.dumps(self._question()))
        assert code == 200
        return str(headers["x-heliostat-version"])

    def loaded(self) -> SteadyLoad:
        """A load on it through the traffic plane's service."""
        return SteadyLoad(self.platform.node, f"{self._url}/predict", self._question())

    def replica_pods(self) -> list[str]:
        """The pods that replicas run in, one for each replica."""
        by_address = {
            each["status"].get("podIP"): each["metadata"]["name"] for each in self.platform.get("pods", "ray.io/cluster")
        }
        token = self.platform.secret("ray-token", "auth_token")
        (head,) = (each["status"]["podIP"] for each in self.platform.get("pods", "ray.io/node-type=head"))
        code, text, _ = self.ask(f"http://{head}:{ray_cluster.DASHBOARD}/api/serve/applications/", token=token)
        assert code == 200, text
        groups = json.loads(text).get("target_groups") or ()
        targets = [each for group in groups for each in group["targets"] if "REPLICA" in each["name"]]
        return sorted(by_address.get(each["ip"], each["ip"]) for each in targets)

    @property
    def _url(self) -> str:
        return f"http://{self.platform.service('traffic')}/flights"

    def _question(self) -> Any:
        code, text, _ = self.ask(f"{self._url}/openapi.json")
        assert code == 200, text
        (predict,) = (each for path, each in json.loads(text)["paths"].items() if path.endswith("/predict"))
        (example, *_) = predict["post"]["requestBody"]["content"]["application/json"]["examples"].values()
        return example["value"]

    def ask(self, url: str, body: str = "", token: str = "") -> tuple[int, str, dict[str, str]]:
        """Ask from within the node's network: status, text and headers of the answer."""
        program = _ASK.replace("headers={", f"headers={{'Authorization': 'Bearer {token}', ") if token else _ASK
        command = self.platform.node.within([sys.executable, "-c", program, url, body])
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        code, text, headers = json.loads(done.stdout)
        return code, text, headers
