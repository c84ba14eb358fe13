"""Starts what has to run apart from this process: the program itself, the converted workload, and ruff."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from heliostat.convert.facts import Outcome, Task
from heliostat.convert.source import ConversionError

_SHOWN = 2000


def recorded(task: Task, seconds: float) -> Outcome:
    """What a run of a program told.

    Raises:
        ConversionError: it does not end in time, or its process dies.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, outcome = Path(folder, "task.json"), Path(folder, "outcome.json")
        given.write_text(task.model_dump_json())
        _run("recording", [str(given), str(outcome)], seconds, task.name)
        return Outcome.model_validate_json(outcome.read_text())


def differences(files: Mapping[str, str], package: str, answers: str, seconds: float) -> list[str]:
    """What a converted workload answers otherwise than it was recorded.

    Raises:
        ConversionError: it does not end in time, or its process dies.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(files, root)
        (root / "answers.json").write_text(answers)
        arguments = [folder, package, str(root / "answers.json"), str(root / "outcome.json")]
        _run("verifying", arguments, seconds, "the converted workload")
        found: list[str] = json.loads((root / "outcome.json").read_text())
        return found


def formatted(files: Mapping[str, str], config: Path | None) -> dict[str, str]:
    """The same files as ruff writes them: unused imports gone, and what it finds in a notebook's lines marked.

    `config`: the repository's pyproject.toml.

    Raises:
        ConversionError: ruff is not installed, or a file is no Python.
    """
    ruff = shutil.which("ruff", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if ruff is None:
        raise ConversionError("ruff is not installed, which writes the workload's code: pip install 'heliostat[convert]'")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write(files, root)
        if config is not None and config.is_file():
            shutil.copy(config, root / "pyproject.toml")
        for arguments in (
            ["check", "--quiet", "--fix", "--select", "I,F401,F811,UP", "--exit-zero"],
            ["format", "--quiet"],
            ["check", "--quiet", "--add-noqa"],
            ["check", "--quiet", "--fix", "--exit-zero"],
            ["format", "--quiet"],
        ):
            done = subprocess.run([ruff, *arguments, "."], cwd=root, capture_output=True, text=True, check=False)  # noqa: S603
            if done.returncode and arguments[0] == "format":
                raise ConversionError(f"what was made is no Python: {done.stderr.strip()[:_SHOWN]}")
        return {name: (root / name).read_text(encoding="utf-8") for name in files}


def write(files: Mapping[str, str], root: Path) -> None:
    """Write files below a folder."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def _run(module: str, arguments: list[str], seconds: float, what: str) -> None:
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-P", "-m", f"heliostat.convert.{module}", *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            command,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise ConversionError(
            f"{what} runs for more than {seconds:g} seconds: give it more with --timeout, or take --no-run"
        ) from None
    if done.returncode:
        raise ConversionError(f"{what} ended with {done.returncode}:\n{done.stderr.strip()[-_SHOWN:]}")
