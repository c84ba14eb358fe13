"""Where a stack's controller and object store are: by what the stack exports, or by its config where it exports nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from heliostat.cli.session import Place
from heliostat.engine.config.project import Project
from heliostat.engine.config.stackconfig import StackConfig
from heliostat.engine.stackerrors import NotFoundError, StackError
from heliostat.engine.state import history
from heliostat.engine.state.backend import StackRef
from heliostat.engine.state.history import Entry
from heliostat.engine.state.urns import ROOT_STACK_TYPE
from heliostat.layout import data_folder
from heliostat.platforms import stores
from heliostat.spec.addresses import ControllerAddress, RayAddress, StoreAddress
from heliostat.spec.base import PROJECT
from heliostat.spec.platforms.declared import Platform
from heliostat.spec.platforms.exported import platform_in
from heliostat.systems.errors import PermanentError

_CLI_LIMIT_S = 120
_HISTORY = ("stack", "history", "--json", "--show-secrets=false", "--page-size=100")


class Stacks(Protocol):
    """Whoever keeps the stacks' state."""

    def name(self, said: str | None) -> str:
        """The stack that is meant; raises NotFoundError where none is."""

    def names(self) -> Sequence[str]:
        """All stacks of the project."""

    def outputs(self, stack: str) -> Mapping[str, Any]:
        """What it exports; raises NotFoundError where there is no such stack."""

    def resources(self, stack: str) -> Sequence[Mapping[str, Any]]:
        """Its resources, as its state holds them; raises NotFoundError where there is no such stack."""

    def history(self, stack: str) -> Iterable[Entry]:
        """What was done to it, the latest first; nothing where there is no such stack."""


def controller_of(stack: str | None) -> ControllerAddress:
    """The controller of the stack's platform.

    Raises:
        NotFoundError: there is no such stack.
        PermanentError: it has no platform; the text says what to do.
    """
    return ControllerAddress.model_validate(_part(stack, "controller", "a controller"))


def ray_of(stack: str | None) -> RayAddress:
    """The Ray cluster of the stack's platform.

    Raises:
        NotFoundError: there is no such stack.
        PermanentError: it has no platform; the text says what to do.
    """
    return RayAddress.model_validate(_part(stack, "ray", "a Ray cluster"))


def _part(stack: str | None, key: str, what: str) -> Any:
    stacks = stacks_here()
    name = stacks.name(stack)
    found = _exported(stacks, name).get(key)
    if not found:
        raise PermanentError(
            f"the stack {name!r} exports no platform with {what}: bring it up with `heliostat up -s {name}`, "
            "or name another stack with -s"
        )
    return found


def store_of(stack: str | None) -> StoreAddress:
    """The object store of the stack's platform, also of one that was destroyed: then its config says where it was.

    Raises:
        NotFoundError: there is neither such a stack nor a config of that name.
        PermanentError: neither says where the store is; the text says what to do.
    """
    stacks = stacks_here()
    name = stacks.name(stack)
    try:
        found = _exported(stacks, name).get("store")
    except NotFoundError:
        if not _config_file(name).exists():
            raise
        found = None
    return StoreAddress.model_validate(found) if found else _declared(name)


def stacks_here() -> Stacks:
    """The official CLI where it is there and nobody chose otherwise: its state may be where only it can read it."""
    if os.environ.get("HELIOSTAT_ENGINE", "") != "embedded" and shutil.which("pulumi"):
        return _OfficialStacks()
    return _EmbeddedStacks(Place.here())


