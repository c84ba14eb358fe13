"""The README's steps as a reader takes them: its numbered items, and the edits, commands and settings that stand in them."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
_STEPS = "## Change the model and watch blue-green"
_EDIT = re.compile(r"`(\w+)(: \.\.\.)? = ([\d.]+)`(?: in `([^`]+)`)?")


def step(number: int) -> str:
    """The text of a numbered step."""
    section = (ROOT / "README.md").read_text().split(_STEPS)[1].split("\n## ")[0]
    return re.split(r"^(?=\d+\. )", section, flags=re.MULTILINE)[number]


def blocks(text: str) -> list[str]:
    """The indented blocks of a step, each without its indentation."""
    found = re.findall(r"(?:^ {7}.*\n)+", text, re.MULTILINE)
    return [textwrap.dedent(block) for block in found]


def commands(text: str) -> list[list[str]]:
    """The `heliostat` commands of a step, in their order, without the program's name."""
    lines = "".join(blocks(text)).splitlines()
    return [line.split()[1:] for line in lines if line.split()[:1] == [".venv/bin/heliostat"]]


def settings(text: str) -> dict[str, Any]:
    """The YAML of a step, which stands below `serving`."""
    (block,) = [block for block in blocks(text) if "kind:" in block]
    loaded: dict[str, Any] = YAML(typ="safe").load(block)
    return loaded


def edits(text: str) -> list[tuple[str, str]]:
    """What a step sets where, in its order: `NAME = VALUE`, or `NAME: ... = VALUE` for a parameter's default."""
    return [(name, value) for name, _, value, _ in _EDIT.findall(text)]


def edit(folder: Path, file: str, name: str, value: str) -> None:
    """Set `name` to `value` where a file of the checkout assigns it, once, as a reader would."""
    path = folder / file
    text, count = re.subn(rf"^( *{name}\b.*= )[\d.]+$", rf"\g<1>{value}", path.read_text(), flags=re.MULTILINE)
    assert count == 1, f"{file} has {count} lines that set {name}"
    path.write_text(text)
