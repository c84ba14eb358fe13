"""A policy pack's virtual environment: made once, whole, and by one at a time."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from heliostat.engine.errors import EngineError
from heliostat.engine.protocol import packenvs
from heliostat.engine.protocol.packs import PackProject, read

PYTHON = """#!/bin/sh
echo "$@" >> {calls}
case "$*" in
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  *) while [ -e {gate} ]; do sleep 0.05; done
     if grep -q nonsense requirements.txt; then echo "No matching distribution found for nonsense" >&2; exit 1; fi ;;
esac
"""


class Folder:
    """A pack, and a Python that makes environments in no time and notes what it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls, self.gate = folder / "pack", folder / "calls", folder / "gate"
        self.folder.mkdir()
        self.calls.touch()
        (self.folder / "PulumiPolicy.yaml").write_text("runtime: {name: python, options: {virtualenv: venv}}\n")
        (self.folder / "__main__.py").touch()
        (self.folder / "requirements.txt").write_text("rules==1\n")
        self.python = folder / "python"
        self.python.write_text(PYTHON.format(calls=self.calls, gate=self.gate))
        self.python.chmod(self.python.stat().st_mode | stat.S_IEXEC)
        self.told: list[str] = []

    @property
    def pack(self) -> PackProject:
        return read(self.folder)

    @property
    def venv(self) -> Path:
        return self.folder / "venv"

    async def ensure(self) -> None:
        await packenvs.ensure(self.pack, os.environ, self.told.append, str(self.python))

    def installs(self) -> int:
        return sum("pip install" in line for line in self.calls.read_text().splitlines())

    async def until_installing(self, count: int = 1) -> None:
        async with asyncio.timeout(60):
            while self.installs() < count:  # noqa: ASYNC110 (another process writes it)
                await asyncio.sleep(0.01)


@pytest.fixture
def made(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


async def test_an_environment_that_is_not_there_is_made_of_the_requirements_once(made: Folder) -> None:
    await made.ensure()
    await made.ensure()
    assert made.calls.read_text().splitlines() == [
        f"-m venv {made.venv}",
        "-m pip install --quiet --disable-pip-version-check --no-input -r requirements.txt",
    ]
    assert "which is not there" in made.told[0]
    assert not (made.venv / packenvs.MAKING).exists()


async def test_a_pack_that_names_none_needs_none(made: Folder) -> None:
    (made.folder / "PulumiPolicy.yaml").write_text("runtime: python\n")
    await made.ensure()
    assert made.calls.read_text() == ""


async def test_one_that_its_user_made_is_left_alone_whatever_the_requirements_say(made: Folder) -> None:
    (made.venv / "bin").mkdir(parents=True)
    (made.venv / "bin" / "python").touch()
    await made.ensure()
    assert made.calls.read_text() == ""


async def test_other_requirements_make_it_anew(made: Folder) -> None:
    await made.ensure()
    (made.folder / "requirements.txt").write_text("rules==2\n")
    await made.ensure()
    assert made.installs() == 2
    assert "other requirements" in made.told[-1]


async def test_one_that_was_interrupted_is_made_anew(made: Folder) -> None:
    made.gate.touch()
    making = asyncio.ensure_future(made.ensure())
    await made.until_installing()
    making.cancel()
    await asyncio.gather(making, return_exceptions=True)
    assert (made.venv / "bin" / "python").exists()
    assert (made.venv / packenvs.MAKING).exists()
    made.gate.unlink()
    await made.ensure()
    assert made.installs() == 2
    assert "begun and not finished" in made.told[-1]
    assert [one.name for one in made.folder.iterdir() if one.name.startswith("venv")] == ["venv"]


async def test_of_two_at_once_one_makes_it_and_the_other_waits(made: Folder) -> None:
    made.gate.touch()
    first = asyncio.ensure_future(made.ensure())
    await made.until_installing()
    second = asyncio.ensure_future(made.ensure())
    async with asyncio.timeout(60):
        while not any("waiting for it" in text for text in made.told):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    made.gate.unlink()
    await asyncio.gather(first, second)
    assert made.installs() == 1


async def test_requirements_that_cannot_be_had_are_told_with_pip_s_words_and_tried_again(made: Folder) -> None:
    (made.folder / "requirements.txt").write_text("nonsense==1\n")
    for _ in range(2):
        with pytest.raises(EngineError, match="No matching distribution found for nonsense"):
            await made.ensure()
    (made.folder / "requirements.txt").write_text("rules==1\n")
    await made.ensure()
    assert made.installs() == 3
