"""A small repository in git: two workloads, three stacks."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

_PARAMETERS = """\
from heliostat.spec.parameters import JobParameters


class Training(JobParameters):
    rounds: int = 10
"""
FILES = {
    "Pulumi.yaml": "name: heliostat\nruntime: {name: python}\nmain: infra\nstackConfigDir: configs\n",
    "heliostat.toml": "",
    "infra/__main__.py": "from heliostat import program\n\nprogram.run()\n",
    "README.md": "A repository.\n",
    "configs/Pulumi.prod.yaml": """\
config:
  heliostat:platformStack: organization/heliostat/platform
  heliostat:workloads:
    bees: {serving: {replicas: 2}}
    wasps:
      serving:
        strategy:
          kind: canary
          steps: [{weight: 10}]
          analysis: {checks: [{kind: custom, name: fair, function: "workloads.checks:fair"}]}
""",
    "configs/Pulumi.staging.yaml": """\
config:
  heliostat:platformStack: organization/heliostat/platform
  heliostat:workloads:
    bees: {}
""",
    "configs/Pulumi.platform.yaml": "config:\n  heliostat:platform: {kind: local}\n",
    "workloads/__init__.py": "",
    "workloads/checks.py": "def fair():\n    return True\n",
    "workloads/shared.py": "LIMIT = 3\n",
    **{
        f"workloads/{name}/{file}": text
        for name in ("bees", "wasps")
        for file, text in {
            "__init__.py": "",
            "workload.py": f"""\
from heliostat.resources.served_model import by_convention
from workloads.{name}.parameters import Training

TRAINING = Training()
declare = by_convention(__name__, TRAINING)
""",
            "parameters.py": _PARAMETERS,
            "dataset.py": "def snapshot(parameters):\n    return None\n",
            "train.py": f"from workloads.{name}.features import FEATURES\n\n\ndef train(context):\n    return FEATURES\n",
            "features.py": "from workloads.shared import LIMIT\n\nFEATURES = LIMIT\n",
            "predictor.py": f"from workloads.{name}.features import FEATURES\n\n\nclass Model:\n    features = FEATURES\n",
            "contract.py": f"from workloads.{name}.predictor import Model\n\nCONTRACT = Model\n",
        }.items()
    },
}


class Repository:
    def __init__(self, root: Path, files: Mapping[str, str] = FILES) -> None:
        self.root = root
        for name, text in files.items():
            self.write(name, text)
        self.git("init", "-q", "-b", "main")
        self.commit()

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def replace(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-q", "-m", "Change")

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=self.root, capture_output=True, text=True, check=True)
        return done.stdout
