#!/usr/bin/env bash
# uv 0.13.9: the mistake of a connection that is refused, as by an index or a proxy that does not run, is told only after retries with
# waits that grow, about 12 s here; with UV_HTTP_RETRIES=0 it is told at once.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile "uv==0.13.9" ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import os
import pathlib
import socket
import subprocess
import sys
import time

folder = pathlib.Path(__file__).parent
uv = str(folder / "venv/bin/uv")


def seconds(**variables):
    """How long uv takes to say that the index refuses; and how much it says before the end."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [uv, "pip", "install", "--dry-run", "--no-cache", "--no-config", "--python", sys.executable]
    command += ["--default-index", f"http://127.0.0.1:{port}/simple", "six"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("UV_") and "proxy" not in name.lower()}
    began = time.monotonic()
    done = subprocess.run(command, env={**clean, **variables}, capture_output=True, text=True, timeout=120)
    if "refused" not in done.stderr:
        sys.exit(f"not tried: no connection was refused: {done.stderr[-500:]}")
    return time.monotonic() - began


once, usual = seconds(UV_HTTP_RETRIES="0"), seconds()
print(subprocess.run([uv, "--version"], capture_output=True, text=True).stdout.strip())
print("seconds until a refused connection is told; expected: the same with and without retries, as nobody listens")
print(f"seen: with UV_HTTP_RETRIES=0 {once:.1f}, without {usual:.1f}")
if usual < once + 3:
    sys.exit("changed: a refused connection is told without waiting")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