class _EmbeddedStacks:
    """State that the embedded engine reads itself, each stack's once."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._read: dict[str, Sequence[Mapping[str, Any]]] = {}

    def name(self, said: str | None) -> str:
        return self._place.stack(said).name

    def names(self) -> Sequence[str]:
        return [ref.name for ref in self._place.backend.stacks(self._place.require_project().name)]

    def outputs(self, stack: str) -> Mapping[str, Any]:
        roots = [one for one in self.resources(stack) if one["type"] == ROOT_STACK_TYPE and not one.get("parent")]
        return dict(roots[0].get("outputs") or {}) if roots else {}

    def resources(self, stack: str) -> Sequence[Mapping[str, Any]]:
        if stack not in self._read:
            document = self._place.backend.read(StackRef.parse(stack, self._place.require_project().name))
            self._read[stack] = (document.deployment or {}).get("resources") or []
        return self._read[stack]

    def history(self, stack: str) -> Iterable[Entry]:
        return history.newest_first(self._place.backend, StackRef.parse(stack, self._place.require_project().name))


class _OfficialStacks:
    """State that the official CLI is asked for."""

    def name(self, said: str | None) -> str:
        return said or os.environ.get("PULUMI_STACK") or _pulumi("stack", "--show-name").strip()

    def names(self) -> Sequence[str]:
        return [str(each["name"]) for each in json.loads(_pulumi("stack", "ls", "--json") or "[]")]

    def outputs(self, stack: str) -> Mapping[str, Any]:
        return _pulumi_json("stack", "output", "--json", "--show-secrets=false", "-s", stack)

    def resources(self, stack: str) -> Sequence[Mapping[str, Any]]:
        return (_pulumi_json("stack", "export", "-s", stack).get("deployment") or {}).get("resources") or []

    def history(self, stack: str) -> Iterable[Entry]:
        try:
            told = json.loads(_pulumi(*_HISTORY, "-s", stack) or "[]")
        except NotFoundError:
            return
        except ValueError:
            raise StackError(f"`pulumi stack history` of {stack} wrote no JSON") from None
        for each in told:
            environment = each.get("environment") or {}
            began = int(datetime.fromisoformat(each["startTime"]).timestamp())
            changes = each.get("resourceChanges") or {}
            yield Entry(each["kind"], began, began, each.get("result", ""), changes, environment=environment)


def _pulumi_json(*arguments: str) -> Mapping[str, Any]:
    text = _pulumi(*arguments)
    try:
        said = json.loads(text or "{}")
    except ValueError:
        raise StackError(f"`pulumi {' '.join(arguments)}` wrote no JSON: {text[:200]!r}") from None
    return said if isinstance(said, dict) else {}


def _pulumi(*arguments: str) -> str:
    command = ["pulumi", *arguments, "--non-interactive"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_CLI_LIMIT_S, check=False)  # noqa: S603 - no shell
    except subprocess.TimeoutExpired:
        raise StackError(f"`{' '.join(command)}` did not answer within {_CLI_LIMIT_S} s: try it by hand") from None
    if ran.returncode:
        text = f"`{' '.join(command)}` ended with {ran.returncode}: {ran.stderr.strip() or ran.stdout.strip()}"
        raise (NotFoundError if "no stack" in text else StackError)(text)
    return ran.stdout


def _exported(stacks: Stacks, stack: str) -> Mapping[str, Any]:
    """The output `platform` of the stack that made the platform, else of the stack itself; empty where there is none."""
    return platform_of(stacks, stack)[1]


def platform_of(stacks: Stacks, stack: str) -> tuple[str, Mapping[str, Any]]:
    """The stack that made the platform (`platformStack` of the config, else `stack` itself), and its output `platform`.

    The output is empty where there is none.
    """
    shared = _setting(stack, "platformStack")
    if isinstance(shared, str):
        found = platform_in(stacks.outputs(shared))
        if found:
            return shared, found
    return stack, platform_in(stacks.outputs(stack))


def _config_file(stack: str) -> Path:
    return Place.here().require_project().stack_file(stack.rpartition("/")[2])


def _setting(stack: str, section: str) -> Any:
    """What the stack's config says in a section; no secret is ever there."""
    return sections_of(Place.here().require_project(), stack.rpartition("/")[2]).get(section)


def sections_of(project: Project, stack: str) -> dict[str, Any]:
    """This library's sections of a stack's config, by their names, whether these are written with the project's or bare."""
    found = StackConfig(project.stack_file(stack), project.name).plain_values()
    return {key.removeprefix(f"{PROJECT}:"): value for key, value in found.items() if key.startswith(f"{PROJECT}:")}


def _declared(stack: str) -> StoreAddress:
    """The store of the platform that the stack's config declares, or that of the stack that it names."""
    shared = _setting(stack, "platformStack")
    name = (shared if isinstance(shared, str) else stack).rpartition("/")[2]
    file, platform = _config_file(name), _setting(name, "platform")
    if platform is None:
        raise PermanentError(
            f"the stack {stack!r} exports no platform, and {file} declares none: name the stack that made it with -s"
        )
    try:
        declared = TypeAdapter[Platform](Platform).validate_python(platform)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False))
        raise PermanentError(f"{file}: {PROJECT}:platform has mistakes: {wrong}") from None
    return stores.store_of(declared, data_folder(Place.here().require_project().root, name))
