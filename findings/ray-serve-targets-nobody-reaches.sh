#!/usr/bin/env bash
# Ray Serve 2.60.0 where replicas listen themselves (RAY_SERVE_ENABLE_DIRECT_INGRESS=1): they listen on `http_options.host`, by
# default 127.0.0.1 of their node, while the list of targets that the REST API gives load balancers names them by the node's own
# address. So with the defaults every target of the list refuses connections, and Serve calls the application RUNNING.
# It bites as soon as a load balancer is on another machine, which is what the list is for: 0.0.0.0 has to be said. A node at
# 127.0.0.2 shows it on one machine.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  "ray[serve]==2.60.0" ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/targets.py" <<'PYTHON'
import json
import socket
import sys
import urllib.request

import ray
from ray import serve

NODE = "127.0.0.2"


@serve.deployment
class Answer:
    def __call__(self, request):
        return "ok"


with socket.socket() as found:
    found.bind(("127.0.0.1", 0))
    dashboard = found.getsockname()[1]
ray.init(
    num_cpus=2, _node_ip_address=NODE, include_dashboard=True, dashboard_port=dashboard, configure_logging=False,
    log_to_driver=False,
)
if len(sys.argv) > 1:
    serve.start(http_options={"host": sys.argv[1]})
serve.run(Answer.bind())
with urllib.request.urlopen(f"http://127.0.0.1:{dashboard}/api/serve/applications/", timeout=60) as answer:
    details = json.load(answer)
targets = [each for group in details["target_groups"] for each in group["targets"] if "REPLICA" in each["name"]]
reached = []
for each in targets:
    with socket.socket() as client:
        client.settimeout(5)
        reached.append(client.connect_ex((each["ip"], each["port"])) == 0)
status = details["applications"]["default"]["status"]
print("found:", json.dumps([status, sorted({each["ip"] for each in targets}), reached]))
serve.shutdown()
ray.shutdown()
PYTHON
cat >"$folder/check.py" <<'PYTHON'
import json
import os
import pathlib
import subprocess
import sys
from importlib.metadata import version


def found(*host):
    """The application's status, the addresses of its targets, and which of these can be connected to."""
    program = pathlib.Path(__file__).with_name("targets.py")
    environment = {**os.environ, "RAY_SERVE_ENABLE_DIRECT_INGRESS": "1", "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run([sys.executable, str(program), *host], env=environment, capture_output=True, text=True, timeout=300)
    lines = [line for line in done.stdout.splitlines() if line.startswith("found: ")]
    if not lines:
        sys.exit(f"not tried: Serve did not start: {done.stderr[-500:]}")
    return json.loads(lines[0].removeprefix("found: "))


usual, everywhere = found(), found("0.0.0.0")
print("Ray", version("ray"))
print("an application on a node at 127.0.0.2: its status, where the list has its replicas, whether they can be connected to")
print('expected: ["RUNNING", ["127.0.0.2"], [true]], whatever the host')
print("seen, with the defaults:", json.dumps(usual))
print("seen, with the host 0.0.0.0:", json.dumps(everywhere))
if (usual, everywhere) != (["RUNNING", ["127.0.0.2"], [False]], ["RUNNING", ["127.0.0.2"], [True]]):
    sys.exit("changed: a target of the list is no longer one that listens on loopback only")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
