#!/usr/bin/env bash
# MLflow 3.17.2: a scikit-learn model that is logged with `pyfunc_predict_fn="predict_proba"` and an input example is given the signature
# of `predict`: the labels. The same model, loaded, answers probabilities, of another type and shape than it says.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  "mlflow==3.17.2" "scikit-learn==1.9.1" "pandas==3.1.1" "numpy==2.4.6" ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import logging
import pathlib
import sys
import warnings
from importlib.metadata import version

warnings.filterwarnings("ignore")
import mlflow
import pandas as pd
from sklearn.linear_model import LogisticRegression

logging.getLogger("mlflow").setLevel(logging.ERROR)
rows = pd.DataFrame({"area": [20.0, 40.0, 60.0, 80.0, 100.0, 120.0]})
model = LogisticRegression().fit(rows, [0, 0, 1, 1, 2, 2])
place = str(pathlib.Path(__file__).with_name("model"))
mlflow.sklearn.save_model(
    model, place, input_example=rows, pyfunc_predict_fn="predict_proba", pip_requirements=["scikit-learn==1.9.1"]
)
loaded = mlflow.pyfunc.load_model(place)
said = str(loaded.metadata.signature.outputs)
answers = loaded.predict(rows)
print("MLflow", version("mlflow"), "scikit-learn", version("scikit-learn"))
print("expected: a signature of float64, three a row, as the answers are:", answers.dtype, answers.shape)
print("seen:", said)
if "double" in said or "float64" in said or answers.shape != (6, 3):
    sys.exit("changed: the signature is no longer that of the labels")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
