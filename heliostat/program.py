"""A stack's program: reads its config, builds or finds its platform, declares its workloads, and exports where they are.

The folder of Pulumi.yaml holds `configs/Pulumi.<stack>.yaml` and the workloads, each `workloads/<name>/workload.py`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pulumi
from pulumi.runtime import config as runtime_config

from heliostat.layout import CODE, data_folder, has_code, workload_names
from heliostat.resources import Access, Handover, Platform, ServedExternalModel
from heliostat.resources.workload_modules import parameters_of, problem_of, workload_module
from heliostat.spec.base import PROJECT
from heliostat.spec.model_contracts import ModelContract, ModelContractError
from heliostat.spec.platforms.aws import AwsPlatform as DeclaredAws
from heliostat.spec.platforms.gcp import GcpPlatform as DeclaredGcp
from heliostat.spec.platforms.kubernetes import KubernetesPlatform as DeclaredKubernetes
from heliostat.spec.platforms.local import LocalPlatform as DeclaredLocal
from heliostat.spec.platforms.ray import RayPlatform as DeclaredRay
from heliostat.spec.stack import ConfigError, Stack, parse

_EXTRAS: Final = {
    "pulumi_aws": "aws,kubernetes",
    "pulumi_gcp": "gcp,kubernetes",
    "pulumi_kubernetes": "kubernetes",
}
"""Which of the library's extras brings a package that declares a platform's resources."""


def run() -> None:
    """Declare everything that the stack's config asks for; to be called once, by the folder that Pulumi.yaml's `main` names.

    Raises:
        pulumi.RunError: the config has mistakes; the engine shows its text alone, which is all of them.
    """
    root = Path(pulumi.get_root_directory())
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    stack = read(root / "workloads")
    platform = _with_its_packages(stack, root)
    pulumi.export("platform", platform.exported())
    if stack.access is not None:
        Access("access", stack.access, platform.controller, pulumi.ResourceOptions(depends_on=list(platform.ready)))
    platform = platform.with_snapshots(stack.snapshots)
    contracts = _contracts(stack, root)
    declared = {
        name: ServedExternalModel(name, contracts[name], spec, root, platform)
        if name in contracts
        else workload_module(name).declare(name, spec, root, platform)
        for name, spec in stack.workloads.items()
    }
    for name, each in declared.items():
        pulumi.export(name, each.exported())
    if platform.ready:
        after = pulumi.ResourceOptions(depends_on=[*platform.ready, *declared.values()])
        Handover("handover", platform.controller, platform.ray, after)


def _with_its_packages(stack: Stack, root: Path) -> Platform:
    try:
        return _platform(stack, root)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(error.name or "")
        if extra is None:
            raise
        raise pulumi.RunError(
            f"the stack's platform needs the package {error.name}, which is not installed: name heliostat[{extra}] in the "
            "requirements"
        ) from None


def _platform(stack: Stack, root: Path) -> Platform:
    folder = data_folder(root, pulumi.get_stack())
    # A cloud's SDK takes seconds to import: whoever does not need it does not wait for it.
    match stack.platform:
        case DeclaredLocal():
            from heliostat.platforms.local import LocalPlatform

            return LocalPlatform("local", stack.platform, folder).platform
        case DeclaredRay():
            from heliostat.platforms.ray import RayPlatform

            return RayPlatform("ray", stack.platform, folder).platform
        case DeclaredKubernetes():
            from heliostat.platforms.kubernetes import KubernetesPlatform

            return KubernetesPlatform("kubernetes", stack.platform).platform
        case DeclaredAws():
            from heliostat.platforms.aws import AwsPlatform

            return AwsPlatform("aws", stack.platform).platform
        case DeclaredGcp():
            from heliostat.platforms.gcp import GcpPlatform

            return GcpPlatform("gcp", stack.platform).platform
    return Platform.of_stack(str(stack.platform_stack), stack.environment.name if stack.environment else "")


def read(workloads: Path) -> Stack:
    """The stack that `configs/Pulumi.<stack>.yaml`, or the file of `--config-file`, declares, of the workloads in a folder.

    Raises:
        pulumi.RunError: with every mistake; the engine shows its text alone.
    """
    file = Path(os.environ.get("HELIOSTAT_CONFIG_FILE") or workloads.parent / "configs" / f"Pulumi.{pulumi.get_stack()}.yaml")
    name = str(file.relative_to(workloads.parent) if file.is_relative_to(workloads.parent) else file)
    try:
        return parse(
            sections(runtime_config.CONFIG.get()),
            name,
            workload_names(workloads),
            lambda path: _place(file, path),
            parameters_of,
            problem_of,
        )
    except ConfigError as error:
        raise pulumi.RunError(str(error)) from None


def _contracts(stack: Stack, root: Path) -> dict[str, ModelContract]:
    """The contracts of the workloads whose models others logged.

    Raises:
        pulumi.RunError: with every mistake in each of them, and each workload that has code beside, or neither.
    """
    # What reads them is not imported where no workload has one.
    found: dict[str, ModelContract] = {}
    told: list[str] = []
    for name, spec in stack.workloads.items():
        folder = f"workloads/{name.replace('-', '_')}"
        coded = has_code(root / "workloads", name)
        if spec.mlflow is None and not coded:
            told.append(f"{name} has a contract and no code ({folder}): name its model in `workloads.{name}.mlflow`")
        elif spec.mlflow is not None and coded:
            told.append(
                f"{name} has code of its own ({folder}/{CODE}): `mlflow` is for a model that is served without; `model` pins"
            )
        elif spec.mlflow is not None:
            from heliostat.ml.mlflow_models.described import contract_in

            try:
                found[name] = contract_in(root, name.replace("-", "_"))
            except ModelContractError as error:
                told.append(str(error))
    if told:
        raise pulumi.RunError("\n".join(told))
    return found


def _place(file: Path, path: tuple[str | int, ...]) -> tuple[int, int] | None:
    """Line and column of a mistake: its key may be written with the project's name or without."""
    from heliostat.engine.config.yamledit import position

    try:
        text = file.read_bytes().decode()
    except (OSError, UnicodeDecodeError):
        return None  # the engine had the config from elsewhere
    ways = [("config", f"{PROJECT}:{path[0]}", *path[1:]), ("config", str(path[0]), *path[1:])] if path else [("config",)]
    found = [place for way in ways if (place := position(text, way))]
    return max(found, default=None)


def sections(config: Mapping[str, str]) -> dict[str, Any]:
    """This project's keys without their namespace, each parsed where it is JSON, as structured config is."""
    found = {}
    for key, text in config.items():
        namespace, _, name = key.partition(":")
        if namespace == PROJECT:
            found[name] = _parsed(text)
    return found


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
