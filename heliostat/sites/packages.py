"""The packages of the model that a site was given: each in a folder of its own, and a note of the newest that was loaded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

from heliostat.spec.federated import DeliveredPackage
from heliostat.systems.coordinator_api import CoordinatorClient
from heliostat.systems.errors import PermanentError, RetryableError
from heliostat.systems.file_digests import sha256_of

CURRENT: Final = "current.json"
_SECONDS: Final = 120.0
_TAIL: Final = 1_000
_LOAD: Final = "import importlib, sys; sys.path.insert(0, sys.argv[1]); importlib.import_module(sys.argv[2]).Model()"


def current(folder: Path) -> dict[str, str] | None:
    """What the newest package of a site is and where it lies; None where it has none."""
    try:
        found: dict[str, str] = json.loads((folder / CURRENT).read_text())
    except FileNotFoundError:
        return None
    return found


def install(package: DeliveredPackage, client: CoordinatorClient, folder: Path) -> Path:
    """Fetch a package, see that it can be loaded, and make it the current one; the folder to put on Python's path.

    Raises:
        RetryableError: it did not come as it was sent.
        PermanentError: it cannot be loaded here.
    """
    target = folder / package.sha256[:16]
    if not target.is_dir():
        _unpack(_fetched(package, client, folder), target)
    module = package.distribution.replace("-", "_")
    _require_loads(package, target, module)
    about = {"distribution": package.distribution, "version": package.version, "sha256": package.sha256}
    partial = folder / f".{CURRENT}.{os.getpid()}"
    partial.write_text(json.dumps({**about, "module": module, "folder": str(target)}, indent=2))
    before = current(folder)
    partial.replace(folder / CURRENT)
    if before is None or before["sha256"] != package.sha256:
        _forget_old(folder, {str(target), before["folder"] if before else ""})
    return target


def _fetched(package: DeliveredPackage, client: CoordinatorClient, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / Path(package.file).name
    client.fetch_package(wheel)
    if sha256_of(wheel) != package.sha256:
        wheel.unlink()
        raise RetryableError(f"{package.file} did not come as it was published")
    return wheel


def _forget_old(folder: Path, kept: set[str]) -> None:
    """Remove the packages but those in `kept`: the current one, and the one before, which may still be imported from."""
    for path in folder.iterdir():
        if path.is_dir() and str(path) not in kept:
            shutil.rmtree(path, ignore_errors=True)
        elif path.suffix == ".whl":
            path.unlink(missing_ok=True)


def _unpack(wheel: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(partial)
    partial.replace(target)


def _require_loads(package: DeliveredPackage, target: Path, module: str) -> None:
    """See that the package answers in a process of its own."""
    try:
        ended = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-I", "-c", _LOAD, str(target), module], capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise PermanentError(f"{package.file} is not loaded after {_SECONDS:g} s") from None
    if ended.returncode:
        said = ended.stderr.decode(errors="replace").strip()[-_TAIL:]
        raise PermanentError(f"{package.file} cannot be loaded here: {said}")
