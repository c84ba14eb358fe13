"""What a tree of the repository declares of its workloads, as digests: one process reads several trees, one after another.

Started by its module's name, for a workload's code is loaded nowhere else: `python -m heliostat.gitops.declared TREE...`, with
what `Asked` holds on stdin. Writes a list in JSON: for each tree what `DeclaredTree` holds.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stdout
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from heliostat.gitops.declarations import PARTS, Asked, DeclaredTree, DeclaredWorkload, hash_of
from heliostat.layout import CONTRACT, SourcesError, has_code, sources, workload_names
from heliostat.resources.workload_modules import parameters_of, workload_module
from heliostat.spec.code import WORKLOADS, CodeError, SourceTree, meaning_of
from heliostat.spec.data_sets import SCHEMA_FILE
from heliostat.spec.problem import Problem
from heliostat.spec.proto import PROTO_FILE

_FEWEST: Final = 16
"""Workloads for which a process of their own is worth its start."""


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
        tree = _Tree(SourceTree(root, (WORKLOADS, *packages)), [SourceTree(other, ()) for other in beside])
        found = {name: _workload(tree, name) for name in names}
        points = {each: _digest_of(tree, each) for each in asked.entry_points}
        return DeclaredTree(workloads=found, entry_points=points)
    except SourcesError as error:
        return DeclaredTree(workloads={name: DeclaredWorkload(mistake=str(error)) for name in names})


class _Tree:
    """A tree, and what tells its files from those of the others."""

    def __init__(self, sources: SourceTree, beside: Sequence[SourceTree]) -> None:
        self.sources, self._beside = sources, beside
        self.root = sources.root
        self._told: dict[str, str] = {}

    def digest(self, files: Iterable[str]) -> str:
        """What tells some files from those of the other trees."""
        return hash_of([(file, self._of(file)) for file in sorted(files)])

    def texts_beside(self, file: str) -> list[bytes | None]:
        """A file as the others have it; None where one has none."""
        return [_content(other, file) for other in self._beside]

    def _of(self, file: str) -> str:
        """What means something in a file is looked for where the others write it otherwise: that takes a while."""
        if file not in self._told:
            content = self.sources.content(file)
            others = self.texts_beside(file)
            alike = others and all(each == content for each in others)
            self._told[file] = hashlib.sha256(content if alike else meaning_of(content, file)).hexdigest()
        return self._told[file]


def _content(tree: SourceTree, file: str) -> bytes | None:
    try:
        return tree.content(file)
    except OSError:
        return None


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
            return DeclaredWorkload(parts={"application": tree.digest(files)}, files=files)
        files_read: set[str] = set()
        parts = dict(_parts(tree, name, files_read))
        return DeclaredWorkload(parts=parts, files=tuple(sorted(files_read)))
    except Exception as error:  # whatever their code raises
        return DeclaredWorkload(mistake=f"{type(error).__name__}: {error}")


def _parts(tree: _Tree, name: str, files_read: set[str]) -> Iterator[tuple[str, str]]:
    """The digest of each part; the files that it is made of go into `files_read`."""
    root = tree.root
    own = f"{WORKLOADS}.{_folder(name)}.workload"
    reached = tree.sources.files_of(own)
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
        yield from dict.fromkeys(PARTS, tree.digest({*files, *reached})).items()
        return
    problem = getattr(declare, "problem", None) or Problem()
    parameters, data = parameters_of(name), getattr(declare, "data_parameters", None)

    def code(*entry_points: str) -> str:
        found = tree.sources.files_of(*entry_points)
        files_read.update(found)
        return tree.digest(found)

    task = problem.task_identity
    ingestion = getattr(declare, "ingestion", None)
    further = [ingestion.augment] if ingestion is not None and ingestion.augment else []
    rows = ingestion.model_dump(mode="json") if ingestion is not None else None
    schema = Path(*points["dataset"].partition(":")[0].split(".")).with_name(SCHEMA_FILE)
    expected = _expected(tree, schema.as_posix())
    made = code(points["dataset"], *further)
    yield "dataset", hash_of(points["dataset"], made, data.values() if data else {}, task, rows, expected)
    yield "training", hash_of(points["train"], code(points["train"]), parameters.values() if parameters else {}, task)
    metrics = [metric.model_dump(mode="json", exclude={"code_digest"}) for metric in problem.metrics]
    yield "model", hash_of(task, metrics, [code(metric.function) for metric in problem.metrics])
    proto = root.joinpath(*points["contract"].partition(":")[0].split(".")).with_name(PROTO_FILE)
    if proto.is_file():
        files_read.add(proto.relative_to(root).as_posix())
    yield "application", hash_of(points["contract"], code(points["contract"]), proto.read_text() if proto.is_file() else "")


def _expected(tree: _Tree, file: str) -> str:
    """What is expected of the data, however it is written. What all trees write alike is not read as YAML: that, and loading
    what it is checked with, takes longer than all else of a workload."""
    text, others = _content(tree.sources, file), tree.texts_beside(file)
    if text is None:
        return ""
    if others and all(other == text for other in others):
        return hashlib.sha256(text).hexdigest()
    from heliostat.data.schema import SchemaError, load

    try:
        return load(tree.root / file).digest
    except SchemaError as error:
        return str(error)


def _digest_of(tree: _Tree, entry_point: str) -> str:
    try:
        return tree.digest(tree.sources.files_of(entry_point))
    except CodeError:
        return ""


def _folder(name: str) -> str:
    return name.replace("-", "_")


def read_all(trees: Sequence[Path], asked: Asked, processes: int = 1) -> list[DeclaredTree]:
    """What each of some trees declares, read by so many processes: each takes its share of the workloads, in all of them."""
    names = asked.workloads
    if names is None:
        names = tuple(sorted({name for tree in trees for name in workload_names(tree / WORKLOADS)}))
    processes = max(1, min(processes, len(names) // _FEWEST))
    shares = [Asked(workloads=names[number::processes]) for number in range(processes)]
    shares[0] = Asked(workloads=shares[0].workloads, entry_points=asked.entry_points)
    if processes == 1:
        return _read_share(trees, shares[0])
    try:
        # Forked: what it takes to read them is loaded.
        with ProcessPoolExecutor(processes, get_context("fork")) as pool:
            parts = [*pool.map(_read_share, [trees] * processes, shares)]
    except OSError:  # no semaphores here, as without /dev/shm, or no more processes
        return _read_share(trees, Asked(workloads=names, entry_points=asked.entry_points))
    return [_merged(each) for each in zip(*parts, strict=True)]


def _read_share(trees: Sequence[Path], asked: Asked) -> list[DeclaredTree]:
    return [read(each, asked, [other for other in trees if other != each]) for each in trees]


def _merged(parts: Iterable[DeclaredTree]) -> DeclaredTree:
    workloads: dict[str, DeclaredWorkload] = {}
    points: dict[str, str] = {}
    for part in parts:
        workloads |= part.workloads
        points |= part.entry_points
    return DeclaredTree(workloads=workloads, entry_points=points)


if __name__ == "__main__":
    asked = Asked.model_validate_json(sys.stdin.read())
    with redirect_stdout(sys.stderr):  # what a workload's module prints is no JSON
        found = read_all([Path(each) for each in sys.argv[1:]], asked, len(os.sched_getaffinity(0)))
    json.dump([each.model_dump(mode="json", by_alias=True) for each in found], sys.stdout)
