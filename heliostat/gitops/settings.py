"""`[environments]` of heliostat.toml: which template branches' environments are made of, and how long they stay; all pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

_KEYS: Final = ("template", "idle", "protected", "keep-runs")
_SECONDS: Final = {"m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION: Final = re.compile(r"([1-9][0-9]{0,5})([mhd])")


@dataclass(frozen=True)
class EnvironmentSettings:
    """What all environments of a repository have in common."""

    template: str = "preview"
    """The stack whose config they are made of: `configs/Pulumi.<template>.yaml`."""
    idle_seconds: float = 3 * 86400.0
    """How long after its last push or request an environment goes."""
    protected: tuple[str, ...] = ()
    """Patterns of branches, or of environments, that are never taken down."""
    keep_runs: bool = True
    """Whether the runs of MLflow that an environment made outlive it: what was trained there is not trained again."""

    def protects(self, *names: str) -> bool:
        """Whether a branch or an environment of one of these names stays."""
        return any(fnmatchcase(name, pattern) for name in names for pattern in self.protected)


def seconds_of(text: str) -> float | None:
    """The seconds of `90m`, `72h` or `3d`; None of any other text."""
    found = _DURATION.fullmatch(text)
    return float(found[1]) * _SECONDS[found[2]] if found else None


def settings_of(said: Any) -> tuple[EnvironmentSettings, list[str]]:
    """What the table says, and all that is wrong with it."""
    if not isinstance(said, Mapping):
        return EnvironmentSettings(), [f"environments: has to be a table with {', '.join(_KEYS)}"]
    usual = EnvironmentSettings()
    mistakes = [f"environments.{key}: there is no such key; there are {', '.join(_KEYS)}" for key in said if key not in _KEYS]
    template, idle = said.get("template", usual.template), said.get("idle", "3d")
    protected, keep_runs = said.get("protected", []), said.get("keep-runs", usual.keep_runs)
    if not isinstance(template, str) or not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", template):
        mistakes.append(f"environments.template: {template!r} is no name of a stack")
    seconds = seconds_of(idle) if isinstance(idle, str) else None
    if seconds is None:
        mistakes.append(f'environments.idle: {idle!r} is no time: write "90m", "72h" or "3d"')
    if not isinstance(protected, list) or not all(isinstance(one, str) for one in protected):
        mistakes.append('environments.protected: has to be a list of patterns of branches, such as ["main", "release/*"]')
    if not isinstance(keep_runs, bool):
        mistakes.append(f"environments.keep-runs: {keep_runs!r} has to be true or false")
    if mistakes or seconds is None:
        return usual, mistakes
    return EnvironmentSettings(template, seconds, tuple(protected), keep_runs), []
