#!/usr/bin/env bash
# Ray 2.60.0: `map` over a Ray Data set with an actor pool of one actor starts four: beside the worker a tracker of where
# actors are, a coordinator for the autoscaler and a keeper of statistics. Each is a Python process that imports Ray Data,
# which takes seconds of the processor, and the job's end leaves all three.
# It bites a short job on a machine of few cores: the helpers start at the moment at which its worker does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  'ray[data,default]==2.60.0' pyarrow==25.0.1 pandas==3.1.1 numpy==2.4.6 ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import os
import subprocess
import sys

JOB = """
import ray, ray.data
from ray.data import ActorPoolStrategy

class Twice:
    def __call__(self, row):
        return {"twice": 2 * row["id"]}

ray.init(address="ADDRESS", log_to_driver=False)
ray.data.DataContext.get_current().enable_progress_bars = False
rows = ray.data.range(2, override_num_blocks=1)
print("rows", sum(1 for _ in rows.map(Twice, compute=ActorPoolStrategy(size=1), num_cpus=0.1).iter_rows()))
"""


def seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


import ray
from ray.util.state import list_actors

context = ray.init(num_cpus=2, include_dashboard=True, log_to_driver=False, logging_level="error")
print(f"ray {ray.__version__}")
print("expected: one actor for a pool of one, and none once its job has ended")
code = JOB.replace("ADDRESS", context.address_info["gcs_address"])
said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
assert "rows 2" in said.stdout, said.stderr[-2000:]
actors = list_actors(detail=True, limit=100)
for each in sorted(actors, key=lambda actor: actor.class_name):
    took = f", {seconds(each.pid):.1f} s of the processor" if each.state == "ALIVE" else ""
    print(f"seen: {each.class_name}: {each.state} after the job{took}")
started = sorted(actor.class_name.rpartition(".")[2] for actor in actors)
left = sorted(actor.class_name.rpartition(".")[2] for actor in actors if actor.state == "ALIVE")
ray.shutdown()
if len(started) != 4:
    sys.exit(f"changed: {len(started)} actors were started: {started}")
if len(left) != 3:
    sys.exit(f"changed: {len(left)} actors stay after the job: {left}")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
