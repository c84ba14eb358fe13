"""What a stack's config says of a workload, where there is one."""

from __future__ import annotations

from pathlib import Path

from heliostat.spec.workload import Workload


def workload_in(root: Path, name: str, stack: str | None) -> Workload:
    """A workload's section of a stack's config; an empty one where no stack is named, or it says nothing of it.

    Raises:
        ValueError: the section is wrong.
    """
    if stack is None:
        return Workload()
    from ruamel.yaml import YAML

    file = root / "configs" / f"Pulumi.{stack.rpartition('/')[2]}.yaml"
    if not file.is_file():
        raise ValueError(f"there is no {file.relative_to(root)}")
    config = (YAML(typ="safe").load(file.read_text()) or {}).get("config") or {}
    section = (config.get("heliostat:workloads") or {}).get(name)
    return Workload.model_validate(section or {})
