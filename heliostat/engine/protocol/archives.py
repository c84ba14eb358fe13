"""The digests of assets and archives, as the official CLI makes them.

An asset and an archive file have the digest of their bytes. A folder, or a map of assets, has that of the tar that would be
made of it: each file once, with no owner, no time and mode 0600, folders and links to folders left out.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import posixpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from heliostat.engine.errors import EngineError
from heliostat.engine.protocol import remote
from heliostat.engine.protocol.tarheader import BLOCK, clean, tar_header
from heliostat.engine.state.snapshot import ARCHIVE_SIGNATURE, ASSET_SIGNATURE, SECRET_SIGNATURE_KEY, Secret

FORMATS = {".tar.gz": "tgz", ".tgz": "tgz", ".tar": "tar", ".zip": "zip", ".jar": "zip"}
"""How an archive file is read, by the end of its name."""
SKIPPED = b".pulumi"
"""What is left out of a folder, wherever it is in it."""
_CHUNK = 1 << 20
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError)
"""What Python's own readers raise for a file that they cannot read; the last is for encrypted and unknown compression."""
_UNIX, _DOS = (3, 19), (0, 11, 14)
"""Makers of a zip, by what they say of an entry's kind."""

Member = tuple[bytes, int, IO[bytes]]
"""A file of an archive: its name, its size in bytes, and its content, which whoever takes it closes."""


def with_hashes(value: Any, folder: Path) -> Any:
    """A value whose assets and archives, and those in them, carry the digest of their content; others are left as they are.

    Paths are relative to `folder`, the program's directory. Raises EngineError where a content cannot be read.
    """
    match value:
        case Secret():
            return Secret(with_hashes(value.value, folder))
        case Mapping() if value.get(SECRET_SIGNATURE_KEY) in (ASSET_SIGNATURE, ARCHIVE_SIGNATURE):
            return _with_hash(value, folder)
        case Mapping():
            return {key: with_hashes(item, folder) for key, item in value.items()}
        case list():
            return [with_hashes(item, folder) for item in value]
        case _:
            return value


