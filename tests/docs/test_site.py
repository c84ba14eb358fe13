"""The documentation's site: it is built without a warning, and all that users write is in it."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from bs4 import BeautifulSoup, Tag
from pydantic import BaseModel
from sphinx.util.inventory import InventoryFile

from heliostat import resources
from heliostat.cli.commands import heliostat
from heliostat.cli.exits import Exit
from heliostat.resources.base import Resource
from heliostat.scaffold import template
from heliostat.spec.stack import Stack

ROOT = Path(__file__).parents[2]
BUILD_S = 840
"""A build takes a minute of processor, and beside the live stacks of a whole run ten times that by the clock."""
pytestmark = pytest.mark.timeout(BUILD_S + 60)


@dataclasses.dataclass(frozen=True)
class Site:
    """What was built, with the names that its inventory lists by their kind, and where they are described."""

    folder: Path
    names: dict[str, dict[str, str]]

    def place(self, address: str) -> Tag:
        """The part of a page that an address with an anchor names."""
        page, _, anchor = address.partition("#")
        return _anchors(self.folder / page)[anchor]

    def text(self, kind: str, name: str) -> str:
        """What is said below a name."""
        assert name in self.names[kind], f"{name} is not described"
        below = self.place(self.names[kind][name]).find_next("dd")
        assert below is not None
        return below.get_text().strip()

    def entry(self, kind: str, name: str) -> Tag:
        """A name with all that is said below it."""
        assert name in self.names[kind], f"{name} is not described"
        whole = self.place(self.names[kind][name]).find_parent("dl")
        assert whole is not None
        return whole


@cache
def _anchors(page: Path) -> dict[str, Tag]:
    """The parts of a page that have an anchor: looking for each in the whole page would take half a minute."""
    return {str(each["id"]): each for each in BeautifulSoup(page.read_text(), "html.parser").select("[id]")}


@dataclasses.dataclass(frozen=True)
class Build:
    """How the site's build ended, and where what it wrote is: it goes on after a warning."""

    folder: Path
    code: int
    told: str


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run([ROOT / "scripts" / "docs", folder], capture_output=True, text=True, timeout=BUILD_S)
    return Build(folder, done.returncode, done.stdout + done.stderr)


@pytest.fixture(scope="module")
def site(build: Build) -> Site:
    assert (build.folder / "objects.inv").is_file(), build.told
    inventory = InventoryFile.loads((build.folder / "objects.inv").read_bytes(), uri="")
    names = {kind: {name: item.uri for name, item in items.items()} for kind, items in inventory.data.items()}
    return Site(build.folder, names)


def test_the_site_is_built_without_a_warning(build: Build) -> None:
    assert build.code == 0, build.told


