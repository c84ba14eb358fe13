"""What a model's requirements ask beside what replicas have, and what comes of it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from heliostat.spec.logged_models import FLAVOURS, Loader, LoggedModel

_MLFLOW: Final = frozenset({"mlflow", "mlflow-skinny", "mlflow-tracing"})
"""Not needed where a library's own object answers."""

VersionOf = Callable[[str], str | None]
"""The version of a package that is installed, by its name; None where it is not."""


@dataclass(frozen=True)
class Difference:
    """A requirement that what is installed does not meet."""

    requirement: str
    installed: str | None

    def __str__(self) -> str:
        return f"{self.requirement} (here {self.installed or 'not at all'})"


def needed(model: LoggedModel, loader: Loader) -> tuple[str, ...]:
    """The requirements that its replicas have, without MLflow where that does not answer."""
    native = loader is Loader.NATIVE and model.flavour in FLAVOURS
    return tuple(line for line in model.requirements if not (native and _name(line) in _MLFLOW))


def unreadable(requirements: Iterable[str]) -> list[str]:
    """Lines that are no requirement of a package by its name."""
    return [line for line in requirements if _parsed(line) is None]


def differences(requirements: Iterable[str], version_of: VersionOf) -> list[Difference]:
    """The requirements that what is installed does not meet, in their order."""
    found = []
    for line in requirements:
        requirement = _parsed(line)
        if requirement is None or (requirement.marker is not None and not requirement.marker.evaluate()):
            continue
        installed = version_of(canonicalize_name(requirement.name))
        if installed is None or requirement.url or not requirement.specifier.contains(installed, prereleases=True):
            found.append(Difference(line, installed))
    return found


def changed(pins: Iterable[str], version_of: VersionOf) -> tuple[str, ...]:
    """Those of `name==version` that are installed in another version, or not at all."""
    found = []
    for pin in pins:
        name, _, version = pin.partition("==")
        if version_of(name) != version:
            found.append(pin)
    return tuple(sorted(found))


def conflicts(pins: Sequence[str], wanted: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Which of `name==version` a replica cannot run with; `wanted`: requirements, and who has them."""
    versions = {canonicalize_name(name): version for name, _, version in (pin.partition("==") for pin in pins)}
    for line, who in wanted:
        requirement = _parsed(line)
        if requirement is None or not _applies(requirement):
            continue
        version = versions.get(canonicalize_name(requirement.name))
        if version is not None and not requirement.specifier.contains(version, prereleases=True):
            needs = f"{requirement.name}{requirement.specifier}"
            yield f"{requirement.name}=={version}, and {who}, which replicas run, needs {needs}"


def digest_of(pins: Iterable[str], python: str, machine: str) -> str:
    """What names an environment: what is in it, and what it runs on."""
    return hashlib.sha256("\n".join([python, machine, *sorted(pins)]).encode()).hexdigest()


def _applies(requirement: Requirement) -> bool:
    extras = ("", "serve", "default")
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)


def _parsed(line: str) -> Requirement | None:
    try:
        return Requirement(line)
    except InvalidRequirement:
        return None


def _name(line: str) -> str:
    requirement = _parsed(line)
    return canonicalize_name(requirement.name) if requirement is not None else ""
