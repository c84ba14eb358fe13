"""A repository with many workloads and many stacks, each workload code of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from bench.session import SOURCE

_OF: Final = "flights"
"""The workload that all others are copies of."""
SHARED: Final = "workloads/shared.py"
"""What the training of each of them imports."""
_ALIKE: Final = ("Pulumi.yaml", "heliostat.toml", "infra")
_AUTHOR: Final = ("-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "commit.gpgsign=false")


def make(root: Path, workloads: int, stacks: int) -> None:
    """A checkout on a branch, at the commit of `main`: copies of one workload, and stacks with all of them in each.

    Raises:
        subprocess.CalledProcessError: git failed.
    """
    (root / "workloads").mkdir(parents=True)
    for name in _ALIKE:
        _copy(SOURCE / name, root / name)
    (root / "requirements.lock").write_text("heliostat==0.0.0\n")
    (root / "workloads" / "__init__.py").touch()
    (root / SHARED).write_text("LIMIT = 1\n")
    names = [f"{_OF}_{number:03}" for number in range(workloads)]
    for name in names:
        _copy(SOURCE / "workloads" / _OF, root / "workloads" / name)
        for file in (root / "workloads" / name).glob("*.py"):
            file.write_text(file.read_text().replace(f"workloads.{_OF}", f"workloads.{name}"))
        train = root / "workloads" / name / "train.py"
        train.write_text(f"{train.read_text()}\n\nfrom workloads.shared import LIMIT  # noqa: E402, F401\n")
        schema = root / "workloads" / name / "schema.yaml"
        schema.write_text(f"# Of {name}.\n{schema.read_text()}")
    (root / "configs").mkdir()
    described = yaml.safe_load((SOURCE / "configs" / "Pulumi.local.yaml").read_text())["config"]
    said: dict[str, Any] = described["heliostat:workloads"][_OF]
    for number in range(stacks):
        each = {**said, "serving": {**said["serving"], "replicas": number + 1}}
        config = {**described, "heliostat:workloads": {name.replace("_", "-"): each for name in names}}
        (root / "configs" / f"Pulumi.stack-{number}.yaml").write_text(yaml.dump({"config": config}, Dumper=_Plain))
    for arguments in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        ["commit", "-q", "-m", "As it is"],
        ["switch", "-q", "-c", "b"],
    ):
        subprocess.run(["git", "-C", str(root), *_AUTHOR, *arguments], check=True)  # noqa: S603, S607 - our own arguments


class _Plain(yaml.SafeDumper):
    """Writes what is there twice out twice, as people do."""

    def ignore_aliases(self, data: Any) -> bool:
        """Of all."""
        return True


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)
