"""Which workloads of two trees may differ, by their files alone: no code has to be loaded to know that it is the same.

What a workload declares comes of the files in its folder, of those that all share, and of other workloads' that it names.
Where all of them are the same, byte by byte, so are its digests. Where that cannot be told, it may differ.
"""

from __future__ import annotations

import filecmp
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from heliostat.gitops.declarations import Asked
from heliostat.layout import SETTINGS, SourcesError, sources, workload_names
from heliostat.spec.code import WORKLOADS

_NAMING: Final = frozenset({".py", ".yaml", ".yml", ".json", ".toml"})
"""Suffixes of files in which one workload may name another."""
_COMPUTED: Final = re.compile(rb"\b(import_module|__import__|pkgutil|runpy|r?glob|iterdir|listdir|scandir|walk)\b")
"""By this, code reaches others whose names it does not write out."""
_Files = Mapping[str, Path]


@dataclass(frozen=True)
class Differing:
    """What of two trees may differ."""

    workloads: frozenset[str] | None
    """The names of the workloads; None: any may."""

    def __bool__(self) -> bool:
        """Whether anything may."""
        return self.workloads is None or bool(self.workloads)

    def asked(self, entry_points: Iterable[str]) -> Asked:
        """What has to be read of both trees, of whose `entry_points` stacks name some."""
        workloads = None if self.workloads is None else tuple(sorted(self.workloads))
        return Asked(workloads=workloads, entry_points=tuple(sorted(filter(self._has, entry_points))))

    def _has(self, entry_point: str) -> bool:
        if self.workloads is None:
            return True
        top, _, rest = entry_point.partition(":")[0].partition(".")
        return top == WORKLOADS and rest.partition(".")[0].replace("_", "-") in self.workloads


ALL: Final = Differing(None)


def differing(before: Path, after: Path) -> Differing:
    """What may differ between two trees that are laid out alike."""
    try:
        packages = sources(before), sources(after)
    except SourcesError:
        return ALL
    names = {*workload_names(before / WORKLOADS), *workload_names(after / WORKLOADS)}
    old, new = (_parts(tree, names, each) for tree, each in zip((before, after), packages, strict=True))
    if not _are_same(old.pop(""), shared := new.pop("")):
        return ALL
    told = {name: texts for name in names if _are_same(old[name], new[name]) and not _is_computed(texts := _texts(new[name]))}
    found = _reached(names - told.keys(), told)
    of_all = _texts(shared)
    return ALL if _is_computed(of_all) or (found and _name(of_all, found)) else Differing(frozenset(found))


def _parts(tree: Path, names: Iterable[str], packages: Sequence[str]) -> dict[str, dict[str, Path]]:
    """The files of each workload, and by the empty name those that all share."""
    parts: dict[str, dict[str, Path]] = {"": {}, **{name: {} for name in names}}
    for top in (SETTINGS, WORKLOADS, *packages, *(f"{each}.py" for each in packages)):
        for file in _files(tree / top):
            below = file.relative_to(tree)
            name = below.parts[1].replace("_", "-") if len(below.parts) > 2 and top == WORKLOADS else ""
            parts[name if name in parts else ""][below.as_posix()] = file
    return parts


def _files(path: Path) -> Iterator[Path]:
    if path.is_symlink() or not path.is_dir():
        if path.is_symlink() or path.is_file():
            yield path
        return
    for each in path.iterdir():
        if each.name != "__pycache__":
            yield from _files(each)


def _are_same(old: _Files, new: _Files) -> bool:
    """Whether both have the same files with the same bytes. No link is: nobody looks where it leads to."""
    return old.keys() == new.keys() and all(
        not old[name].is_symlink() and not new[name].is_symlink() and filecmp.cmp(old[name], new[name], shallow=False)
        for name in new
    )


def _texts(files: _Files) -> list[bytes]:
    return [file.read_bytes() for name, file in files.items() if Path(name).suffix in _NAMING]


def _is_computed(texts: Iterable[bytes]) -> bool:
    return any(_COMPUTED.search(text) for text in texts)


def _reached(found: Iterable[str], others: Mapping[str, Iterable[bytes]]) -> set[str]:
    """`found`, and the `others` whose texts name one of them, or one that does."""
    reached, waiting = set(found), set(found)
    while waiting:
        waiting = {name for name in others.keys() - reached if _name(others[name], waiting)}
        reached |= waiting
    return reached


def _name(texts: Iterable[bytes], names: Iterable[str]) -> bool:
    """Whether some of the names stand in some of the texts, as words."""
    words = re.compile(rb"\b(" + b"|".join(re.escape(name.replace("-", "_")).encode() for name in sorted(names)) + rb")\b")
    return any(words.search(text) for text in texts)
