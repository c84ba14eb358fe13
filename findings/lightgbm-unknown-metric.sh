#!/usr/bin/env bash
# LightGBM 4.7.0: a metric that it does not know is dropped without an error or a warning (verbosity 1); the training
# runs to its end and evaluates nothing. An objective that it does not know is an error, and a parameter that it does not
# know is warned of (verbosity -1 hides that).
# It bites where a metric's name comes from a configuration: the learning curve is empty, and of two names one is missing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  lightgbm==4.7.0 numpy==2.4.6 ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import sys

import lightgbm
import numpy

generator = numpy.random.default_rng(0)
features = generator.random((200, 3))
labels = (features[:, 0] > 0.5).astype(float)


class Messages:
    """Keeps what LightGBM says; the library's own warnings come as information, with a word in front."""

    def __init__(self):
        self.texts = []

    def info(self, text):
        self.texts.append(text)

    warning = info


def tried(**parameters):
    """What is evaluated, the rounds, the warnings that name a value of ours, and the error."""
    messages, evaluated = Messages(), {}
    lightgbm.register_logger(messages)
    data, watched = lightgbm.Dataset(features, labels), lightgbm.Dataset(features, labels)
    settings = {"objective": "binary", "num_leaves": 4, "num_threads": 1, "verbosity": 1, **parameters}
    error, rounds = "", 0
    try:
        booster = lightgbm.train(
            settings, data, 5, valid_sets=[watched], callbacks=[lightgbm.record_evaluation(evaluated)]
        )
        rounds = booster.current_iteration()
    except lightgbm.basic.LightGBMError as refused:
        error = str(refused)
    warned = any(word in text for text in messages.texts for word in ("f2", "num_leavs"))
    return sorted(evaluated.get("valid_0", {})), rounds, warned, error


print("lightgbm", lightgbm.__version__, "numpy", numpy.__version__)
print("expected: a name that is not known is an error before the first round, or a warning at least")
cases = {
    "metric f2": tried(metric="f2"),
    "metrics auc and f2": tried(metric=["auc", "f2"]),
    "parameter num_leavs": tried(num_leavs=3),
    "objective binry": tried(objective="binry"),
}
for what, (metrics, rounds, warned, error) in cases.items():
    print(f"seen: {what}: evaluated {metrics}, {rounds} rounds, {'a' if warned else 'no'} warning, error: {error or 'none'}")
described = (
    cases["metric f2"] == ([], 5, False, "")
    and cases["metrics auc and f2"] == (["auc"], 5, False, "")
    and cases["parameter num_leavs"] == (["binary_logloss"], 5, True, "")
    and cases["objective binry"][1] == 0
    and cases["objective binry"][3] != ""
)
if not described:
    sys.exit("changed: names that LightGBM does not know are no longer passed over as described")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
