#!/usr/bin/env bash
# fairlearn 0.15.0: of a group without a positive label the true positive rate, which nobody can know, is 0.0 without a warning,
# and counts: a model that is never wrong then has an equalized odds difference of 1.0 and a ratio of 0.0, the worst there are.
# In the same way the false positive rate of a group without a negative label is 0.0, the best there is. (scikit-learn's
# recall_score warns of it.)
# It bites gates and monitors by group: the smaller a group or a window, the surer the alarm, whatever the model does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  fairlearn==0.15.0 scikit-learn==1.9.1 pandas==3.1.1 numpy==2.4.6 ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import importlib.metadata
import sys
import warnings

import numpy
from fairlearn.metrics import (
    MetricFrame,
    equal_opportunity_difference,
    equalized_odds_difference,
    equalized_odds_ratio,
    false_positive_rate,
    true_positive_rate,
)

LABELS = numpy.array([1, 0, 1, 0, 0, 0] * 20)
GROUPS = numpy.array(list("aaabbb") * 20)

print(*(f"{name} {importlib.metadata.version(name)}" for name in ("fairlearn", "scikit-learn")))
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    frame = MetricFrame(metrics=true_positive_rate, y_true=LABELS, y_pred=LABELS, sensitive_features=GROUPS)
    rates = {group: float(rate) for group, rate in frame.by_group.items()}
    odds = [
        float(each(LABELS, LABELS, sensitive_features=GROUPS))
        for each in (equalized_odds_difference, equalized_odds_ratio, equal_opportunity_difference)
    ]
    all_positive = false_positive_rate([1, 1], [1, 1], pos_label=1)
print("predictions that equal the labels; group b has no positive label")
print("expected: no number for b, or a warning, and a difference of 0.0 for a model that is never wrong")
print(f"seen: true positive rates {rates}; equalized odds difference {odds[0]}, ratio {odds[1]}; equal opportunity {odds[2]}; "
      f"{len(said)} warnings")
print(f"seen: false positive rate where every label is positive, and every prediction: {all_positive}")
if (rates, odds, all_positive, len(said)) != ({"a": 1.0, "b": 0.0}, [1.0, 0.0, 1.0], 0.0, 0):
    sys.exit("changed: a group without positive labels no longer counts with a true positive rate of 0.0")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
