"""Objects as files below one folder of this machine."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from urllib.parse import quote

from heliostat.systems.errors import explained
from heliostat.systems.storage.base import OWN, ObjectInfo, ObjectMissingError, Read, checked, reading, write_whole


class Directory:
    """Objects as files below one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, key: str, data: bytes, *, only_if_absent: bool = False) -> bool:  # noqa: D102 - see ObjectStore
        return self._write(key, lambda file: file.write(data), only_if_absent)

    def put_over(self, key: str, data: bytes, tag: str) -> bool:  # noqa: D102
        def is_same() -> bool:
            with suppress(ObjectMissingError):
                return self.read(key).tag == tag
            return False

        return self._write(key, lambda file: file.write(data), only_if_absent=False, is_wanted=is_same)

    def put_file(self, key: str, path: Path) -> None:  # noqa: D102
        with reading(path) as source:
            self._write(key, lambda file: shutil.copyfileobj(source, file, 1 << 20), only_if_absent=False)

    def get(self, key: str) -> bytes:  # noqa: D102
        with self._found(key):
            return self._path(key).read_bytes()

    def read(self, key: str) -> Read:  # noqa: D102
        content = self.get(key)
        return Read(content, hashlib.sha256(content).hexdigest())

    def get_file(self, key: str, path: Path) -> None:  # noqa: D102
        with self._found(key), self._path(key).open("rb") as source:
            write_whole(path, lambda file: shutil.copyfileobj(source, file, 1 << 20), path.parent)

    def exists(self, key: str) -> bool:  # noqa: D102
        return self._path(key).is_file()

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:  # noqa: D102
        top = self.root / prefix.rpartition("/")[0]
        keys: list[str] = []
        for folder, folders, files in os.walk(top):
            folders[:] = [name for name in folders if Path(folder, name) != self.root / OWN]
            keys += (Path(folder, name).relative_to(self.root).as_posix() for name in files)
        for key in sorted(key for key in keys if key.startswith(prefix)):
            try:
                found = (self.root / key).stat()
            except FileNotFoundError:  # deleted since
                continue
            yield ObjectInfo(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def delete(self, key: str) -> None:  # noqa: D102
        path = self._path(key)
        if not path.exists():
            return
        try:
            with self._held(key):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise explained(error, f"delete {path}") from error

    def remove_empty_folders(self, prefix: str) -> None:
        """Remove a folder with those in it, as far as they hold nothing: a key's folders stay when it is deleted."""
        top = self._path(prefix.rstrip("/"))
        for folder in sorted((path for path in [top, *top.rglob("*")] if path.is_dir()), reverse=True):
            with suppress(OSError):  # somebody has put something into it
                folder.rmdir()

    def uri(self, key: str) -> str:  # noqa: D102
        return f"file://{quote(str(self.root / key))}"

    @property
    def _partial(self) -> Path:
        return self.root / OWN / "partial"

    def _path(self, key: str) -> Path:
        return self.root / checked(key)

    def _write(
        self,
        key: str,
        write: Callable[[IO[bytes]], object],
        only_if_absent: bool,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> bool:
        path = self._path(key)
        if only_if_absent:
            return not path.exists() and write_whole(path, write, self._partial, only_if_absent)
        return write_whole(path, write, self._partial, is_wanted=is_wanted, held=self._held(key))

    @contextmanager
    def _held(self, key: str) -> Iterator[None]:
        """Whoever replaces or deletes this object waits for the one who looks whether it is still the same."""
        place = self.root / OWN / "locks"
        place.mkdir(parents=True, exist_ok=True)
        # A few files for all keys: none is ever removed, which somebody might wait for.
        descriptor = os.open(
            place / hashlib.sha256(key.encode()).hexdigest()[:2], os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666
        )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _found(self, key: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, IsADirectoryError):
            raise ObjectMissingError(f"there is no object {key} in {self.root}") from None
        except OSError as error:
            raise explained(error, f"read {self._path(key)}") from error
