"""Sittings without a world: what each try of a cell shows is chosen before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import sitting
from tests.faults.fake_steps import Steps, through


class FakeWorld:
    """Counts how often one is started and ended."""

    started = ended = 0
    error: Exception | None = None

    def __init__(self, folder: Path) -> None:
        assert folder == sitting.FOLDER

    def start(self):
        type(self).started += 1
        if self.error is not None:
            raise self.error

    def close(self):
        type(self).ended += 1


class Tries:
    """What is left of what the tries will show."""

    def __init__(self) -> None:
        self.left: list[Steps | BaseException] = []
        self.world = type("World", (FakeWorld,), {})

    def measure(self, cell, world, project):
        step = self.left.pop(0)
        if isinstance(step, BaseException):
            raise step
        return through(step, cell=cell)


def fake(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Tries:
    """Put the fakes in the place of what is real, and `folder` in that of the checkout's."""
    tries = Tries()
    monkeypatch.setattr(sitting, "FOLDER", folder / "world")
    monkeypatch.setattr(sitting, "World", tries.world)
    monkeypatch.setattr(sitting, "Project", lambda world: None)
    monkeypatch.setattr(sitting, "measure", tries.measure)
    return tries
