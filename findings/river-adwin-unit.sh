#!/usr/bin/env bash
# river 0.26.1: whether ADWIN finds a shift depends on the unit of the values. The same stream, shifted by one standard deviation,
# is detected within a hundred values where the deviation is 1, after some hundred where it is 0.05, and not at all within 2,000
# where it is 0.001: its bound is made for values from 0 to 1 and is not scaled, although `delta` is called a significance.
# It bites latencies in seconds, error rates and anything else that lives in a small part of that range.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  river==0.26.1 numpy==2.4.6 ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import sys

import numpy
import river
from river.drift import ADWIN

generator = numpy.random.default_rng(7)
STREAM = numpy.concatenate([generator.normal(0, 1, 2000), generator.normal(1, 1, 2000)])


def values_until_detected(unit):
    """How many values after the shift it is told; None where it is not."""
    detector = ADWIN()
    for place, value in enumerate(STREAM * unit):
        detector.update(float(value))
        if detector.drift_detected:
            return place - 2000
    return None


print(f"river {river.__version__} numpy {numpy.__version__}")
print("expected: the same delay in each unit, for it is the same stream")
seen = {unit: values_until_detected(unit) for unit in (1000, 1, 0.05, 0.01, 0.001)}
for unit, delay in seen.items():
    print(f"seen: standard deviation {unit}: {'never' if delay is None else f'after {delay} values'}")
if None in (seen[1000], seen[1], seen[0.05]) or not 0 < seen[1000] <= seen[1] < 100 < seen[0.05] or seen[0.001] is not None:
    sys.exit("changed: the unit no longer decides whether a shift is found")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
