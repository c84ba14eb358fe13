"""What is thought to be unchanged, so that its code is not loaded, declares the same in both trees."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from repository_of import FILES, Repository

from heliostat.engine.config import project as projects
from heliostat.gitops import trees
from heliostat.gitops.declarations import Asked, DeclaredTree
from heliostat.gitops.declared import read
from heliostat.gitops.trees import affected_since
from heliostat.gitops.unchanged import ALL, Differing, differing

SHARED = "workloads/shared.py"
CHANGES: dict[str, tuple[Callable[[Repository], Any], frozenset[str] | None]] = {
    "nothing": (lambda _: None, frozenset()),
    "a document": (lambda it: it.write("README.md", "Another text.\n"), frozenset()),
    "a config": (lambda it: it.replace("configs/Pulumi.prod.yaml", "replicas: 2", "replicas: 3"), frozenset()),
    "a comment": (lambda it: it.replace("workloads/bees/train.py", "return", "# As ever.\n    return"), frozenset({"bees"})),
    "a training": (lambda it: it.replace("workloads/bees/train.py", "FEATURES\n\n", "FEATURES as X\n\n"), frozenset({"bees"})),
    "a default": (lambda it: it.replace("workloads/wasps/parameters.py", "10", "20"), frozenset({"wasps"})),
    "a schema": (lambda it: it.write("workloads/bees/schema.yaml", "columns: {a: {type: int64}}\n"), frozenset({"bees"})),
    "what all share": (lambda it: it.replace(SHARED, "3", "4"), None),
    "a check of a stack's": (lambda it: it.replace("workloads/checks.py", "True", "False"), None),
    "code at the top": (lambda it: it.write("heliostat.toml", 'sources = ["lib"]\n') or it.write("lib.py", ""), None),
    "sources that are none": (lambda it: it.write("heliostat.toml", 'sources = ["nowhere"]\n'), None),
    "a workload that is gone": (lambda it: shutil.rmtree(it.root / "workloads/bees"), frozenset({"bees"})),
    "a workload of others": (lambda it: it.write("workloads/ants/contract.yaml", "model: 1\n"), frozenset({"ants"})),
    "what cannot be read": (lambda it: it.replace("workloads/bees/workload.py", "Training()", "("), frozenset({"bees"})),
    "a file of data": (lambda it: it.write("workloads/bees/data/limits.bin", "1"), frozenset({"bees"})),
}


def both(repository: Repository, tmp_path: Path) -> tuple[Path, Path]:
    """The tree as it was, and the one that is there now; nothing that Python wrote beside the code."""
    return tmp_path / "before", repository.root


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return started(tmp_path)


def started(tmp_path: Path, **files: str) -> Repository:
    Repository(tmp_path / "before", {**FILES, **files})
    return Repository(tmp_path / "repository", {**FILES, **files})


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_is_declared_differently_may_differ(repository: Repository, tmp_path: Path, change: str):
    make, expected = CHANGES[change]
    make(repository)
    found = differing(*both(repository, tmp_path))
    assert found == Differing(expected)
    points = ["workloads.checks:fair", "workloads.bees.train:train"]
    was, now = (read(tree, Asked(entry_points=points)) for tree in both(repository, tmp_path))
    names = {*was.workloads, *now.workloads}
    differ = {name for name in names if was.workloads.get(name) != now.workloads.get(name)}
    assert found.workloads is None or differ <= found.workloads
    read_again = found.asked(points).entry_points
    assert all(each in read_again for each in points if was.entry_points.get(each) != now.entry_points.get(each))


def test_a_workload_may_differ_that_names_one_that_may_however_far_away(tmp_path: Path):
    far = {"workloads/wasps/features.py": "from workloads.bees.features import FEATURES\n"}
    farther = {
        name.replace("bees", "hornets"): text.replace("workloads.bees", "workloads.hornets")
        for name, text in FILES.items()
        if name.startswith("workloads/bees/")
    }
    farther["workloads/hornets/features.py"] = "from ..wasps.features import FEATURES\n"
    repository = started(tmp_path, **far, **farther)
    repository.replace("workloads/bees/features.py", "LIMIT\n\n", "LIMIT as X\n\n")
    assert differing(*both(repository, tmp_path)) == Differing(frozenset({"bees", "wasps", "hornets"}))
    repository.replace("workloads/bees/features.py", "LIMIT as X\n\n", "LIMIT\n\n")
    repository.replace("workloads/hornets/train.py", "return", "return 2 *")
    assert differing(*both(repository, tmp_path)) == Differing(frozenset({"hornets"})), "nobody names it"


def test_where_shared_code_names_what_differs_or_computes_names_anything_may_differ(tmp_path: Path):
    repository = started(tmp_path, **{SHARED: "from workloads.bees.parameters import Training\n\nLIMIT = Training().rounds\n"})
    repository.replace("workloads/wasps/train.py", "return", "return 2 *")
    assert differing(*both(repository, tmp_path)) == Differing(frozenset({"wasps"}))
    repository.replace("workloads/bees/parameters.py", "10", "20")
    assert differing(*both(repository, tmp_path)) == ALL
    computed = started(tmp_path / "computed", **{SHARED: "import pathlib\n\nLIMIT = len([*pathlib.Path().glob('*')])\n"})
    assert differing(*both(computed, tmp_path / "computed")) == ALL


def test_a_workload_that_computes_names_or_has_a_link_is_looked_at_each_time(repository: Repository, tmp_path: Path):
    for tree in both(repository, tmp_path):
        (tree / "workloads/bees/more.py").write_text("import importlib\n\nimportlib.import_module('workloads.' + 'wasps')\n")
        (tree / "workloads/wasps/limits").symlink_to("/nowhere")
    assert differing(*both(repository, tmp_path)) == Differing(frozenset({"bees", "wasps"}))


def test_what_python_writes_beside_the_code_is_no_difference(repository: Repository, tmp_path: Path):
    repository.write("workloads/bees/__pycache__/train.cpython-311.pyc", "code")
    assert differing(*both(repository, tmp_path)) == Differing(frozenset())


def test_the_same_is_affected_as_where_all_code_is_loaded(repository: Repository, monkeypatch: pytest.MonkeyPatch):
    """And what is asked to be loaded is no more than what may differ."""
    loaded: list[Asked] = []

    @contextmanager
    def reader(folders: list[Path]) -> Iterator[Callable[[Asked], list[DeclaredTree]]]:
        def declared(asked: Asked) -> list[DeclaredTree]:
            loaded.append(asked)
            return [read(each, asked, [other for other in folders if other != each]) for each in folders]

        yield declared

    monkeypatch.setattr(trees, "_reader", reader)
    project = projects.load(repository.root / "Pulumi.yaml")
    for name, (make, expected) in CHANGES.items():
        if name in ("sources that are none", "code at the top"):
            continue  # no config of a project
        make(repository)
        loaded.clear()
        few = affected_since(project, os.environ, "main")
        read_of = None if expected is None else tuple(sorted(expected))
        assert [each.workloads for each in loaded] == ([] if expected == frozenset() else [read_of]), name
        with monkeypatch.context() as whole:
            whole.setattr(trees, "differing", lambda *_: ALL)
            assert affected_since(project, os.environ, "main") == few, name
        repository.git("clean", "-qfd")
        repository.git("checkout", "-q", ".")


def test_nothing_is_started_where_no_code_differs(repository: Repository, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trees, "_reader", None)
    repository.replace("configs/Pulumi.prod.yaml", "replicas: 2", "replicas: 3")
    found = affected_since(projects.load(repository.root / "Pulumi.yaml"), os.environ, "main")
    assert [(each.stack, dict(each.workloads)) for each in found] == [("prod", {"bees": ("config: serving.replicas",)})]
