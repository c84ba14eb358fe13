"""Whose reader leaves, as `head` does: the operation goes on, and nothing is left open."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

from heliostat.cli.display.sturdy import Sturdy


def test_a_display_whose_reader_left_leaves_no_descriptor_open(tmp_path, monkeypatch):
    def broken(_title):
        raise BrokenPipeError(32, "Broken pipe")

    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr("sys.stdout", out)
        before = len(list(Path("/proc/self/fd").iterdir()))
        Sturdy(SimpleNamespace(board=None, start=broken)).start("up")
        assert len(list(Path("/proc/self/fd").iterdir())) == before
        assert Path(f"/proc/self/fd/{out.fileno()}").readlink() == Path(os.devnull)
