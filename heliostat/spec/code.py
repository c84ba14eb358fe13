"""Which source files an entry point needs, and the digest that names them.

Called where a workload is declared (to say which code) and where the code is packed (to see that it is still the same).
An edit of one module changes the digest of exactly those entry points that import it, directly or not: a change of the
response type deploys the application anew and trains nothing, and a comment does nothing at all. A flow travels with the
modules beside it that read it; of its file only the steps count.
"""

from __future__ import annotations

import ast
import hashlib
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import heliostat
from heliostat.spec.comments import without_comments
from heliostat.spec.flow_files import FILES as FLOWS

if TYPE_CHECKING:
    from heliostat.spec.training_resources import Code

WORKLOADS = "workloads"
"""The folder of a repository whose code travels wherever it runs."""
_LIBRARY = (heliostat.__name__,)
_CONTROLLER = ("controller", "rollout", "spec", "systems", "traffic")
"""What is loaded for as long as a controller runs; analysis runners and replicas load theirs at each start."""


class CodeError(ValueError):
    """The source of an entry point cannot be found or read; the text says which, and what to do."""


def code_of(root: Path, *entry_points: str, sources: Sequence[str] = ()) -> Code:
    """The files below `root` that the modules of `entry_points` (`package.module:attribute`) import, themselves included.

    Only `workloads` and the top-level packages and modules that `sources` name count: other libraries are named by the lock,
    the library by its version.

    Raises:
        CodeError: where a module does not exist or does not parse, or one of the repository's own would be left behind.
    """
    # It loads all that a workload may declare: not for whoever wants a digest.
    from heliostat.spec.training_resources import Code

    ordered = SourceTree(root, (WORKLOADS, *sources)).files_of(*entry_points)
    return Code(root=str(root), files=ordered, digest=code_digest(root, ordered))


def library_of(root: Path, *modules: str, files: Iterable[str] | None = None) -> tuple[str, ...]:
    """The library's own files, relative to the folder that its package is in, that some of its `modules` import, and `files`
    below `root`, by default all."""
    library, tree = SourceTree(Path(heliostat.__file__).parents[1], _LIBRARY), SourceTree(root, ())
    found = [library.file_of(module) for module in modules]
    if files is None:
        files = (path.relative_to(root).as_posix() for path in root.rglob("*.py"))
    found += [library.file_of(name) for path in files for name in tree.imported(path)]
    return tuple(sorted(library.reached(path for path in found if path)))


def others_of(root: Path, files: Iterable[str]) -> frozenset[str]:
    """The top-level packages that `files` below `root` import from elsewhere: neither Python's, nor ours, nor below `root`."""
    tree = SourceTree(root, ())
    named = {name.partition(".")[0]: name for path in files for name in tree.imported(path)}
    ours = sys.stdlib_module_names | {heliostat.__name__, ""}
    return frozenset(top for top in named.keys() - ours if not tree.has(top))


