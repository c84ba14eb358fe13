"""Where things lie in a project's folder: the program, its platform and the command have to agree on it; pure."""

from __future__ import annotations

from pathlib import Path


def data_folder(root: Path, stack: str) -> Path:
    """The folder of what a stack's platform keeps on this machine."""
    return root / ".heliostat" / "stacks" / stack


def workload_names(workloads: Path) -> list[str]:
    """The names of the workloads in a folder: each a folder with a `workload.py`, whose name has dashes where the folder's
    has underscores."""
    return sorted(path.parent.name.replace("_", "-") for path in workloads.glob("*/workload.py"))
