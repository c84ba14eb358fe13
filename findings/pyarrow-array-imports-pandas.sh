#!/usr/bin/env bash
# pyarrow 25.0.1: `pyarrow.array([1])`, with a type or without, imports pandas where that is installed, and so do
# `pyarrow.scalar(1)` and `Table.from_pylist`.
# It bites a process that only writes Parquet from lists: it pays for pandas in start-up time and memory. Arrays made of
# buffers do not ask; where the import system does not find pandas, the array is the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
  pyarrow==25.0.1 pandas==3.1.1 numpy==2.4.6 ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import importlib.metadata
import subprocess
import sys

MEASURED = """
import resource, sys, time
import pyarrow
{before}
assert sys.modules.get("pandas") is None
modules, memory, begun = len(sys.modules), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
made = {made}
seconds = time.perf_counter() - begun
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
print(sys.modules.get("pandas") is not None, len(sys.modules) - modules, f"{{seconds:.2f}}", memory // 1024, str(made).split())
"""
BUFFERS = "pyarrow.Array.from_buffers(pyarrow.int64(), 1, [None, pyarrow.py_buffer((1).to_bytes(8, sys.byteorder))])"
HIDDEN = """
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pandas":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Hidden())
"""
CASES = {
    "pyarrow.array([1])": ("pyarrow.array([1])", ""),
    "pyarrow.array([1], pyarrow.int64())": ("pyarrow.array([1], pyarrow.int64())", ""),
    "pyarrow.scalar(1)": ("pyarrow.scalar(1)", ""),
    "pyarrow.Table.from_pylist([{'a': 1}])": ("pyarrow.Table.from_pylist([{'a': 1}])", ""),
    "from buffers (control)": (BUFFERS, ""),
    "pyarrow.array([1]), pandas not found (control)": ("pyarrow.array([1])", HIDDEN),
}


def tried(made, before):
    """Each in a process of its own."""
    code = MEASURED.format(made=made, before=before)
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return said.split(maxsplit=4)


print(*(f"{name} {importlib.metadata.version(name)}" for name in ("pyarrow", "pandas", "numpy")))
print("expected: no pandas for a list of numbers")
found = {what: tried(*case) for what, case in CASES.items()}
for what, (pandas, modules, seconds, memory, _) in found.items():
    print(f"seen: {what}: pandas imported: {pandas}; {modules} more modules, {seconds} s, {memory} MiB")
if [pandas for pandas, *_ in found.values()] != ["True"] * 4 + ["False"] * 2:
    sys.exit("changed: an array of Python values no longer imports pandas, or one of buffers does")
arrays = {made for what, (*_, made) in found.items() if "array" in what or "buffers" in what}
if len(arrays) != 1:
    sys.exit("changed: the arrays are not equal")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