class SourceTree:
    """Sources below a folder, of some top-level packages and modules. Each is read and parsed once: nobody changes them
    meanwhile.
    """

    def __init__(self, root: Path, packages: Collection[str]) -> None:
        self.root = root
        self._packages = packages
        self._top = os.fspath(root)
        self._contents: dict[str, bytes] = {}
        self._imported: dict[str, tuple[str, ...]] = {}
        self._found: dict[str, str | None] = {}
        self._tops: dict[str, bool] = {}

    def content(self, path: str) -> bytes:
        """The bytes of a file."""
        if path not in self._contents:
            with open(f"{self._top}/{path}", "rb") as file:  # noqa: PTH123 - a tenth of what a Path takes, and of thousands
                self._contents[path] = file.read()
        return self._contents[path]

    def files_of(self, *entry_points: str) -> tuple[str, ...]:
        """The files that the modules of entry points import, themselves included, by name.

        Raises:
            CodeError: where a module does not exist or does not parse, or one of the repository's own would be left behind.
        """
        reached = self.reached(self._entry_file(entry_point.partition(":")[0]) for entry_point in entry_points)
        if behind := self._left_behind(reached):
            raise CodeError("\n".join(behind))
        return tuple(sorted(reached))

    def reached(self, files: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """The files that some import, themselves included; with what each imports."""
        waiting, found = list(files), dict[str, tuple[str, ...]]()
        while waiting:
            path = waiting.pop()
            if path not in found:
                imported = found[path] = self.imported(path)
                waiting.extend(self._packages_of(path))
                waiting.extend(self._flows_of(path, imported))
                waiting.extend(file for name in imported if (file := self.file_of(name)))
        return found

    def imported(self, path: str) -> tuple[str, ...]:
        """The modules that a file may import, anywhere in it, some of them attributes of modules rather."""
        if path not in self._imported:
            self._imported[path] = _imports(self.content(path), path) if path.endswith(".py") else ()
        return self._imported[path]

    def file_of(self, module: str) -> str | None:
        """The file of a module of these packages; None for any other module."""
        if module not in self._found:
            is_ours = module.partition(".")[0] in self._packages
            self._found[module] = self._file(module) if is_ours else None
        return self._found[module]

    def has(self, top: str) -> bool:
        """Whether a top-level package or module is here."""
        if top not in self._tops:
            self._tops[top] = os.path.isdir(f"{self._top}/{top}") or self._is_file(f"{top}.py")  # noqa: PTH112
        return self._tops[top]

    def _is_file(self, path: str) -> bool:
        return os.path.isfile(f"{self._top}/{path}")  # noqa: PTH113 - as above

    def _file(self, module: str) -> str | None:
        stem = module.replace(".", "/")
        return next((file for file in (f"{stem}.py", f"{stem}/__init__.py") if self._is_file(file)), None)

    def _entry_file(self, module: str) -> str:
        path = self.file_of(module)
        if path is None:
            places = ", ".join(f"{self.root}/{package}" for package in self._packages)
            raise CodeError(f"module {module!r} is not in {places}: create it, or correct the entry point naming it")
        return path

    def _left_behind(self, files: Mapping[str, Iterable[str]]) -> list[str]:
        """Modules of the repository that files import and that would not travel with them, each with the fix."""
        told: dict[str, str] = {}
        for path in sorted(files):
            for name in files[path]:
                top = name.partition(".")[0]
                if not top or top in self._packages or top == heliostat.__name__ or not self.has(top):
                    continue
                if found := self._file(name):
                    told.setdefault(
                        found,
                        f"{path} imports {found}, which does not travel with the code: "
                        f"add {top!r} to `sources` in heliostat.toml, or move it below {WORKLOADS}/",
                    )
        return [told[found] for found in sorted(told)]

    def _packages_of(self, path: str) -> Iterator[str]:
        """The `__init__.py` of each package that a file is in."""
        folder = path.rpartition("/")[0]
        while folder:
            if package := self._package(folder):
                yield package
            folder = folder.rpartition("/")[0]

    def _package(self, folder: str) -> str | None:
        key = f"{folder}/"
        if key not in self._found:
            file = f"{folder}/__init__.py"
            self._found[key] = file if self._is_file(file) else None
        return self._found[key]

    def _flows_of(self, path: str, imported: Iterable[str]) -> Iterator[str]:
        """The flow beside a module that reads it."""
        if {f"{heliostat.__name__}.ml.flow", f"{heliostat.__name__}.spec.flow"}.intersection(imported):
            folder = path.rpartition("/")[0]
            yield from (file for name in FLOWS if self._is_file(file := f"{folder}/{name}" if folder else name))


def digest_of(root: Path, files: Iterable[str]) -> str:
    """SHA-256 over the names and contents of `files` (relative to `root`) and the library's version."""
    return _digest(root, files, lambda content, _: content)


def code_digest(root: Path, files: Iterable[str]) -> str:
    """The same of a workload's code, of which comments do not count, nor what is in a flow beside its steps."""
    return _digest(root, files, meaning_of)


def meaning_of(content: bytes, name: str) -> bytes:
    """What counts of a file of a workload's code."""
    if Path(name).name in FLOWS:
        from heliostat.spec import flow

        return flow.canonical(content, name)
    return without_comments(content) if name.endswith(".py") else content


def _digest(root: Path, files: Iterable[str], counted: Callable[[bytes, str], bytes]) -> str:
    digest = hashlib.sha256(f"heliostat {heliostat.__version__}\n".encode())
    for name in sorted(files):
        content = counted((root / name).read_bytes(), name)
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def controllers_digest() -> str:
    """Of the library's own code that a controller runs: another one takes the place of the controller that runs."""
    top = Path(heliostat.__file__).parent
    files = (path for package in _CONTROLLER for path in (top / package).rglob("*.py"))
    return digest_of(top, (str(path.relative_to(top)) for path in files))


@cache
def _imports(content: bytes, path: str) -> tuple[str, ...]:
    """What a source imports; several entry points need the same files."""
    return tuple(_names_in(content, path))


def _names_in(content: bytes, path: str) -> Iterator[str]:
    try:
        tree = ast.parse(content, filename=path)
    except SyntaxError as error:
        raise CodeError(f"{path}:{error.lineno}: {error.msg}: the file does not parse") from error
    package = Path(path).parent.parts
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            names = [source, *(f"{source}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from names


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Every statement, also in functions and classes: imports are nowhere else, and most of a tree is in expressions."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop(0)
        yield node
        for part in ("body", "handlers", "orelse", "finalbody", "cases"):
            waiting.extend(getattr(node, part, ()))