def models_of(root: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The model and all that its fields lead to, by name."""
    found: dict[str, type[BaseModel]] = {}
    waiting: list[Any] = [root]
    while waiting:
        kind = waiting.pop()
        waiting += get_args(kind)
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            assert found.get(kind.__name__, kind) is kind, f"two models are called {kind.__name__}: one of them has no section"
        if inspect.isclass(kind) and issubclass(kind, BaseModel) and kind.__name__ not in found:
            found[kind.__name__] = kind
            waiting += [field.annotation for field in kind.model_fields.values()]
    return found


CONFIG = models_of(Stack)


def test_the_models_of_the_config_are_found_through_unions_and_lists() -> None:
    assert {"Stack", "LocalPlatform", "S3Store", "Slice", "CanaryStep", "CustomCheck"} <= CONFIG.keys()


@pytest.mark.parametrize("model", CONFIG)
def test_every_key_of_the_config_is_there_with_its_type_and_default(site: Site, model: str) -> None:
    for name, field in CONFIG[model].model_fields.items():
        facts = site.text("std:confval", f"{model}.{field.alias or name}").partition("\n")[0]
        assert ("has to be given" if field.is_required() else "by default") in facts, name


@pytest.mark.parametrize(
    ("key", "facts"),
    [
        ("Canary.retentionSeconds", "Number, in seconds, at least 0, at most 604800; by default 30."),
        ("CanaryStep.weight", "Number, more than 0, at most 100, a multiple of 0.01; has to be given."),
        ("LocalRay.objectStoreMib", "Whole number, in MiB, at least 80, at most 65536; by default 200."),
        ("Canary.steps", "List, each CanaryStep, 1 or more of them, 50 or fewer of them; has to be given."),
        ("LocalPlatform.store", "One of DirectoryStore, S3Store, GcsStore; by default kind: directory, with its defaults."),
        ("Workload.model", "Text, matches ^models:/[a-z0-9-]+/[1-9][0-9]*$; by default unset."),
    ],
)
def test_limits_and_units_stand_beside_the_keys(site: Site, key: str, facts: str) -> None:
    assert site.text("std:confval", key).partition("\n")[0] == facts


@pytest.mark.parametrize("name", resources.__all__)
def test_every_resource_is_there_with_its_arguments(site: Site, name: str) -> None:
    kind = getattr(resources, name)
    full = f"{resources.__name__}.{name}"
    entry = site.entry("py:class", full)
    if dataclasses.is_dataclass(kind):
        documented = {each for each in site.names["py:attribute"] if each.startswith(f"{full}.")}
        assert {f"{full}.{field.name}" for field in dataclasses.fields(kind)} == documented
    else:
        assert {each.get_text() for each in entry.select("dd strong")} >= set(inspect.signature(kind).parameters)


@pytest.mark.parametrize("name", [each for each in resources.__all__ if issubclass(getattr(resources, each), Resource)])
def test_every_output_of_a_resource_is_there(site: Site, name: str) -> None:
    full = f"{resources.__name__}.{name}"
    listed = {each.get_text() for each in site.entry("py:class", full).select("li code")}
    properties = {each.removeprefix(f"{full}.") for each in site.names["py:property"]}
    assert set(getattr(resources, name).outputs) - listed - properties == set()


def commands(command: click.Command, path: str = "heliostat") -> Iterator[tuple[str, click.Command]]:
    """Every command below one, by how it is called."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, f"{path} {name}")


COMMANDS = dict(commands(heliostat))


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_is_there_with_its_flags_and_what_they_do(site: Site, path: str) -> None:
    assert (COMMANDS[path].help or "").strip(), f"{path} does not say what it does"
    assert site.place(f"docs/reference/commands.html#{path.replace(' ', '-')}")
    for option in COMMANDS[path].params:
        if isinstance(option, click.Option) and not option.hidden:
            assert option.help, f"{path} {option.opts[0]} does not say what it does"
            for flag in option.opts:
                entry = site.entry("std:cmdoption", f"{path.replace(' ', '-')}.{flag}")
                assert entry.find("pre") is None, f"{path} {flag} is described in what looks like code"


def test_every_exit_code_is_there_and_says_what_it_means(site: Site) -> None:
    for code in Exit:
        name = f"heliostat.cli.exits.Exit.{code.name}"
        assert site.text("py:attribute", name)
        assert f"= {code.value}" in site.place(site.names["py:attribute"][name]).get_text()


def _promised(package: str) -> set[str]:
    """Whatever a package's modules have in their `__all__`, by its full name."""
    loaded = importlib.import_module(package)
    below = {f"{package}.{name}" for name in loaded.__all__}
    return {name for each in below for name in _promised(each)} if hasattr(loaded, "__path__") else below


def test_all_that_workloads_are_promised_is_there(site: Site) -> None:
    promised = _promised("heliostat.ml")
    assert "heliostat.ml.contracts.Contract" in promised
    assert promised - {name for kind, names in site.names.items() if kind.startswith("py:") for name in names} == set()


def test_all_that_tests_are_promised_is_there(site: Site) -> None:
    described = {name for kind, names in site.names.items() if kind.startswith("py:") for name in names}
    for package in ("heliostat.testing", "heliostat.testing.conformance"):
        promised = {f"{package}.{name}" for name in importlib.import_module(package).__all__}
        assert promised - described == set()


def test_all_that_a_workload_imports_of_the_library_is_there(site: Site) -> None:
    imported = set()
    for path in [*(ROOT / "workloads").rglob("*.py"), *(template.FOLDER / "workloads").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and re.match(r"heliostat\.(ml|resources)\b", node.module or ""):
                imported |= {f"{node.module}.{each.name}" for each in node.names}
    assert "heliostat.ml.training.Context" in imported
    known = {name for kind, names in site.names.items() if kind.startswith("py:") for name in names}
    exported = {f"{getattr(resources, name).__module__}.{name}" for name in resources.__all__}
    assert imported - known - exported == set()


def test_the_first_page_leads_to_the_readme(site: Site) -> None:
    assert 'url=README.html"' in (site.folder / "index.html").read_text()
    assert (site.folder / "README.html").is_file()
