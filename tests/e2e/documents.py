"""The `heliostat` commands that stand in a document on lines of their own, in their order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
_LINE = re.compile(r"^(?:\$ | {4})?heliostat (.*?)(?: {2,}.*| \|.*)?$", re.MULTILINE)


def commands(document: str) -> list[list[str]]:
    """The words after `heliostat`, without a stack, each command once."""
    lines = _LINE.findall((DOCS / document).read_text())
    found = dict.fromkeys(re.sub(r" -s \w+", "", line) for line in lines)
    return [shlex.split(line) for line in found]
