"""Environments of their own, for what cannot share one with Ray Serve; made once, in `.heliostat/bench`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from uv import find_uv_bin

from bench.commands import run
from bench.session import SOURCE


def binaries(name: str, packages: Sequence[str]) -> Path:
    """The folder of the programs of the environment `name`, which is made with `packages` where it is not there yet.

    Raises:
        MeasurementError: it cannot be made.
    """
    folder = SOURCE / ".heliostat" / "bench" / name
    made = folder / "made"
    if not made.is_file():
        uv = find_uv_bin()
        folder.parent.mkdir(parents=True, exist_ok=True)
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        for command in (
            [uv, "venv", "--clear", "--python", version, str(folder)],
            [uv, "pip", "install", "--python", str(folder / "bin" / "python"), *packages],
        ):
            run(command, folder.parent)
        made.touch()
    return folder / "bin"
