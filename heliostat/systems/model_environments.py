"""Environments of models' own: what their requirements name and replicas do not have, as one zip in the object store.

Ray puts the zip before what is installed, on each node, as it does with the library's own package. So it is made once, before
any traffic, holds only what differs, and is the same bytes for each replica that ever starts, also after a rollback. Ray's own
`uv` and `pip` environments are made on each node at each replica's start: in a virtual environment they copy all of it first.
"""

from __future__ import annotations

import importlib.metadata
import platform
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from uv import find_uv_bin

from heliostat.spec.environments import changed, conflicts, digest_of
from heliostat.spec.logged_models import ModelEnvironment
from heliostat.systems.code_packages import NO_TIME, TOP
from heliostat.systems.errors import PermanentError
from heliostat.systems.objects import ObjectStore

_SECONDS: Final = 900.0
_TAIL: Final = 3_000
_RUN: Final = ("heliostat", "ray")
"""What a replica runs, whatever the model needs."""
_NOT_OF_REPLICAS: Final = frozenset({"lightgbm", "matplotlib", "mlflow", "pandas", "scikit-learn", "scipy", "setuptools"})
"""What this library needs elsewhere, and no replica by itself."""


def version_of(name: str) -> str | None:
    """The version of a package that is installed here, which replicas have too: both are made of one lock."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def python_version() -> str:
    """Python's version here, which replicas have too."""
    return platform.python_version()


def resolved(requirements: Sequence[str]) -> tuple[str, ...]:
    """All that the requirements need which is not installed in that version, as `name==version`.

    Raises:
        PermanentError: a package, or that version of it, cannot be had, they exclude each other, or a replica cannot run with
            them.
    """
    with tempfile.TemporaryDirectory(prefix="heliostat-resolution-") as folder:
        asked, pins = Path(folder, "requirements.in"), Path(folder, "requirements.txt")
        asked.write_text("\n".join(requirements) + "\n")
        # What is installed is preferred wherever it will do: uv keeps to a former result.
        pins.write_text("\n".join(f"{each.name}=={each.version}" for each in importlib.metadata.distributions()) + "\n")
        _uv("pip", "compile", "--quiet", "--no-header", "--no-annotate", "--no-config", *_for(), str(asked), "-o", str(pins))
        found = [line for line in pins.read_text().splitlines() if "==" in line]
    differing = changed((pin.partition(";")[0].strip() for pin in found), version_of)
    wanted = ((line, who) for who in _RUN for line in _requires(who) if not _of_others(line))
    if wrong := list(dict.fromkeys(conflicts(differing, wanted))):
        raise PermanentError(
            f"the model's requirements cannot be met beside what runs it: {'; '.join(wrong)}. Log it again with versions that "
            "go together"
        )
    return differing


def named(packages: Sequence[str], store: ObjectStore) -> ModelEnvironment:
    """The environment that holds `packages`, there or not."""
    digest = digest_of(packages, _minor(), f"{sys.platform} {platform.machine()}")
    return ModelEnvironment(digest=digest, uri=store.uri(f"environments/{digest}.zip"), packages=tuple(packages))


def upload(packages: Sequence[str], store: ObjectStore) -> ModelEnvironment:
    """Store the environment that holds `packages` where it is not there yet.

    Raises:
        PermanentError: a package cannot be had or built.
    """
    environment = named(packages, store)
    key = f"environments/{environment.digest}.zip"
    if not store.exists(key):
        with tempfile.TemporaryDirectory(prefix="heliostat-environment-") as folder:
            place, packed = Path(folder, "packages"), Path(folder, "environment.zip")
            install(packages, place)
            _pack(place, packed)
            store.put_file(key, packed)
    return environment


def install(packages: Sequence[str], place: Path) -> None:
    """Install packages into a folder, and nothing that they need besides.

    Raises:
        PermanentError: one cannot be had or built.
    """
    place.mkdir(parents=True, exist_ok=True)
    _uv("pip", "install", "--quiet", "--no-config", "--no-deps", *_for(), "--target", str(place), *packages)


def _for() -> tuple[str, ...]:
    """The Python, and where this machine is none of Linux the system, that it is for."""
    system = () if sys.platform == "linux" else ("--python-platform", "linux")
    return "--python", sys.executable, *system


def _minor() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def _requires(who: str) -> list[str]:
    try:
        return importlib.metadata.requires(who) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def _of_others(line: str) -> bool:
    return re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0].lower() in _NOT_OF_REPLICAS


def _uv(*arguments: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - a program that is installed with this one
            [find_uv_bin(), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise PermanentError(f"the model's requirements were not had in {_SECONDS:g} s: run it again") from None
    if done.returncode:
        raise PermanentError(f"the model's requirements cannot be met:\n{done.stderr.strip()[-_TAIL:]}")


def _pack(folder: Path, packed: Path) -> None:
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                entry = zipfile.ZipInfo(f"{TOP}/{path.relative_to(folder).as_posix()}", NO_TIME)
                entry.external_attr = (path.stat().st_mode & 0o777 | 0o100000) << 16
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=1)
