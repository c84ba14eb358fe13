"""What tests of conversions share: programs that run in forks of this process, which has their imports already."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

import pytest

from heliostat.convert import converting, recording, running, verifying
from heliostat.convert.source import ConversionError

NOTEBOOKS = Path(__file__).parent / "notebooks"
CONFIG = Path(__file__).parents[2] / "heliostat/scaffold/repository/pyproject.toml"
_PROGRAMS = {"recording": recording, "verifying": verifying}


def _forked(module: str, arguments: list[str], folder: Path, seconds: float, what: str) -> None:
    pid = os.fork()
    if not pid:
        os.chdir(folder)
        sys.argv = [module, *arguments]
        os.environ["MPLBACKEND"] = "Agg"
        code = 1
        try:
            _PROGRAMS[module].main()
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    if os.waitpid(pid, 0)[1]:
        raise ConversionError(f"{what} failed")


@pytest.fixture(scope="session")
def convert():
    """A notebook or script of this folder, or at a path, to what it becomes; each once."""
    known: dict[tuple[object, ...], converting.Converted] = {}

    def converted(source: str | Path, name: str | None = None, **options: object) -> converting.Converted:
        path = NOTEBOOKS / source
        key = (path, name, *sorted(options.items()))
        if key not in known:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(running, "_run", _forked)
                chosen = converting.Options(name or path.stem.replace("_", "-"), config=CONFIG, **options)
                known[key] = converting.convert(path, chosen)
        return known[key]

    return converted


@pytest.fixture
def script(tmp_path):
    """A script of these lines."""

    def written(text: str) -> Path:
        path = tmp_path / "script.py"
        path.write_text(text)
        return path

    return written
