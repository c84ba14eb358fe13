"""Gathers what a stack's config asks for, and whether its passphrase is there and right."""

from __future__ import annotations

from dataclasses import replace

from heliostat.cli.operators.doctor.facts import Passphrase, Stack
from heliostat.cli.rollouts.locate import sections_of
from heliostat.cli.session import Place, is_interactive
from heliostat.engine.config.stackconfig import StackConfig
from heliostat.engine.stackerrors import NotFoundError, StackError
from heliostat.engine.state.backend import StackRef
from heliostat.engine.state.secrets import PASSPHRASE, PASSPHRASE_FILE, Keyring, read_passphrase
from heliostat.layout import data_folder, workload_names
from heliostat.spec.platforms.local import LocalPlatform
from heliostat.spec.stack import ConfigError, parse
from heliostat.systems import processes
from heliostat.systems.errors import PermanentError

PARTS = {"mlflow": ("mlflow",), "ray": ("head",), "controller": ("controller", "haproxy")}
"""The services of a local platform, by the part's data folder."""


def named(place: Place, stack: str | None) -> StackRef | None:
    """The stack that is meant; None where none is."""
    try:
        return place.stack(stack)
    except NotFoundError:
        return None


def of(place: Place, ref: StackRef | None) -> Stack:
    """The stack with what its config declares."""
    if ref is None or place.project is None:
        return Stack(name=ref.name if ref else "", platform=LocalPlatform())
    file = place.project.stack_file(ref.name)
    try:
        exists, mistakes = place.backend.exists(ref), ""
    except StackError as error:
        exists, mistakes = False, str(error)
    found = Stack(name=ref.name, exists=exists, config_file=str(file), mistakes=mistakes, runs=_runs(place, ref))
    if mistakes or not file.exists():
        return found
    return _declared(place, found, file.name)


def _declared(place: Place, found: Stack, file: str) -> Stack:
    project = place.require_project()
    try:
        values = sections_of(project, found.name)
        declared = parse(values, file, workload_names(project.root / "workloads"))
    except (ConfigError, StackError) as error:
        return replace(found, mistakes=str(error))
    replicas = sum(one.serving.replicas for one in declared.workloads.values())
    shared = declared.platform_stack or ""
    return replace(found, platform=declared.platform, platform_stack=shared, replicas=replicas)


def _runs(place: Place, ref: StackRef) -> bool:
    folder = data_folder(place.require_project().root, ref.name)
    try:
        return any(processes.find(folder / part, name) for part, names in PARTS.items() for name in names)
    except PermanentError:
        return False


def passphrase(place: Place, stack: Stack) -> Passphrase | None:
    """Try the passphrase on the stack's salt; None outside a project. Nobody is asked for it."""
    if place.project is None or not stack.name:
        return None
    environment = place.environment
    named_by = next((one for one in (PASSPHRASE, PASSPHRASE_FILE) if one in environment), "")
    try:
        salt = StackConfig(place.project.stack_file(stack.name), place.project.name).salt
    except StackError:  # told as the config's mistake
        return None
    if not named_by:
        return Passphrase(has_salt=bool(salt), can_ask=is_interactive())
    problem = ""
    try:
        read_passphrase(environment)
        if salt:
            Keyring(environment).of(salt).verify()
    except StackError as error:
        problem = str(error)
    return Passphrase(bool(salt), named_by, problem)
