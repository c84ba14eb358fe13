#!/usr/bin/env bash
# LightGBM 4.7.0: `bagging_seed`, given to `reset_parameter` alone, is taken without a word and changes nothing.
# It is used only where `bagging_fraction` or `bagging_freq` changes in the same call.
# It bites who seeds each round from the round's number, so that an interrupted training (init_model) ends with the model of
# one in a go: the rounds draw from the first seed all the same, and what is resumed begins that sequence anew.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  lightgbm==4.7.0 numpy==2.4.6 ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import re
import sys

import lightgbm
import numpy

ROUNDS, SAVED_AT = 12, 5
generator = numpy.random.default_rng(0)
features = generator.random((400, 5))
labels = (features[:, 0] + features[:, 1] + generator.normal(0, 0.3, 400) > 1).astype(float)
PARAMETERS = {
    "objective": "binary", "num_leaves": 7, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1,
    "deterministic": True, "force_col_wise": True, "bagging_fraction": 0.5, "bagging_freq": 1,
}


def trained(rounds, told, start=None, done=0):
    """`told` gives what reset_parameter is called with before the round that follows `done` rounds."""

    def before(environment):
        if changes := told(done + environment.iteration - environment.begin_iteration):
            environment.model.reset_parameter(changes)

    before.before_iteration = True
    data = lightgbm.Dataset(features, labels)
    return lightgbm.train(PARAMETERS, data, rounds, init_model=start, callbacks=[before], keep_training_booster=True)


def resumed(told):
    half = trained(SAVED_AT, told)
    saved = lightgbm.Booster(model_str=half.model_to_string(num_iteration=-1))
    return trained(ROUNDS - SAVED_AT, told, saved, SAVED_AT)


def trees(booster):
    text = booster.model_to_string(num_iteration=-1).split("end of trees")[0]
    return re.sub(r"leaf_weight=.*", "", text.split("Tree=", 1)[1])


def nothing(done):
    return {}


def seed_alone(done):
    return {"bagging_seed": 100 + 17 * done}


def seed_and_frequency(done):
    """A frequency that no round reaches, but another at each round: the bag is drawn because it changed."""
    return {"bagging_seed": 100 + 17 * done, "bagging_freq": 1_000_000 + done}


plain, alone, both = (trees(trained(ROUNDS, told)) for told in (nothing, seed_alone, seed_and_frequency))
seen = {
    "a seed told at each round changes the model": alone != plain,
    "it does where bagging_freq changes as well": both != plain,
    "seeded at each round, a resumed training equals one in a go": trees(resumed(seed_alone)) == alone,
    "it does where bagging_freq changes as well (control)": trees(resumed(seed_and_frequency)) == both,
}
print("lightgbm", lightgbm.__version__, "numpy", numpy.__version__)
print("expected: yes to each")
for what, holds in seen.items():
    print(f"seen: {what}: {'yes' if holds else 'no'}")
if list(seen.values()) != [False, True, False, True]:
    sys.exit("changed: a bagging_seed that is told alone is no longer ignored as described")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
