#!/usr/bin/env bash
# onnxmltools 1.16.0: LightGBM models of five kinds convert without an error or a warning to ONNX models that answer otherwise:
# random forests (boosting=rf: trees are added up and not averaged), sigmoid other than 1, reg_sqrt (answers stay square roots),
# zero_as_missing, and linear_tree (the leaves' slopes are dropped). Plain, dart and poisson models are equal to rounding.
# It bites whoever serves the converted model: it loads, has the right shapes, and classes are often the same ones.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  onnxmltools==1.16.0 skl2onnx==1.20.0 onnx==1.23.2 onnxruntime==1.32.0 lightgbm==4.7.0 numpy==2.4.6 ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import sys
import warnings

import lightgbm
import numpy
import onnxmltools
import onnxruntime
from onnxmltools.convert.common.data_types import FloatTensorType

generator = numpy.random.default_rng(0)
ROWS = generator.normal(size=(2000, 4)).astype(numpy.float32)
ROWS[generator.random(ROWS.shape) < 0.3] = 0
CLASSES = (ROWS[:, 0] + ROWS[:, 1] * ROWS[:, 2] + 0.3 * generator.normal(size=2000) > 0).astype(int)
AMOUNTS = (10 * abs(ROWS[:, 0]) + abs(ROWS[:, 1]) + 1).astype(float)
FOREST = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}
WRONG = {
    "random forest, classes": {"objective": "binary", **FOREST},
    "random forest, amounts": {"objective": "regression", **FOREST},
    "sigmoid=2": {"objective": "binary", "sigmoid": 2.0},
    "reg_sqrt": {"objective": "regression", "reg_sqrt": True},
    "zero_as_missing": {"objective": "binary", "zero_as_missing": True},
    "linear_tree": {"objective": "regression", "linear_tree": True},
}
RIGHT = {
    "classes": {"objective": "binary"},
    "dart": {"objective": "binary", "boosting": "dart"},
    "amounts": {"objective": "regression"},
    "poisson": {"objective": "poisson"},
}


def difference(parameters):
    """The largest difference of two answers to one row, as a part of the span of LightGBM's own answers, and the warnings."""
    settings = {"num_threads": 1, "verbosity": -1, "seed": 1, "num_leaves": 15, **parameters}
    data = lightgbm.Dataset(ROWS, CLASSES if parameters["objective"] == "binary" else AMOUNTS)
    booster = lightgbm.train(settings, data, 20)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        kind = [("rows", FloatTensorType([None, 4]))]
        model = onnxmltools.convert_lightgbm(booster, initial_types=kind, zipmap=False)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of the shape of the labels, right models' too
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    theirs = session.run(None, {"rows": ROWS})[-1][:, -1]
    ours = booster.predict(ROWS)
    return float(abs(theirs - ours).max() / (ours.max() - ours.min())), len(said)


print(*(f"{each.__name__} {each.__version__}" for each in (onnxmltools, onnxruntime, lightgbm)))
print("expected: the same answers to rounding, or a conversion that is refused")
seen = {name: difference(parameters) for name, parameters in {**RIGHT, **WRONG}.items()}
for name, (largest, said) in seen.items():
    print(f"seen: {name}: largest difference {largest:.2g} of the span of the answers, {said} warnings")
if max(seen[name][0] for name in RIGHT) > 1e-5:
    sys.exit("changed: plain models are no longer converted to equal ones")
if min(seen[name][0] for name in WRONG) < 0.1 or max(seen[name][1] for name in WRONG) > 0:
    sys.exit("changed: not all of these are converted to models that answer otherwise without a warning")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
