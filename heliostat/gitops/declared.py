"""What a tree of the repository declares of its workloads, as digests: one process reads several trees, one after another.

Started by its module's name, for a workload's code is loaded nowhere else: `python -m heliostat.gitops.declared TREE...`, with
what `Asked` holds on stdin. Writes a list in JSON: for each tree what `DeclaredTree` holds.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliostat.gitops.declarations import PARTS, Asked, DeclaredTree, DeclaredWorkload, hash_of
from heliostat.layout import CONTRACT, SourcesError, has_code, sources, workload_names
from heliostat.resources.workload_modules import parameters_of, workload_module
from heliostat.spec.code import WORKLOADS, CodeError, code_digest, code_of
from heliostat.spec.data_sets import SCHEMA_FILE
from heliostat.spec.problem import Problem
from heliostat.spec.proto import PROTO_FILE


def read(root: Path, asked: Asked, beside: Sequence[Path] = ()) -> DeclaredTree:
    """What the tree at `root` declares, whatever is loaded of another tree; nothing of it is left in this process.

    Its digests tell it from the trees `beside` it, and from no others.
    """
    with _only_of(root):
        return _read(root, asked, beside)


def _read(root: Path, asked: Asked, beside: Sequence[Path]) -> DeclaredTree:
    names = [name for name in workload_names(root / WORKLOADS) if asked.workloads is None or name in asked.workloads]
    try:
        packages = sources(root)
        tree = _Tree(root, packages, beside)
        found = {name: _workload(tree, name) for name in names}
        points = {each: _digest_of(root, each, packages) for each in asked.entry_points}
        return DeclaredTree(workloads=found, entry_points=points)
    except SourcesError as error:
        return DeclaredTree(workloads={name: DeclaredWorkload(mistake=str(error)) for name in names})


@dataclass(frozen=True)
class _Tree:
    root: Path
    packages: Sequence[str]
    beside: Sequence[Path]


@contextmanager
def _only_of(root: Path) -> Iterator[None]:
    """Import from the tree at `root`: what this process has loaded of another tree's workloads is put aside meanwhile."""
    aside = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == WORKLOADS}
    for name in aside:
        del sys.modules[name]
    importlib.invalidate_caches()
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))
        for name in [name for name, module in sys.modules.items() if _is_below(module, root)]:
            del sys.modules[name]
        sys.modules.update(aside)


def _is_below(module: Any, root: Path) -> bool:
    file = getattr(module, "__file__", None)
    places = [file] if file else list(getattr(module, "__path__", ()))
    return any(str(place).startswith(f"{root}/") for place in places)


def _workload(tree: _Tree, name: str) -> DeclaredWorkload:
    """A mistake in one workload is no reason to know nothing of the others; whoever previews the stack is told all of it."""
    try:
        if not has_code(tree.root / WORKLOADS, name):
            files = (f"{WORKLOADS}/{_folder(name)}/{CONTRACT}",)
            return DeclaredWorkload(parts={"application": code_digest(tree.root, files)}, files=files)
        files_read: set[str] = set()
        parts = dict(_parts(tree, name, files_read))
        return DeclaredWorkload(parts=parts, files=tuple(sorted(files_read)))
    except Exception as error:  # whatever their code raises
        return DeclaredWorkload(mistake=f"{type(error).__name__}: {error}")


def _parts(tree: _Tree, name: str, files_read: set[str]) -> Iterator[tuple[str, str]]:
    """The digest of each part; the files that it is made of go into `files_read`."""
    root, packages = tree.root, tree.packages
    own = f"{WORKLOADS}.{_folder(name)}.workload"
    reached = code_of(root, own, sources=packages).files
    files_read.update(reached)
    declare = getattr(workload_module(name), "declare", None)
    points: Mapping[str, str] | None = getattr(declare, "entry_points", None)
    if points is None:  # declared by hand: what it will ask for is known when it runs
        folder = root / WORKLOADS / _folder(name)
        files = {
            path.relative_to(root).as_posix()
            for path in folder.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        files_read.update(files)
        yield from dict.fromkeys(PARTS, code_digest(root, sorted({*files, *reached}))).items()
        return
    problem = getattr(declare, "problem", None) or Problem()
    parameters, data = parameters_of(name), getattr(declare, "data_parameters", None)

    def code(*entry_points: str) -> str:
        found = code_of(root, *entry_points, sources=packages)
        files_read.update(found.files)
        return found.digest

    task = problem.task_identity
    ingestion = getattr(declare, "ingestion", None)
    further = [ingestion.augment] if ingestion is not None and ingestion.augment else []
    rows = ingestion.model_dump(mode="json") if ingestion is not None else None
    schema = Path(*points["dataset"].partition(":")[0].split(".")).with_name(SCHEMA_FILE)
    expected = _expected(root / schema, [other / schema for other in tree.beside])
    made = code(points["dataset"], *further)
    yield "dataset", hash_of(points["dataset"], made, data.values() if data else {}, task, rows, expected)
    yield "training", hash_of(points["train"], code(points["train"]), parameters.values() if parameters else {}, task)
    metrics = [metric.model_dump(mode="json", exclude={"code_digest"}) for metric in problem.metrics]
    yield "model", hash_of(task, metrics, [code(metric.function) for metric in problem.metrics])
    proto = root.joinpath(*points["contract"].partition(":")[0].split(".")).with_name(PROTO_FILE)
    if proto.is_file():
        files_read.add(proto.relative_to(root).as_posix())
    yield "application", hash_of(points["contract"], code(points["contract"]), proto.read_text() if proto.is_file() else "")


def _expected(file: Path, others: Sequence[Path]) -> str:
    """What is expected of the data, however it is written. What all trees write alike is not read as YAML: that, and loading
    what it is checked with, takes longer than all else of a workload."""
    if not file.is_file():
        return ""
    text = file.read_bytes()
    if others and all(other.is_file() and other.read_bytes() == text for other in others):
        return hashlib.sha256(text).hexdigest()
    from heliostat.data.schema import SchemaError, load

    try:
        return load(file).digest
    except SchemaError as error:
        return str(error)


def _digest_of(root: Path, entry_point: str, packages: Sequence[str]) -> str:
    try:
        return code_of(root, entry_point, sources=packages).digest
    except CodeError:
        return ""


def _folder(name: str) -> str:
    return name.replace("-", "_")


if __name__ == "__main__":
    asked = Asked.model_validate_json(sys.stdin.read())
    trees = [Path(each) for each in sys.argv[1:]]
    with redirect_stdout(sys.stderr):  # what a workload's module prints is no JSON
        found = [read(each, asked, [other for other in trees if other != each]) for each in trees]
    json.dump([each.model_dump(mode="json", by_alias=True) for each in found], sys.stdout)
