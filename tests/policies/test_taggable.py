"""The list of types that take tags, held to the SDKs that are installed."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from policies.tagging import PLACES

FIELDS = {"aws": "tags", "gcp": "labels|user_labels|resource_labels"}
MODULES = {"aws": ("s3", "eks", "rds", "ecr", "ec2", "iam"), "gcp": ("container", "storage", "sql", "artifactregistry")}


def folder_of(package: str) -> Path:
    found = importlib.util.find_spec(f"pulumi_{package}")
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"pulumi_{package} is not installed")
    return Path(found.submodule_search_locations[0])


def camel(name: str) -> str:
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name)


def taggable(package: str, folder: Path) -> dict[str, str]:
    """The types of a module of an SDK whose arguments have a field for tags, and its name."""
    found = {}
    for file in folder.glob("*.py"):
        text = file.read_text()
        token = re.search(r'@pulumi\.type_token\("([^"]+)"\)', text)
        arguments = re.search(r"^class \w+Args:\n.*?def __init__\(__self__,.*?\):", text, re.DOTALL | re.MULTILINE)
        field = re.search(rf"\b({FIELDS[package]}):", arguments[0]) if token and arguments else None
        if token and field:
            found[token[1]] = camel(field[1])
    return found


def listed(package: str, module: str) -> dict[str, str]:
    # What has its labels deeper than at the top is not found by its arguments alone.
    return {kind: path[0] for kind, path in PLACES.items() if kind.startswith(f"{package}:{module}/") and len(path) == 1}


@pytest.mark.parametrize(("package", "module"), [(one, module) for one, modules in MODULES.items() for module in modules])
def test_what_takes_tags_in_the_modules_of_a_platform_is_listed(package: str, module: str) -> None:
    assert listed(package, module) == taggable(package, folder_of(package) / module)


@pytest.mark.long
@pytest.mark.parametrize("package", FIELDS)
def test_what_takes_tags_anywhere_is_listed(package: str) -> None:
    for folder in sorted(path for path in folder_of(package).iterdir() if path.is_dir()):
        found = taggable(package, folder)
        modules = {kind.split(":")[1].split("/")[0] for kind in found}
        for module in modules:
            assert listed(package, module) == {k: v for k, v in found.items() if k.startswith(f"{package}:{module}/")}
