#!/usr/bin/env bash
# Sphinx 9.0.4: a type that `autodoc_type_aliases` names is shown by that name where it is a whole annotation. In a union, a list or a
# dictionary the page shows how Sphinx holds it, `TypeAliasForwardRef('example.Number')`, and the name is no link. Nothing is warned of.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile "sphinx==9.0.4" ||
  { echo "not tried: the packages were not installed"; exit 2; }
mkdir "$folder/pages"
cat >"$folder/pages/example.py" <<'PYTHON'
"""Functions that take numbers."""

from __future__ import annotations

from typing import Union

Number = Union[int, float, complex]


def alone(x: Number) -> None:
    """One."""


def optional(x: Number | None = None) -> None:
    """One, or none."""


def many(x: list[Number]) -> None:
    """Some."""
PYTHON
cat >"$folder/pages/conf.py" <<'PYTHON'
import sys

sys.path.insert(0, ".")
extensions = ["sphinx.ext.autodoc"]
autodoc_type_aliases = {"Number": "example.Number"}
PYTHON
printf '.. automodule:: example\n   :members:\n' >"$folder/pages/index.rst"
cat >"$folder/check.py" <<'PYTHON'
import pathlib
import subprocess
import sys
from importlib.metadata import version

pages = pathlib.Path(__file__).with_name("pages")
built = subprocess.run(
    [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "text", ".", "text"], cwd=pages, capture_output=True, text=True
)
if built.returncode:
    sys.exit(f"not tried: the page was not built: {built.stderr[-500:]}")
lines = (pages / "text/index.txt").read_text().splitlines()
signatures = {line[8 : line.index("(")]: line for line in lines if line.startswith("example.")}
print("Sphinx", version("sphinx"))
print("expected: example.optional(x: example.Number | None = None) -> None")
print("          example.many(x: list[example.Number]) -> None")
print("seen:    ", signatures["optional"])
print("         ", signatures["many"])
print("alone:   ", signatures["alone"])
if "TypeAliasForwardRef" not in signatures["optional"] or "TypeAliasForwardRef" not in signatures["many"]:
    sys.exit("changed: an alias within another type is shown by its name")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