def _with_hash(value: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    if "assets" in value:
        value = {**value, "assets": with_hashes(value["assets"], folder)}
    if value.get("hash"):
        return dict(value)
    digest = _asset_digest if value[SECRET_SIGNATURE_KEY] == ASSET_SIGNATURE else _archive_digest
    return {**value, "hash": digest(value, folder)}


def _asset_digest(asset: Mapping[str, Any], folder: Path) -> str:
    digest = hashlib.sha256()
    with _opened(asset, folder) as content:
        _copy(content, digest)
    return digest.hexdigest()


def _archive_digest(archive: Mapping[str, Any], folder: Path) -> str:
    digest = hashlib.sha256()
    if _format(archive):
        with _opened(archive, folder) as content:
            _copy(content, digest)
        return digest.hexdigest()
    seen: set[bytes] = set()
    for name, size, content in _members(archive, folder):
        with content:
            if name in seen:
                continue
            seen.add(name)
            digest.update(_header(name, size))
            if _copy(content, digest) != size:
                raise EngineError(f"{os.fsdecode(name)} of an archive changed while it was read: run it again")
            digest.update(bytes(-size % BLOCK))
    digest.update(bytes(2 * BLOCK))
    return digest.hexdigest()


def _header(name: bytes, size: int) -> bytes:
    try:
        return tar_header(name, size)
    except ValueError as error:
        raise EngineError(f"an archive cannot hold a member of this name: {error}") from None


def _copy(content: IO[bytes], digest: Any) -> int:
    size = 0
    try:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    except _DAMAGED as error:
        raise EngineError(f"the content of an asset or archive cannot be read: {error}") from None
    return size


# ---- what is in an archive, in the order in which it is packed


def _members(archive: Mapping[str, Any], folder: Path) -> Iterator[Member]:
    if kind := _format(archive):
        with _opened(archive, folder) as content:
            yield from _unpacked(content, kind, _shown(archive))
    elif archive.get("path"):
        yield from _walked(_resolved(archive, folder))
    elif archive.get("uri"):
        raise EngineError(f"the archive {archive['uri']} is of no known format: its path ends in none of {', '.join(FORMATS)}")
    else:
        yield from _mapped(archive.get("assets") or {}, folder)


def _mapped(members: Mapping[str, Any], folder: Path) -> Iterator[Member]:
    for name in sorted(members):
        member = members[name]
        signature = member.get(SECRET_SIGNATURE_KEY) if isinstance(member, Mapping) else None
        if signature == ARCHIVE_SIGNATURE:
            for inner, size, content in _members(member, folder):
                yield clean(posixpath.join(name.encode(), inner)), size, content
        elif signature == ASSET_SIGNATURE:
            content = _opened(member, folder)
            yield name.encode(), _size(content), content
        else:
            raise EngineError(f"the member {name!r} of an archive is neither an asset nor an archive")


def _walked(root: str) -> Iterator[Member]:
    top = os.fsencode(root)
    if not os.path.isdir(top):  # noqa: PTH112 - names are bytes here, as they are on the disk
        what = "is neither a folder nor an archive file" if os.path.exists(top) else "is not there"  # noqa: PTH110
        raise EngineError(f"the archive {root} {what} (those end in {', '.join(FORMATS)})")
    for path in _files(top):
        content = _open(path)
        yield os.path.relpath(path, top), _size(content), content


def _files(path: bytes) -> Iterator[bytes]:
    """The files at and below `path`, folder by folder in the order of their names."""
    if os.path.basename(path) == SKIPPED:  # noqa: PTH119
        return
    try:
        folder = stat.S_ISDIR(os.lstat(path).st_mode)
        link = not folder and os.path.isdir(path)  # noqa: PTH112
        below = sorted(os.listdir(path)) if folder else []  # noqa: PTH208
    except OSError as error:
        raise EngineError(f"{os.fsdecode(path)} of an archive cannot be read: {error.strerror}") from None
    for name in below:
        yield from _files(os.path.join(path, name))  # noqa: PTH118
    if not (folder or link):
        yield path


def _unpacked(content: IO[bytes], kind: str, shown: str) -> Iterator[Member]:
    try:
        if kind == "zip":
            yield from _unzipped(content)
            return
        plain: IO[bytes] = gzip.open(content) if kind == "tgz" else content  # type: ignore[assignment]  # noqa: SIM115
        with tarfile.open(fileobj=plain, mode="r|", errors="surrogateescape") as opened:
            for entry in opened:
                file = opened.extractfile(entry) if entry.isreg() else None
                if file is not None:
                    yield clean(os.fsencode(entry.name)), entry.size, file
                elif not entry.isdir():
                    raise EngineError(f"the archive {shown} holds {entry.name}, which is neither a file nor a folder")
    except _DAMAGED as error:
        raise EngineError(f"the archive {shown} cannot be unpacked: {error}") from None


def _unzipped(content: IO[bytes]) -> Iterator[Member]:
    with zipfile.ZipFile(content) as opened:
        for entry in opened.infolist():
            unix = entry.create_system in _UNIX and stat.S_ISDIR(entry.external_attr >> 16)
            dos = entry.create_system in _DOS and entry.external_attr & 0x10
            if not (entry.is_dir() or unix or dos):
                encoding = "utf-8" if entry.flag_bits & 0x800 else "cp437"
                yield clean(entry.orig_filename.encode(encoding)), entry.file_size, opened.open(entry)


# ---- where a content is


def _format(archive: Mapping[str, Any]) -> str:
    """How an archive is packed; empty where it is no archive file."""
    place = archive.get("path") or urlsplit(archive.get("uri") or "").path
    return next((kind for ending, kind in FORMATS.items() if place.endswith(ending)), "")


def _shown(value: Mapping[str, Any]) -> str:
    return str(value.get("path") or value.get("uri"))


def _resolved(value: Mapping[str, Any], folder: Path) -> str:
    """A path that is absolute stays as it is written: a slash at the end of a link's makes it the folder that it leads to."""
    path = str(value["path"])
    return path if os.path.isabs(path) else os.path.normpath(os.path.join(folder, path))  # noqa: PTH117, PTH118


def _opened(value: Mapping[str, Any], folder: Path) -> IO[bytes]:
    if value.get("path"):
        return _open(os.fsencode(_resolved(value, folder)))
    return remote.opened(value["uri"]) if value.get("uri") else io.BytesIO(str(value.get("text", "")).encode())


def _open(path: bytes) -> IO[bytes]:
    try:
        return open(path, "rb")  # noqa: PTH123 - the caller closes it
    except IsADirectoryError:
        raise EngineError(f"{os.fsdecode(path)} is a folder where a file is needed; a folder is a FileArchive") from None
    except OSError as error:
        raise EngineError(f"{os.fsdecode(path)} cannot be read: {error.strerror}") from None


def _size(content: IO[bytes]) -> int:
    return len(content.getbuffer()) if isinstance(content, io.BytesIO) else os.fstat(content.fileno()).st_size
