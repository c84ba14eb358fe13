"""What a tree of the repository declares of its workloads, as digests: one process reads several trees, one after another.

Started by its module's name, for a workload's code is loaded nowhere else: `python -m heliostat.gitops.declared TREE...`, with
the names of further entry points, those of stacks' configs, on stdin. Writes JSON: for each tree what `DeclaredTree` holds.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Final

from heliostat.layout import CONTRACT, SourcesError, has_code, sources, workload_names
from heliostat.resources.workload_modules import parameters_of, workload_module
from heliostat.spec.base import Model
from heliostat.spec.code import WORKLOADS, CodeError, code_digest, code_of
from heliostat.spec.data_sets import SCHEMA_FILE
from heliostat.spec.problem import Problem
from heliostat.spec.proto import PROTO_FILE

PARTS: Final = ("dataset", "training", "model", "application")
"""Of a workload, in the order in which one comes of the other."""


class DeclaredWorkload(Model):
    """The digest of what each part of a workload is made of; or, of one that cannot be read, why not."""

    parts: dict[str, str] = {}
    files: tuple[str, ...] = ()
    """What its parts are read from, below the tree."""
    mistake: str = ""


class DeclaredTree(Model):
    """All workloads of a tree, and the entry points that stacks name."""

    workloads: dict[str, DeclaredWorkload]
    entry_points: dict[str, str] = {}
    """The digest of each; empty of one that is not there."""


def read(root: Path, entry_points: Iterable[str]) -> DeclaredTree:
    """What the tree at `root` declares, whatever is loaded of another tree; nothing of it is left in this process."""
    with _only_of(root):
        return _read(root, entry_points)


def _read(root: Path, entry_points: Iterable[str]) -> DeclaredTree:
    try:
        packages = sources(root)
        found = {name: _workload(root, name, packages) for name in workload_names(root / WORKLOADS)}
        return DeclaredTree(workloads=found, entry_points={each: _digest_of(root, each, packages) for each in entry_points})
    except SourcesError as error:
        names = workload_names(root / WORKLOADS)
        return DeclaredTree(workloads={name: DeclaredWorkload(mistake=str(error)) for name in names})


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


def _workload(root: Path, name: str, packages: Sequence[str]) -> DeclaredWorkload:
    """A mistake in one workload is no reason to know nothing of the others; whoever previews the stack is told all of it."""
    try:
        if not has_code(root / WORKLOADS, name):
            files = (f"{WORKLOADS}/{_folder(name)}/{CONTRACT}",)
            return DeclaredWorkload(parts={"application": code_digest(root, files)}, files=files)
        files_read: set[str] = set()
        parts = dict(_parts(root, name, packages, files_read))
        return DeclaredWorkload(parts=parts, files=tuple(sorted(files_read)))
    except Exception as error:  # whatever their code raises
        return DeclaredWorkload(mistake=f"{type(error).__name__}: {error}")


def _parts(root: Path, name: str, packages: Sequence[str], files_read: set[str]) -> Iterator[tuple[str, str]]:
    """The digest of each part; the files that it is made of go into `files_read`."""
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
    expected = _expected(root.joinpath(*points["dataset"].partition(":")[0].split(".")).with_name(SCHEMA_FILE))
    made = code(points["dataset"], *further)
    yield "dataset", hash_of(points["dataset"], made, data.values() if data else {}, task, rows, expected)
    yield "training", hash_of(points["train"], code(points["train"]), parameters.values() if parameters else {}, task)
    metrics = [metric.model_dump(mode="json", exclude={"code_digest"}) for metric in problem.metrics]
    yield "model", hash_of(task, metrics, [code(metric.function) for metric in problem.metrics])
    proto = root.joinpath(*points["contract"].partition(":")[0].split(".")).with_name(PROTO_FILE)
    if proto.is_file():
        files_read.add(proto.relative_to(root).as_posix())
    yield "application", hash_of(points["contract"], code(points["contract"]), proto.read_text() if proto.is_file() else "")


def _expected(file: Path) -> str:
    """What is expected of the data, however it is written."""
    from heliostat.data.schema import SchemaError, load

    try:
        return load(file).digest if file.is_file() else ""
    except SchemaError as error:
        return str(error)


def _digest_of(root: Path, entry_point: str, packages: Sequence[str]) -> str:
    try:
        return code_of(root, entry_point, sources=packages).digest
    except CodeError:
        return ""


def _folder(name: str) -> str:
    return name.replace("-", "_")


def hash_of(*values: Any) -> str:
    """What tells values of JSON apart."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    with redirect_stdout(sys.stderr):  # what a workload's module prints is no JSON
        told = {each: read(Path(each), asked).model_dump(mode="json", by_alias=True) for each in sys.argv[1:]}
    json.dump(told, sys.stdout)
