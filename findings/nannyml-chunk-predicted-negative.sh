#!/usr/bin/env bash
# nannyml 0.13.1: of a chunk in which nothing is predicted positive CBPE estimates a precision, a recall and an F1 of 0.0, where
# no precision can be known; and where negatives are the easier rows it raises an alert for accuracy that *rose*: the thresholds
# are two-sided, and the alert does not say which was crossed. (`import nannyml` needs statsmodels, which it does not declare.)
# It bites where an alert starts a retraining or a rollback: the better model is taken away.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  nannyml==0.13.1 statsmodels==0.15.0 pandas==3.1.1 numpy==2.4.6 ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import importlib.metadata
import os
import sys
import warnings

os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
warnings.filterwarnings("ignore")
import nannyml
import numpy
import pandas

METRICS = ("accuracy", "precision", "recall", "f1")
generator = numpy.random.default_rng(0)


def answers(scores):
    """Rows whose labels are as likely as the scores say."""
    return pandas.DataFrame(
        {"score": scores, "answer": (scores > 0.5).astype(int), "label": (generator.random(len(scores)) < scores).astype(int)}
    )


reference = answers(generator.beta(0.6, 0.6, 5000))
negative = answers(generator.random(1000) * 0.2)
estimator = nannyml.CBPE(
    y_pred_proba="score",
    y_pred="answer",
    y_true="label",
    problem_type="classification_binary",
    metrics=list(METRICS),
    chunk_size=1000,
)
estimated = estimator.fit(reference).estimate(negative).filter(period="analysis").to_df()
declared = [each for each in importlib.metadata.requires("nannyml") if each.lower().startswith("statsmodels")]
before, now = (float((frame["answer"] == frame["label"]).mean()) for frame in (reference, negative))
seen = {name: (float(estimated[name, "value"].iloc[0]), bool(estimated[name, "alert"].iloc[0])) for name in METRICS}
print("nannyml", nannyml.__version__, "pandas", pandas.__version__, "numpy", numpy.__version__)
print("expected: no number for precision, and no alert for what got better")
print(f"seen: accuracy of the reference {before:.3f}, of the chunk by its labels {now:.3f}, as estimated {seen['accuracy'][0]:.3f}: "
      f"{'an' if seen['accuracy'][1] else 'no'} alert, above {float(estimated['accuracy', 'upper_threshold'].iloc[0]):.3f}")
print(f"seen: {({name: seen[name] for name in METRICS[1:]})}; statsmodels among what it declares: {bool(declared)}")
if not (now > before + 0.05 and abs(seen["accuracy"][0] - now) < 0.03):
    sys.exit("changed: the estimate of accuracy is not near the labels' any more")
if seen["accuracy"][1] is not True:
    sys.exit("changed: accuracy that rose is no alert any more")
if {seen[name] for name in METRICS[1:]} != {(0.0, True)}:
    sys.exit("changed: precision, recall and F1 of a chunk without a positive prediction are no longer 0.0 with an alert")
if declared:
    sys.exit("changed: statsmodels is declared")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
