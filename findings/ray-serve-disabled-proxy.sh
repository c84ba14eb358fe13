#!/usr/bin/env bash
# Ray Serve 2.60.0: a Serve that is started with `proxy_location="Disabled"` starts no proxy. With replicas that listen themselves
# (RAY_SERVE_ENABLE_DIRECT_INGRESS=1) its controller takes the location for HeadOnly, which only its log says, and starts one on the head,
# which nobody needs to ask then: a process of some 120 MiB. Without any proxy replicas would not listen either, they go by
# the same setting, so nothing that a user can set gives replicas that listen and no proxy.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  "ray[serve]==2.60.0" ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/proxies.py" <<'PYTHON'
import ray
from ray import serve


@serve.deployment
class Answer:
    def __call__(self, request):
        return "ok"


ray.init(num_cpus=2, include_dashboard=False, configure_logging=False, log_to_driver=False)
serve.start(proxy_location="Disabled")
serve.run(Answer.bind())
names = [each["name"] for each in ray.util.list_named_actors(all_namespaces=True)]
print("proxies:", sum("PROXY" in name for name in names))
serve.shutdown()
ray.shutdown()
PYTHON
cat >"$folder/check.py" <<'PYTHON'
import os
import pathlib
import subprocess
import sys
from importlib.metadata import version


def proxies(direct):
    """How many proxies there are once the application runs."""
    program = pathlib.Path(__file__).with_name("proxies.py")
    environment = {**os.environ, "RAY_SERVE_ENABLE_DIRECT_INGRESS": direct, "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run([sys.executable, str(program)], env=environment, capture_output=True, text=True, timeout=300)
    found = [line for line in done.stdout.splitlines() if line.startswith("proxies: ")]
    if not found:
        sys.exit(f"not tried: Serve did not start: {done.stderr[-500:]}")
    return int(found[0].split()[1])


usual, direct = proxies("0"), proxies("1")
print("Ray", version("ray"))
print('proxies of a Serve with proxy_location="Disabled", usually and where replicas listen themselves')
print("expected: 0 0")
print("seen:", usual, direct)
if (usual, direct) != (0, 1):
    sys.exit("changed: with direct ingress a disabled proxy is no longer started")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
