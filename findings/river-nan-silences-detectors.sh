#!/usr/bin/env bash
# river 0.26.1: one NaN among a thousand values, and ADWIN, PageHinkley and DDM never detect a drift again: it stays in their sums.
# There is no error and no warning, and `drift_detected` goes on to be False. KSWIN forgets it with its window.
# It bites where one measurement is missing once: the alarm looks quiet and is dead from then on.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  river==0.26.1 numpy==2.4.6 ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import math
import sys
import warnings

import numpy
import river
from river import drift
from river.drift import binary

generator = numpy.random.default_rng(7)
BEFORE, AFTER = generator.normal(0.2, 0.05, 1000), generator.normal(0.8, 0.05, 1000)
RIGHT, WRONG = (generator.random(1000) < 0.05).astype(float), (generator.random(1000) < 0.5).astype(float)
VALUES, ERRORS = (BEFORE, AFTER, BEFORE, AFTER), (RIGHT, WRONG, RIGHT, WRONG)
DETECTORS = {
    "ADWIN": (drift.ADWIN, VALUES),
    "PageHinkley": (drift.PageHinkley, VALUES),
    "DDM": (binary.DDM, ERRORS),
    "KSWIN": (lambda: drift.KSWIN(alpha=1e-6, seed=1), VALUES),
}


def detected(make, stretches, missing):
    """How many drifts are told of three that are there, all behind the value that is missing."""
    values = numpy.concatenate(stretches)
    if missing:
        values[500] = math.nan
    detector, found = make(), 0
    for place, value in enumerate(values):
        detector.update(float(value))
        found += detector.drift_detected and place >= 1000
    return found


print(f"river {river.__version__} numpy {numpy.__version__}")
print("expected: a drift is found behind a missing value too, or an error, or a warning")
seen = {}
with warnings.catch_warnings():
    warnings.simplefilter("error")
    for name, (make, stretches) in DETECTORS.items():
        seen[name] = (detected(make, stretches, False), detected(make, stretches, True))
        print(f"seen: {name}: {seen[name][0]} drifts of 3; with one NaN long before the first: {seen[name][1]}")
whole = {name: pair[0] for name, pair in seen.items()}
if min(whole.values()) < 1:
    sys.exit(f"changed: not all of them find a drift where nothing is missing: {whole}")
if [seen[name][1] for name in ("ADWIN", "PageHinkley", "DDM")] != [0, 0, 0] or seen["KSWIN"][1] < 1:
    sys.exit("changed: it is no longer ADWIN, PageHinkley and DDM that a NaN silences")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
