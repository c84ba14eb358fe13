"""Which source files an entry point needs, and the digest that names them.

Called where a workload is declared (to say which code) and where the code is packed (to see that it is still the same).
An edit of one module changes the digest of exactly those entry points that import it, directly or not: a change of the
response type deploys the application anew and trains nothing, and a comment does nothing at all. A flow travels with the
modules beside it that read it; of its file only the steps count.
"""

from __future__ import annotations

import ast
import hashlib
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

    packages = (WORKLOADS, *sources)
    waiting = [_entry_file(root, entry_point.partition(":")[0], packages) for entry_point in entry_points]
    reached = _reached(root, waiting, packages)
    ordered = tuple(sorted(reached))
    if behind := _left_behind(root, reached, packages):
        raise CodeError("\n".join(behind))
    return Code(root=str(root), files=ordered, digest=code_digest(root, ordered))


def library_of(root: Path, *modules: str, files: Iterable[str] | None = None) -> tuple[str, ...]:
    """The library's own files, relative to the folder that its package is in, that some of its `modules` import, and `files`
    below `root`, by default all."""
    top = Path(heliostat.__file__).parents[1]
    found = [_file_of(top, module, _LIBRARY) for module in modules]
    if files is None:
        files = (path.relative_to(root).as_posix() for path in root.rglob("*.py"))
    found += [_file_of(top, name, _LIBRARY) for path in files for name in _imported(root, path)]
    return tuple(sorted(_reached(top, [path for path in found if path], _LIBRARY)))


def others_of(root: Path, files: Iterable[str]) -> frozenset[str]:
    """The top-level packages that `files` below `root` import from elsewhere: neither Python's, nor ours, nor below `root`."""
    named = {name.partition(".")[0]: name for path in files for name in _imported(root, path)}
    ours = sys.stdlib_module_names | {heliostat.__name__, ""}
    return frozenset(top for top in named.keys() - ours if not _is_below(root, top))


def _left_behind(root: Path, files: Mapping[str, Iterable[str]], packages: Collection[str]) -> list[str]:
    """Modules of the repository that files import and that would not travel with them, each with the fix."""
    told: dict[str, str] = {}
    for path in sorted(files):
        for name in files[path]:
            top = name.partition(".")[0]
            if top in packages or top == heliostat.__name__:
                continue
            if found := _file_of(root, name, (top,)):
                told.setdefault(
                    found,
                    f"{path} imports {found}, which does not travel with the code: "
                    f"add {top!r} to `sources` in heliostat.toml, or move it below {WORKLOADS}/",
                )
    return [told[found] for found in sorted(told)]


def _is_below(root: Path, top: str) -> bool:
    return (root / top).is_dir() or (root / f"{top}.py").is_file()


def _reached(root: Path, waiting: list[str], packages: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The files of some top-level packages that those `waiting` import, themselves included; with what each imports."""
    waiting, files = list(waiting), dict[str, tuple[str, ...]]()
    while waiting:
        path = waiting.pop()
        if path not in files:
            imported = files[path] = _imported(root, path)
            waiting.extend(_packages_of(root, path))
            waiting.extend(_flows_of(root, path, imported))
            waiting.extend(file for name in imported if (file := _file_of(root, name, packages)))
    return files


def digest_of(root: Path, files: Iterable[str]) -> str:
    """SHA-256 over the names and contents of `files` (relative to `root`) and the library's version."""
    return _digest(root, files, lambda content, _: content)


def code_digest(root: Path, files: Iterable[str]) -> str:
    """The same of a workload's code, of which comments do not count, nor what is in a flow beside its steps."""
    return _digest(root, files, _meaning)


def _meaning(content: bytes, name: str) -> bytes:
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


def _entry_file(root: Path, module: str, packages: Collection[str]) -> str:
    path = _file_of(root, module, packages)
    if path is None:
        places = ", ".join(f"{root}/{package}" for package in packages)
        raise CodeError(f"module {module!r} is not in {places}: create it, or correct the entry point naming it")
    return path


def _file_of(root: Path, module: str, packages: Collection[str]) -> str | None:
    """The file of a module of some top-level packages, relative to `root`; None for any other module."""
    if module.partition(".")[0] not in packages:
        return None
    stem = Path(*module.split("."))
    for candidate in (stem.with_suffix(".py"), stem / "__init__.py"):
        if (root / candidate).is_file():
            return candidate.as_posix()
    return None


def _packages_of(root: Path, path: str) -> Iterator[str]:
    """The `__init__.py` of each package that a file is in."""
    for parent in Path(path).parents:
        package = parent / "__init__.py"
        if parent.name and (root / package).is_file():
            yield package.as_posix()


def _flows_of(root: Path, path: str, imported: Iterable[str]) -> Iterator[str]:
    """The flow beside a module that reads it."""
    if {f"{heliostat.__name__}.ml.flow", f"{heliostat.__name__}.spec.flow"}.intersection(imported):
        for file in FLOWS:
            beside = Path(path).parent / file
            if (root / beside).is_file():
                yield beside.as_posix()


def _imported(root: Path, path: str) -> tuple[str, ...]:
    """The modules that a file may import, anywhere in it, some of them attributes of modules rather."""
    if not path.endswith(".py"):
        return ()
    return _imports((root / path).read_bytes(), path)


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
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            names = [source, *(f"{source}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from names
