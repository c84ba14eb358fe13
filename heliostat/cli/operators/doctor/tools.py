"""Gathers which packages and programs are there."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from heliostat.cli.operators.doctor.facts import Package, Tools
from heliostat.systems.errors import PermanentError

_SECONDS = 10.0


def packages(distribution: str = "heliostat") -> tuple[Package, ...]:
    """The packages that the project's own metadata ask for, without extras."""
    try:
        from packaging.requirements import Requirement
    except ImportError:  # who lacks it lacks most of what needs it
        return (Package("packaging", ""),)
    found = []
    for text in metadata.requires(distribution) or ():
        wanted = Requirement(text)
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            installed = _installed(wanted.name)
            fits = bool(installed) and wanted.specifier.contains(installed, prereleases=True)
            found.append(Package(wanted.name, str(wanted.specifier), installed, fits))
    return tuple(found)


def nearest(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next((one for one in (folder, *folder.parents) if one.exists()), Path("/"))


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def tools(environment: Mapping[str, str]) -> Tools:
    """Programs beside this one."""
    version, problem = _haproxy()
    path = environment.get("PATH")
    return Tools(
        haproxy=version,
        haproxy_problem=problem,
        git=shutil.which("git", path=path) or "",
        pulumi=shutil.which("pulumi", path=path) or "",
        engine=environment.get("HELIOSTAT_ENGINE", ""),
    )


def _haproxy() -> tuple[str, str]:
    """Its version and where it is, or why it cannot be used."""
    try:
        from heliostat.systems.haproxy import binary

        program = binary()
        ran = subprocess.run([program, "-v"], capture_output=True, text=True, timeout=_SECONDS, check=True)  # noqa: S603
    except (ImportError, PermanentError) as error:
        return "", str(error)
    except (OSError, subprocess.SubprocessError) as error:
        return "", f"{program} does not run: {error}"
    words = ran.stdout.split()
    return f"{words[2].partition('-')[0] if len(words) > 2 else 'unknown version'} ({program})", ""
