"""The files that describe a model in its folder, and a workload's contract in the workload's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from heliostat.spec.logged_models import LoggedModel, LoggedModelError, parsed
from heliostat.spec.model_contracts import FILE, ModelContract, ModelContractError, contract_of

MODEL_FILE: Final = "MLmodel"
REQUIREMENTS_FILE: Final = "requirements.txt"


def model_in(folder: Path, name: str) -> LoggedModel:
    """The model that a folder holds, called `name` in messages.

    Raises:
        LoggedModelError: there is none, or its description cannot be read.
    """
    try:
        described = (folder / MODEL_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LoggedModelError(f"{name} holds no {MODEL_FILE}: name the folder that MLflow logged a model into") from None
    requirements = folder / REQUIREMENTS_FILE
    return parsed_texts(name, described, requirements.read_text(encoding="utf-8") if requirements.is_file() else "")


def parsed_texts(name: str, described: str, requirements: str) -> LoggedModel:
    """The model whose `MLmodel` and `requirements.txt` these are.

    Raises:
        LoggedModelError: the first is no YAML, or describes no model.
    """
    found = read_yaml(described, f"the {MODEL_FILE} of {name}", LoggedModelError)
    return parsed(name, found if isinstance(found, dict) else {}, requirements)


def contract_in(root: Path, folder: str) -> ModelContract:
    """The contract in a workload's folder below `root`/workloads; mistakes are told with their lines.

    Raises:
        ModelContractError: there is none, or it has mistakes or open questions.
    """
    file = f"workloads/{folder}/{FILE}"
    try:
        text = (root / file).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ModelContractError(f"there is no {file}: `heliostat contract {folder.replace('_', '-')}` writes it") from None
    return contract_of(read_yaml(text, file, ModelContractError), file, lambda path: _line(text, path))


def _line(text: str, path: tuple[str | int, ...]) -> tuple[int, int] | None:
    """Line and column of what stands at a path, or of what it would stand in."""
    here: Any = YAML().load(text)
    place: tuple[int, int] | None = None
    for part in path:
        try:
            marks = here.lc  # of ruamel's own mappings and lists
            line, column = marks.item(part) if isinstance(part, int) else marks.value(part)
            here = here[part]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
        place = (line + 1, column + 1)
    return place


def on_path(folder: str) -> Path | None:
    """The first folder of Python's path that has the contract of a workload."""
    return next((Path(place) for place in sys.path if Path(place, "workloads", folder, FILE).is_file()), None)


def read_yaml(text: str, what: str, error: type[ValueError]) -> Any:
    """What YAML holds.

    Raises:
        ValueError: of the class `error`: it is none.
    """
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as found:
        raise error(f"{what} is no YAML: {found}") from None
