#!/usr/bin/env bash
# MLflow 3.17.2: `mlflow.sklearn.log_model` writes by skops unless told otherwise, and skops 0.16.0 does not hold scikit-learn's
# own trees for trustworthy, nor its neighbours and calibrated classifiers: a DecisionTree, RandomForest, GradientBoosting,
# HistGradientBoosting, KNeighbors or CalibratedClassifierCV is an error with the defaults. Linear models and SVC are logged.
# It bites at the end of a training, when the model is to be kept: and the refused call leaves a model in the store, as FAILED.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  mlflow==3.17.2 scikit-learn==1.9.1 skops==0.16.0 pandas==3.1.1 numpy==2.4.6 ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import importlib.metadata
import logging
import os
import sys
import tempfile

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
import mlflow
import numpy
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

TAKEN = (LogisticRegression(), SVC())
REFUSED = (
    DecisionTreeClassifier(),
    RandomForestClassifier(5),
    GradientBoostingClassifier(n_estimators=3),
    HistGradientBoostingClassifier(max_iter=3),
    KNeighborsClassifier(),
    CalibratedClassifierCV(LogisticRegression()),
)
ROWS = numpy.random.default_rng(0).random((60, 3))
LABELS = (ROWS[:, 0] > 0.5).astype(int)


def logged(model):
    """What comes of it with every setting left as it is."""
    try:
        known = mlflow.sklearn.log_model(model.fit(ROWS, LABELS), name=type(model).__name__)
        mlflow.sklearn.load_model(known.model_uri)
    except mlflow.exceptions.MlflowException as error:
        return "untrusted types" if "untrusted types" in str(error) else str(error)
    return "logged and loaded"


logging.getLogger("mlflow").setLevel(logging.CRITICAL)
logging.getLogger("alembic").setLevel(logging.CRITICAL)
print(*(f"{name} {importlib.metadata.version(name)}" for name in ("mlflow", "scikit-learn", "skops")))
print("expected: scikit-learn's own models can be logged by the flavour of that name")
with tempfile.TemporaryDirectory() as store:
    mlflow.set_tracking_uri(f"sqlite:///{store}/mlflow.db")
    mlflow.create_experiment("trees", artifact_location=f"file://{store}/artifacts")
    mlflow.set_experiment("trees")
    seen = {type(model).__name__: logged(model) for model in (*TAKEN, *REFUSED)}
    left = {each.name: str(each.status) for each in mlflow.search_logged_models(output_format="list")}
for name, outcome in seen.items():
    print(f"seen: {name}: {outcome}; in the store: {left.get(name)}")
taken, refused = ({type(model).__name__ for model in models} for models in (TAKEN, REFUSED))
if {name for name, outcome in seen.items() if outcome == "logged and loaded"} != taken:
    sys.exit("changed: other models than the linear one and SVC are logged with the defaults")
if {seen[name] for name in refused} != {"untrusted types"}:
    sys.exit("changed: they are refused for another reason")
if {name for name, status in left.items() if status.endswith("FAILED")} != refused:
    sys.exit("changed: a refused call no longer leaves a FAILED model")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
