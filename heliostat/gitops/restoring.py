"""Brings a workload back to what another commit has of it: the files that it is made of, and its part of a stack's config."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from heliostat.engine.config import yamledit
from heliostat.engine.config.project import Project
from heliostat.gitops.affected import Tree
from heliostat.gitops.pins import section_of
from heliostat.systems.errors import PermanentError


def restored_files(workload: str, before: Tree, after: Tree) -> tuple[str, ...]:
    """The files that a workload is made of in either of two trees.

    Raises:
        PermanentError: one of them does not have it, or it cannot be read there.
    """
    files: set[str] = set()
    for tree in (before, after):
        found = tree.declared.workloads.get(workload)
        if found is None or found.mistake:
            raise PermanentError(f"{workload} cannot be read as it was: {found.mistake if found else 'it was not there'}")
        files.update(found.files)
    return tuple(sorted(files))


def restore_files(names: Sequence[str], source: Path, into: Path) -> None:
    """Have `into` hold of these files what `source` holds, and none that it does not."""
    for name in names:
        was, now = source / name, into / name
        if was.is_file():
            now.parent.mkdir(parents=True, exist_ok=True)
            now.write_bytes(was.read_bytes())
        else:
            now.unlink(missing_ok=True)


def restore_config(workload: str, file: Path, source: Path, into: Path) -> None:
    """Have a stack's config say of a workload what it said; with its comments where nothing else of the file differs.

    `file` is relative to both trees.

    Raises:
        PermanentError: it cannot be changed in place.
    """
    was, now = (tree.joinpath(file).read_bytes().decode() for tree in (source, into))
    key, told = section_of(was, file.name)
    here, present = section_of(now, file.name)
    if told.get(workload) == present.get(workload):
        return
    without = [
        {**yamledit.load(text), "config": {**yamledit.load(text)["config"], name: {**section, workload: None}}}
        for text, name, section in ((was, key, told), (now, here, present))
    ]
    if without[0] == without[1]:
        into.joinpath(file).write_bytes(was.encode())
        return
    try:
        changed = yamledit.put(now, ("config", here, workload), told.get(workload))
    except yamledit.EditError as error:
        raise PermanentError(f"{file.name}: what it said of {workload} cannot be put there: {error}") from None
    into.joinpath(file).write_bytes(changed.encode())


def config_below(project: Project, stack: str) -> Path:
    """Where a stack's config lies below the project's folder."""
    return project.stack_file(stack).resolve().relative_to(project.root.resolve())
