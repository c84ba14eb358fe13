"""Where the plugin of a provider lies on this machine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from heliostat.engine.errors import EngineError
from heliostat.engine.protocol.launching import executable_of, interpreter


@dataclass(frozen=True)
class PluginPlaces:
    """The folders of plugins: those that the project names, and those in which one of any name is looked for."""

    named: Mapping[str, Path] = field(default_factory=dict)
    """By provider, as `plugins.providers` of Pulumi.yaml has them."""
    searched: tuple[Path, ...] = ()

    @classmethod
    def of(
        cls, named: Mapping[str, Path], options: Mapping[str, Any], root: Path, environment: Mapping[str, str]
    ) -> PluginPlaces:
        """What the project names; else what lies beside the program's Python, like its library; beside this one; on PATH."""
        folders = [Path(sys.executable).parent, *map(Path, environment.get("PATH", os.defpath).split(os.pathsep))]
        with suppress(EngineError):  # whoever starts the program says that its Python is not there
            folders.insert(0, Path(interpreter(options, root, environment)[0]).parent)
        return cls(named, tuple(dict.fromkeys(folders)))

    def find(self, package: str) -> Path | None:
        """The folder that holds the plugin of `package`; None where there is none."""
        if package in self.named:
            return self.named[package]
        path = os.pathsep.join(map(str, self.searched))
        found = shutil.which(executable_of(package), path=path) if path else None
        return Path(found).parent if found else None
