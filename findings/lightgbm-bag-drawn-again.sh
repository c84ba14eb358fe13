#!/usr/bin/env bash
# LightGBM 4.7.0: until a booster has grown a tree of its own, it draws a new bag at each round, whatever `bagging_freq` says.
# It bites in resumed trainings (init_model): one in a go whose bag allows no further split grows no further tree; one that
# is resumed from the same rounds, with the same seed, draws on until it finds a bag that allows one. Where every round
# grows a tree the two are equal, so a test with easy data does not show it.
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

ROUNDS, SAVED_AT = 30, 20
generator = numpy.random.default_rng(0)
features = generator.random((400, 5))
labels = (features[:, 0] + features[:, 1] + generator.normal(0, 0.3, 400) > 1).astype(float)
PARAMETERS = {
    "objective": "binary", "num_leaves": 7, "min_data_in_leaf": 5, "verbosity": -1, "num_threads": 1,
    "deterministic": True, "force_col_wise": True, "bagging_fraction": 0.5, "bagging_seed": 3, "bagging_freq": 1000,
}


def trained(rounds, min_gain, seeded, start=None, done=0):
    """`seeded`: the bag is drawn at every round as the first of the seed, because bagging_freq is another one each time."""

    def before(environment):
        if seeded:
            odd = (done + environment.iteration - environment.begin_iteration) % 2
            environment.model.reset_parameter({"bagging_seed": 3, "bagging_freq": 1000 + odd})

    before.before_iteration = True
    parameters = {**PARAMETERS, "min_gain_to_split": min_gain}
    data = lightgbm.Dataset(features, labels)
    return lightgbm.train(parameters, data, rounds, init_model=start, callbacks=[before], keep_training_booster=True)


def tried(min_gain, seeded=False):
    """How many trees there are: when it was saved, at the end of one in a go, and at the end of the resumed one."""
    whole, half = trained(ROUNDS, min_gain, seeded), trained(SAVED_AT, min_gain, seeded)
    saved = lightgbm.Booster(model_str=half.model_to_string(num_iteration=-1))
    resumed = trained(ROUNDS - SAVED_AT, min_gain, seeded, saved, SAVED_AT)
    same = trees(whole) == trees(resumed)
    return half.current_iteration(), whole.current_iteration(), resumed.current_iteration(), same


def trees(booster):
    text = booster.model_to_string(num_iteration=-1).split("end of trees")[0]
    return re.sub(r"leaf_weight=.*", "", text.split("Tree=", 1)[1])


print("lightgbm", lightgbm.__version__, "numpy", numpy.__version__)
print(f"one bag for 1000 rounds; saved after {SAVED_AT} rounds and resumed to {ROUNDS}")
print("trees when saved, trees of one in a go, trees of the resumed one, whether those two are equal")
print("expected: equal in each case")
easy, hard, seeded = tried(0.0), tried(12.0), tried(12.0, seeded=True)
print("seen: every round grows a tree (control):", *easy)
print("seen: the last rounds grow none:", *hard)
print("seen: the same, with the first bag of the seed drawn at every round (control):", *seeded)
described = easy[3] and hard[0] == hard[1] < hard[2] and not hard[3] and seeded[0] == seeded[1] == seeded[2] and seeded[3]
if not described:
    sys.exit("changed: a resumed training no longer grows trees from bags that one in a go does not draw")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
