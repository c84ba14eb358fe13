"""The `heliostat` commands that stand in documents on lines of their own, in their order."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
_LINE = re.compile(r"^(?: {4,}|\$ )?(?:\.venv/bin/)?heliostat (.*?)(?:  .*| *[#|&].*)?$", re.MULTILINE)


def lines(text: str) -> list[str]:
    """The words after `heliostat`, of each line that is a command, without what is said or done beside it."""
    return _LINE.findall(text)


def commands(document: str) -> list[list[str]]:
    """The words after `heliostat` in a page of docs/, without a stack, each command once."""
    found = dict.fromkeys(re.sub(r" -s \w+", "", line) for line in lines((DOCS / document).read_text()))
    return [shlex.split(line) for line in found]
