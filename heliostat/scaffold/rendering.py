"""The template under other names: a whole repository, or one workload for a repository that is there; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from heliostat.engine.config import yamledit

EXAMPLE: Final = "tumours"
"""The workload of the template, and the word for it in each of its files."""
KINDS: Final[Mapping[str, str]] = {"binary": EXAMPLE}
"""The kinds of problem that the library can serve, each with the workload that shows it."""
DESCRIPTION: Final = "A machine-learning system as code, on Ray."
STACK: Final = "local"
CONFIG: Final = f"configs/Pulumi.{STACK}.yaml"
ENVIRONMENTS: Final = "configs/Pulumi.preview.yaml"
"""The template of branches' environments."""
SECTION: Final = "heliostat:workloads"

Files = Mapping[str, str]
"""Texts by their path below the repository."""


def repository(template: Files, name: str, description: str = DESCRIPTION) -> dict[str, str]:
    """A repository of one's own: the template, named as `pulumi new` would."""
    named = {_filled(path, name, description): _filled(text, name, description) for path, text in template.items()}
    return {**named, "Pulumi.yaml": yamledit.drop(named["Pulumi.yaml"], ("template",))}


def workload(template: Files, name: str, kind: str) -> dict[str, str]:
    """The files of a workload called `name`: those of the template that show its kind, under another name."""
    example, module = KINDS[kind], module_of(name)
    ours = {path: text for path, text in template.items() if _belongs(path, example)}
    return {_renamed(path, example, module): _renamed(text, example, module) for path, text in ours.items()}


def with_section(config: str, template: Files, name: str, kind: str, like: str = CONFIG) -> str:
    """A stack's config with the section of a new workload, as the template has it in the file `like`; every other byte stays.

    Raises:
        yamledit.EditError: it is written in a way that cannot be changed in place.
    """
    section: Any = yamledit.load(template[like])["config"][SECTION][KINDS[kind]]
    return yamledit.put(config, ("config", SECTION, name), section)


def module_of(name: str) -> str:
    """The folder of a workload: Python's names have no dashes."""
    return name.replace("-", "_")


def _belongs(path: str, example: str) -> bool:
    return path.startswith(f"workloads/{example}/") or path == f"tests/test_{example}.py"


def _filled(text: str, name: str, description: str) -> str:
    return text.replace("${PROJECT}", name).replace("${DESCRIPTION}", description)


def _renamed(text: str, example: str, module: str) -> str:
    """The same of another workload, in names and at the beginning of a title alike."""
    text = re.sub(rf"(?<![a-z]){example}(?![a-z])", module, text)
    return text.replace(example.capitalize(), module.replace("_", " ").capitalize())
