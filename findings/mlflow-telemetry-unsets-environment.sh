#!/usr/bin/env bash
# MLflow 3.17.2 (mlflow-skinny): the first call that is told to its makers starts a thread which, where their settings cannot be
# fetched, removes a variable of the process's environment (`_MLFLOW_TELEMETRY_SESSION_ID`) that the import had set. Python's
# os.environ is read name by name: who goes through it in another thread at that moment (requests does so for each request, to
# find proxies) gets `KeyError: '_MLFLOW_TELEMETRY_SESSION_ID'`. It took one of our trainings, in MLflow's own `log_model`.
# With MLFLOW_DISABLE_TELEMETRY=true the variable is never there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile mlflow-skinny==3.17.2 ||
  { echo "not tried: the package was not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import os
import threading
import time

NAME = "_MLFLOW_TELEMETRY_SESSION_ID"
import mlflow

there = NAME in os.environ
removed_by, pop = [], os.environ.__class__.__delitem__


def watched(self, key):
    if key == NAME:
        removed_by.append(threading.current_thread().name)
    pop(self, key)


os.environ.__class__.__delitem__ = watched
values = iter(os.environ.items())  # what somebody else is going through meanwhile
next(values)
found = []
mlflow.set_tracking_uri("http://127.0.0.1:9")
try:
    mlflow.create_experiment("a")  # the first thing that is told; that no server answers is no matter
except mlflow.exceptions.MlflowException:
    pass
end = time.monotonic() + 60
while NAME in os.environ and time.monotonic() < end:
    time.sleep(0.01)
try:
    found = list(values)
    ended = "all of it read"
except (KeyError, RuntimeError) as error:
    ended = f"{type(error).__name__}: {error}"
print(f"mlflow {mlflow.__version__}: set by the import: {there}; there now: {NAME in os.environ}; "
      f"removed by the main thread: {threading.main_thread().name in removed_by}; a reader meanwhile: {ended}")
PYTHON
run() {
  env -i PATH="$PATH" HOME="$folder" HTTPS_PROXY=http://127.0.0.1:9 \
    MLFLOW_HTTP_REQUEST_MAX_RETRIES=0 "$@" \
    "$folder/venv/bin/python" "$folder/check.py"
}
usual=$(run)
off=$(run MLFLOW_DISABLE_TELEMETRY=true)
printf '%s\n%s\n' "$usual" "with MLFLOW_DISABLE_TELEMETRY=true: $off"
grep -q "set by the import: True; there now: False; removed by the main thread: False; a reader meanwhile: KeyError" <<<"$usual" &&
grep -q "set by the import: False; there now: False; .* all of it read" <<<"$off" ||
  { echo "changed: expected a variable that goes by another thread, and none with MLFLOW_DISABLE_TELEMETRY"; exit 1; }
