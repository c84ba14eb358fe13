#!/usr/bin/env bash
# pydantic 2.14.3: Base64Bytes takes texts that are no base64. Characters outside of the alphabet are left out, and what stands behind
# the padding is dropped: two encoded parts joined together are the first alone. Its JSON Schema says `format: base64`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile "pydantic==2.14.3" ||
  { echo "not tried: the packages were not installed"; exit 2; }
cat >"$folder/check.py" <<'PYTHON'
import base64
import sys
from importlib.metadata import version

from pydantic import Base64Bytes, TypeAdapter, ValidationError

TEXTS = {"encoded": "YWJj", "no base64": "*!?", "a character lost on the way": "YW*Jj", "two parts joined": "YQ==Yg=="}


def taken(text):
    """What a field holds for a text; None where it is refused."""
    try:
        return TypeAdapter(Base64Bytes).validate_python(text)
    except ValidationError:
        return None


def strictly(text):
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None


seen = {name: taken(text) for name, text in TEXTS.items()}
print("pydantic", version("pydantic"))
for name, text in TEXTS.items():
    print(f"{name}, {text}: expected {strictly(text)} (base64 with validate=True; None: refused), seen {seen[name]}")
if list(seen.values()) != [b"abc", b"", b"abc", b"a"]:
    sys.exit("changed: texts that are no base64 are no longer taken for bytes")
PYTHON
"$folder/venv/bin/python" "$folder/check.py"
