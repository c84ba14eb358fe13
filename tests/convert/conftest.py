"""What tests of conversions share: programs that run in forks of a process that has their imports already."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from heliostat.convert import converting, recording, running, verifying
from heliostat.convert.source import ConversionError

NOTEBOOKS = Path(__file__).parent / "notebooks"
CONFIG = Path(__file__).parents[2] / "heliostat/scaffold/repository/pyproject.toml"
_PROGRAMS = {"recording": recording.main, "verifying": verifying.main}
# Not of this process: OpenMP does not survive a fork of one that has used it.
_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([
    *("heliostat.convert.recording", "heliostat.convert.verifying", "heliostat.ml.frameworks.scikit_learn.frames", "skops.io"),
    *("sklearn.ensemble", "sklearn.linear_model", "sklearn.pipeline", "sklearn.compose", "sklearn.datasets"),
])  # fmt: skip


def _forked(module: str, arguments: list[str], seconds: float, what: str) -> None:
    process = _FORKS.Process(target=_PROGRAMS[module], args=(arguments,))
    process.start()
    process.join(seconds)
    if process.exitcode != 0:
        process.kill()
        raise ConversionError(f"{what} ended with {process.exitcode}")


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
