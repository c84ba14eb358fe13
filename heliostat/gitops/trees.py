"""The two sides of a change: the checkout, and a commit that is unpacked beside it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from heliostat.engine.config import project as projects
from heliostat.engine.config.project import Project
from heliostat.engine.stackerrors import NotFoundError
from heliostat.gitops.affected import LOST, AffectedStack, Tree, affected, entry_points_in
from heliostat.gitops.declarations import Asked, DeclaredTree, hash_of
from heliostat.gitops.unchanged import ALL, Differing, differing
from heliostat.layout import SETTINGS, sources
from heliostat.spec.code import WORKLOADS, code_digest
from heliostat.systems import git
from heliostat.systems.errors import PermanentError
from heliostat.systems.git_branches import has_commit

_SECONDS: Final = 120.0
_LIBRARY: Final = "heliostat"
_LOCKS: Final = ("requirements.lock", "requirements.txt", "uv.lock")


def affected_since(project: Project, environment: Mapping[str, str], base: str) -> list[AffectedStack]:
    """The stacks that differ between the checkout as it is and the commit at which it branched off from `base`.

    A `base` that is written out as a commit is compared with as it is: of a branch that was pushed by force, it has what is
    there no more. Where no history has it, as after such a push or before the first one, all stacks may differ.

    Raises:
        PermanentError: there is no such branch, few commits were fetched, or a stack's config cannot be read.
    """
    root = project.root
    is_commit = re.fullmatch(r"[0-9a-f]{40}", base) is not None
    is_there = is_commit and has_commit(root, environment, base)
    commit = base if is_there else None if is_commit else git.merge_base(root, environment, base)
    if commit is None and is_commit and git.is_whole(root, environment):
        return [AffectedStack(stack, (LOST,)) for stack in sorted(_configs(root, project))]
    if commit is None:
        raise PermanentError(
            f"git knows no commit that this checkout and {base!r} have in common: fetch it (CI systems fetch one commit by "
            "default), or name another with --base"
        )
    with unpacked(project, environment, [commit]) as (before,):
        sides = read_trees([before, root], project, differing(before, root))
    return affected(*sides)


@contextmanager
def unpacked(project: Project, environment: Mapping[str, str], commits: Sequence[str]) -> Iterator[list[Path]]:
    """What decides about a project's stacks, as each of some commits has it, in folders of their own.

    Raises:
        PermanentError: git cannot write one out.
    """
    with tempfile.TemporaryDirectory(prefix="heliostat-base-") as folder:
        top = Path(folder).resolve()
        trees = []
        for number, commit in enumerate(commits):
            tree = top / str(number)
            tree.mkdir()
            git.unpack(project.root, environment, commit, _needed(project), tree)
            trees.append(tree)
        yield trees


def read_trees(folders: Sequence[Path], project: Project, which: Differing = ALL) -> list[Tree]:
    """What each of some folders declares, each laid out as the project is; of the code only `which`.

    Raises:
        PermanentError: workloads cannot be imported, or a stack's config cannot be read.
    """
    with _reader(folders) if which else nullcontext() as read:
        configs = [_configs(tree, project) for tree in folders]
        shared = [_shared(tree, project) for tree in folders]
        named = entry_points_in([list(each.values()) for each in configs])
        declared = read(which.asked(named)) if read else [DeclaredTree(workloads={}) for _ in folders]
    return [Tree(*each) for each in zip(declared, configs, shared, strict=True)]


def _needed(project: Project) -> list[str]:
    """The names at the top of a tree that decide about its stacks."""
    inside = [
        path.relative_to(project.root).parts[0] for path in (project.main, project.config_folder) if path != project.root
    ]
    return [WORKLOADS, SETTINGS, project.file.name, *inside, *_LOCKS, _LIBRARY, *sources(project.root)]


@contextmanager
def _reader(trees: Sequence[Path]) -> Iterator[Callable[[Asked], list[DeclaredTree]]]:
    """What reads the trees, in a process that loads what that takes while it is not said yet what is asked."""
    # Without the folder that this runs in: it has workloads of its own, perhaps.
    command = [sys.executable, "-P", "-m", "heliostat.gitops.declared", *map(str, trees)]
    with subprocess.Popen(  # noqa: S603 - our own module
        command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0
    ) as process:
        try:
            yield lambda asked: _declared(process, asked)
        finally:
            with suppress(ProcessLookupError):  # with those that it has started
                os.killpg(process.pid, signal.SIGKILL)


def _declared(process: subprocess.Popen[str], asked: Asked) -> list[DeclaredTree]:
    try:
        written, told = process.communicate(asked.model_dump_json(by_alias=True), timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        raise PermanentError(
            f"the workloads' modules were not imported within {_SECONDS:g} s: do they compute there?"
        ) from None
    if process.returncode:
        raise PermanentError(f"the workloads' modules cannot be imported:\n{told.strip()[-2000:]}")
    return [DeclaredTree.model_validate(each) for each in json.loads(written)]


def _configs(tree: Path, project: Project) -> dict[str, Mapping[str, Any]]:
    """Every stack's config, by its name; none where the folder is not there yet."""
    folder = tree / project.config_folder.relative_to(project.root)
    suffix = project.file.suffix
    files = sorted(folder.glob(f"Pulumi.*{suffix}"))
    return {file.name.removeprefix("Pulumi.").removesuffix(suffix): _read(file) for file in files}


def _read(file: Path) -> Mapping[str, Any]:
    """A stack's config.

    Raises:
        PermanentError: it is no YAML, or no mapping.
    """
    import yaml

    try:
        said = _parsed(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PermanentError(f"{file} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(said, Mapping):
        raise PermanentError(f"{file} has to be a mapping of `config` and the like")
    return said


@cache
def _parsed(text: str) -> Any:
    """By the parser that is written in C, and once where both sides say the same: ten stacks of a hundred workloads take the
    other seconds."""
    import yaml

    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe


def _shared(tree: Path, project: Project) -> dict[str, str]:
    """What all stacks are made with."""
    main = tree / project.main.relative_to(project.root)
    found = {"program": code_digest(tree, _sources(tree, main)), "project": _project(tree / project.file.name)}
    if (tree / _LIBRARY / "__init__.py").is_file():
        # Its bytes, as versions bring them along.
        files = (path for path in (tree / _LIBRARY).rglob("*.py") if "__pycache__" not in path.parts)
        found["library"] = hash_of([(path.relative_to(tree).as_posix(), path.read_bytes().hex()) for path in sorted(files)])
    else:
        found["library"] = hash_of([_pinned(tree / name) for name in _LOCKS])
    return found


def _sources(tree: Path, main: Path) -> list[str]:
    paths = [main] if main.is_file() else [path for path in main.rglob("*.py") if "__pycache__" not in path.parts]
    return sorted(path.relative_to(tree).as_posix() for path in paths if path.is_file())


def _project(file: Path) -> str:
    try:
        said = projects.read_yaml(file)
    except NotFoundError:
        return ""
    return hash_of({key: value for key, value in said.items() if key not in {"description", "backend"}})


def _pinned(lock: Path) -> str:
    """The line by which a lock names this library."""
    lines = lock.read_text(encoding="utf-8", errors="replace").splitlines() if lock.is_file() else []
    return next((line for line in lines if line.startswith(_LIBRARY)), "")
