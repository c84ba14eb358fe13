"""Every mistake that can be found without a stack, a credential or a cluster: in a pull request from anybody."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from heliostat.engine.config import yamledit
from heliostat.engine.config.project import Project
from heliostat.gitops.pins import section_of
from heliostat.gitops.settings import EnvironmentSettings
from heliostat.gitops.template import templated
from heliostat.layout import SourcesError, sources, workload_names
from heliostat.resources.workload_modules import parameters_of, problem_of, workload_module
from heliostat.spec.base import PROJECT
from heliostat.spec.branch_environments import BranchEnvironment
from heliostat.spec.code import WORKLOADS, CodeError, code_of
from heliostat.spec.stack import ConfigError, parse
from heliostat.systems.errors import PermanentError


def mistakes_in(project: Project, settings: EnvironmentSettings) -> Iterator[str]:
    """What is wrong with the stacks' configs, the code that the workloads' entry points need, and the template.

    The workloads' modules are imported: this is for a process that holds no secrets and ends.
    """
    root = project.root
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    names = workload_names(root / WORKLOADS)
    broken = dict(_broken(root, names, _over_sites(project)))
    yield from broken.values()
    whole = [name for name in names if name not in broken]
    for file in stack_files(project):
        yield from _config(file, project, names, whole)
    template = project.stack_file(settings.template)
    if template.is_file():
        try:
            templated(
                template.read_text(encoding="utf-8"), _short(template, root), BranchEnvironment(name="a-branch", branch="a")
            )
        except PermanentError as error:
            yield str(error)


def stack_files(project: Project) -> list[Path]:
    """The config file of each stack."""
    return sorted(project.config_folder.glob(f"Pulumi.*{project.file.suffix}"))


def _over_sites(project: Project) -> set[str]:
    """The workloads that some stack has trained over sites: what sites compute has to be there for no others."""
    from ruamel.yaml.error import YAMLError

    found: set[str] = set()
    for file in stack_files(project):
        with suppress(OSError, UnicodeDecodeError, YAMLError, PermanentError):  # `_config` tells of it
            declared = section_of(file.read_text(encoding="utf-8"), file.name)[1]
            found.update(name for name, each in declared.items() if isinstance(each, Mapping) and each.get("federated"))
    return found


def _broken(root: Path, names: list[str], over_sites: set[str]) -> Iterator[tuple[str, str]]:
    """Workloads whose modules cannot be imported, or whose entry points' code cannot be gathered."""
    try:
        packages = sources(root)
    except SourcesError as error:
        yield "", str(error)
        return
    for name in names:
        module = f"{WORKLOADS}.{name.replace('-', '_')}.workload"
        try:
            declare = getattr(workload_module(name), "declare", None)
            points: Mapping[str, str] = getattr(declare, "entry_points", {})
            for role, point in points.items():
                if role != "federated" or name in over_sites:
                    code_of(root, point, sources=packages)
        except ModuleNotFoundError as error:
            if error.name != module:  # else its model was logged by others
                yield name, f"{module} cannot be imported: {error}"
        except CodeError as error:
            yield name, str(error)
        except Exception as error:  # whatever their code raises
            yield name, f"{module} cannot be imported: {type(error).__name__}: {error}"


def _config(file: Path, project: Project, names: list[str], whole: list[str]) -> Iterator[str]:
    """What is wrong with one stack's config; workloads that cannot be imported are told of already."""
    from ruamel.yaml.error import YAMLError

    name = _short(file, project.root)
    try:
        text = file.read_text(encoding="utf-8")
        content = yamledit.load(text)
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        yield f"{name} cannot be read: {' '.join(str(error).split())}"
        return
    config = content.get("config") if isinstance(content, Mapping) else None
    if not isinstance(config, Mapping):
        yield f"{name} has no `config`: see docs/reference/config.md for what belongs there"
        return
    found, keys = _sections(config)

    def place(path: tuple[str | int, ...]) -> tuple[int, int] | None:
        steps = (keys.get(str(path[0]), path[0]), *path[1:]) if path else ()
        return yamledit.position(text, ("config", *steps))

    try:
        parse(
            found,
            name,
            names,
            place,
            lambda workload: parameters_of(workload) if workload in whole else None,
            lambda workload: problem_of(workload) if workload in whole else None,
        )
    except ConfigError as error:
        yield str(error)


def _sections(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """This project's sections by name, and the key of each as it is written."""
    ours = {key: key.removeprefix(f"{PROJECT}:") for key in config if ":" not in key or key.startswith(f"{PROJECT}:")}
    return {short: config[key] for key, short in ours.items()}, {short: key for key, short in ours.items()}


def _short(file: Path, root: Path) -> str:
    return str(file.relative_to(root) if file.is_relative_to(root) else file)
