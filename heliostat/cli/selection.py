"""Which stack is selected: the official CLI's own record, in its home folder, so that both select the same."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from heliostat.engine.config.project import Project
from heliostat.engine.stackerrors import StackError


def recorded(home: Path, project_file: Path, project: str, backend_url: str) -> str:
    """The full name of the stack that is selected for a project file; empty where none is, or where the record is damaged."""
    try:
        said = json.loads(_file(home, project_file, project).read_text())
        chosen = (said.get("stacks") or {}).get(backend_url, said.get("stack"))
    except (OSError, ValueError, AttributeError):
        return ""
    return chosen if isinstance(chosen, str) else ""


def _file(home: Path, project_file: Path, project: str) -> Path:
    digest = hashlib.sha1(str(project_file).encode(), usedforsecurity=False).hexdigest()
    return home / "workspaces" / f"{project}-{digest}-workspace.json"


class Selection:
    """The record of one project on this machine."""

    def __init__(self, home: Path, project: Project, backend_url: str) -> None:
        self.file = _file(home, project.file, project.name)
        self._url = backend_url

    def get(self) -> str:
        """The full name of the selected stack; empty where none is."""
        said = self._read()
        chosen = (said.get("stacks") or {}).get(self._url, said.get("stack"))
        return chosen if isinstance(chosen, str) else ""

    def set(self, full_name: str) -> None:
        """Selects a stack, or none where the name is empty."""
        said = self._read()
        stacks = {url: name for url, name in (said.get("stacks") or {}).items() if url != self._url}
        said = {key: value for key, value in said.items() if key not in {"stack", "stacks"}}
        if full_name:
            stacks[self._url] = full_name
        if stacks:
            said["stacks"] = stacks
        if said:
            self._write(json.dumps(said, indent=4).encode())
        else:
            self.file.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        try:
            said = json.loads(self.file.read_text())
        except OSError:
            return {}
        except ValueError as error:
            raise StackError(f"{self.file} is damaged ({error}): remove it and select a stack again") from error
        return said if isinstance(said, dict) else {}

    def _write(self, content: bytes) -> None:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=self.file.parent, prefix=self.file.name)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(name).replace(self.file)
        except OSError as error:
            raise StackError(f"cannot write {self.file}: {error.strerror}") from error
