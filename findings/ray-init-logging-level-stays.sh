#!/usr/bin/env bash
# Ray 2.60.0: the level of `ray.init(logging_level=…)` is set on Python's logger `ray`, and `ray.shutdown()` leaves it there. Whatever
# else the process logs below `ray` stays silent: a later Serve's warnings and those of Train and Data, too. A level that the
# application gave the logger before is not put back.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile "ray==2.60.0" ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import logging
import os
import sys
from importlib.metadata import version

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
import ray


def told():
    """Whether a warning below `ray` is heard."""
    return logging.getLogger("ray.serve").isEnabledFor(logging.WARNING)


logging.getLogger("ray").setLevel(logging.WARNING)
before = told()
try:
    ray.init(num_cpus=1, include_dashboard=False, logging_level=logging.ERROR)
except Exception as error:
    sys.exit(f"not tried: Ray did not start: {error}")
ray.shutdown()
after = told()
print("Ray", version("ray"))
print("whether a warning of ray.serve is heard before ray.init(logging_level=ERROR) and behind ray.shutdown()")
print("expected: True True")
print("seen:", before, after)
if (before, after) != (True, False):
    sys.exit("changed: the level of a session that has ended is no longer kept")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
