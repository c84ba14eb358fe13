"""Every mistake that can be found without a stack is told at once, and a repository without one has none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from repository_of import Repository

ROOT = Path(__file__).parents[2]


def validated(root: Path, code: int = 0) -> list[str]:
    """What `ci validate` says of a repository, in a process that has no secret."""
    names = ("PULUMI_", "HELIOSTAT_", "GITHUB_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    command = [sys.executable, "-m", "heliostat.cli.main", "--engine", "embedded", "ci", "validate", "--json"]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == code, done.stdout + done.stderr
    found: list[str] = json.loads(done.stdout)["mistakes"]
    return found


def test_this_repository_has_none():
    assert validated(ROOT) == []


def test_all_of_them_are_told_at_once_with_their_places(tmp_path: Path):
    repository = Repository(tmp_path / "repository")
    assert validated(repository.root) == []
    repository.write("configs/Pulumi.prod.yaml", "config: [1\n")
    repository.replace("configs/Pulumi.staging.yaml", "bees: {}", "bees: {federated: {sites: {}}, servng: {}}")
    repository.replace("workloads/wasps/workload.py", "TRAINING = Training()", "TRAINING = Training(")
    repository.write("configs/Pulumi.preview.yaml", "config:\n  heliostat:platform: {kind: local}\n")
    told = "\n".join(validated(repository.root, code=1))
    assert "configs/Pulumi.prod.yaml cannot be read" in told
    assert "workloads.wasps.workload cannot be imported: SyntaxError" in told
    assert "servng" in told and "configs/Pulumi.staging.yaml" in told
    assert "workloads.bees.federated" in told, "what sites compute is needed where a stack trains over them"
    assert "configs/Pulumi.preview.yaml" in told and "platformStack" in told
