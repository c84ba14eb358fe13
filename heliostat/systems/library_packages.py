"""Library packages: this library's own sources as one zip in the object store, named by the digest of what is in it.

A version runs on the library that it was declared with, whatever is installed by the time that a replica starts: Ray puts the
package before what is installed. Left out is what neither replicas nor workloads import.
"""

from __future__ import annotations

import importlib.util
import io
import struct
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import heliostat
from heliostat.spec.code import digest_of
from heliostat.spec.rollouts import Runtime
from heliostat.systems.code_packages import NO_TIME, TOP
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectStore

LEFT_OUT: Final = frozenset(
    {
        "analysis",
        "cli",
        "clients",
        "controller",
        "engine",
        "gitops",
        "inspection",
        "jobs",
        "provider",
        "pulumi_proto",
        "rollout",
        "scaffold",
        "testing",
    }
)
"""Packages that no replica imports; import-linter holds workloads, `serving` and `ml` to it."""

MARK: Final = "library.digest"
"""The file beside `heliostat/__init__.py` in which a package says what it is."""

_TIMED: Final = 0
"""The flags of a compiled file that is as good as its source's time and size say."""
_UNCHECKED: Final = 1
"""Those of one that is always good: nobody edits a package, and a zip keeps no exact times."""


def files() -> tuple[str, ...]:
    """The sources of a package, relative to the folder that `heliostat` is in."""
    top = _top()
    found = (path.relative_to(top) for path in (top / heliostat.__name__).rglob("*.py"))
    return tuple(sorted(path.as_posix() for path in found if path.parts[1] not in LEFT_OUT))


def here() -> str:
    """The digest of the library that this process runs, of a package or installed."""
    try:
        return (Path(heliostat.__file__).parent / MARK).read_text()
    except FileNotFoundError:
        return _digest()


def runtime(store: ObjectStore) -> Runtime:
    """What a version that is declared by this library runs on."""
    return Runtime(library=heliostat.__version__, library_digest=_digest(), library_uri=store.uri(_key()))


def upload(store: ObjectStore) -> Runtime:
    """Store the package where it is not there yet, and say what runs on it.

    Raises:
        PermanentError: the library was changed since this process began.
    """
    if not store.exists(_key()):
        store.put(_key(), _pack())
    return runtime(store)


def _top() -> Path:
    return Path(heliostat.__file__).parents[1]


def _key() -> str:
    return f"library/{_digest()}.zip"


@cache
def _digest() -> str:
    return digest_of(_top(), files())


def _pack() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in _contents():
            entry = zipfile.ZipInfo(f"{TOP}/{path}", NO_TIME)
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    if digest_of(_top(), files()) != _digest():
        raise PermanentError(f"heliostat in {_top()} changed while this ran: run it again")
    return buffer.getvalue()


def _contents() -> Iterator[tuple[str, bytes]]:
    yield f"{heliostat.__name__}/{MARK}", _digest().encode()
    for name in files():
        path = _top() / name
        source = path.read_bytes()
        yield name, source
        yield from _compiled(path, name, source)


def _compiled(path: Path, name: str, source: bytes) -> Iterator[tuple[str, bytes]]:
    """What Python has compiled of a source already: a starting replica would do so again, beside those that serve."""
    place = Path(importlib.util.cache_from_source(str(path)))
    try:
        content = place.read_bytes()
        stat = path.stat()
    except OSError:
        return
    expected = struct.pack("<III", _TIMED, int(stat.st_mtime) & 0xFFFFFFFF, stat.st_size & 0xFFFFFFFF)
    if content[:16] == importlib.util.MAGIC_NUMBER + expected:
        head = importlib.util.MAGIC_NUMBER + struct.pack("<I", _UNCHECKED) + importlib.util.source_hash(source)
        yield (Path(name).parent / "__pycache__" / place.name).as_posix(), head + content[16:]
