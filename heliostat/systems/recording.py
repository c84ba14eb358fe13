"""Runs the process that loads a model of others and records its answers, in the environment that its replicas will have."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from heliostat.spec.environments import differences
from heliostat.spec.recording import Found, RecordingTask
from heliostat.systems import model_environments
from heliostat.systems.errors import PermanentError

_SECONDS: Final = 900.0
_TAIL: Final = 4_000
_PROGRAM: Final = "heliostat.jobs.record"


def record(folder: Path, name: str, requirements: tuple[str, ...], contract: dict[str, Any] | None) -> Found:
    """What the model in `folder`, called `name`, takes and answers.

    Raises:
        PermanentError: it cannot be served as it is, its requirements cannot be met, or the process ends without an answer.
    """
    with tempfile.TemporaryDirectory(prefix="heliostat-recording-") as temporary:
        place = Path(temporary)
        own = _environment(requirements, place / "packages")
        task, answer = place / "task.json", place / "found.json"
        task.write_text(RecordingTask(folder=str(folder), name=name, contract=contract).model_dump_json(by_alias=True))
        ended = _run(task, answer, own, place)
        if ended.returncode or not answer.is_file():
            told = ended.stderr.strip()[-_TAIL:] or f"it ended with {ended.returncode}"
            raise PermanentError(f"looking at {name} failed:\n{told}")
        found = Found.model_validate_json(answer.read_bytes())
    if found.mistake:
        raise PermanentError(found.mistake)
    return found


def _environment(requirements: tuple[str, ...], place: Path) -> list[str]:
    """The folder with packages of the model's own, where it needs any."""
    if not differences(requirements, model_environments.version_of):
        return []
    packages = model_environments.resolved(requirements)
    model_environments.install(packages, place)
    return [str(place)]


def _run(task: Path, answer: Path, own: list[str], place: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([*own, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        return subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", _PROGRAM, str(task), str(answer)],
            cwd=place,
            env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PermanentError(f"the model was not loaded, and did not answer its examples, in {_SECONDS:g} s") from None
