"""`make up`: what it asks before it deletes, and that it ends with a prediction whatever became of the update."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "up"


class Checkout:
    """One with a `heliostat` that writes down how it is called; its updates end with `code`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.script = folder / "scripts" / "up"
        self.command = folder / ".venv" / "bin" / "heliostat"
        for path in (self.script, self.command):
            path.parent.mkdir(parents=True)
        shutil.copy(SCRIPT, self.script)

    def up(self, code: int = 0, **variables: str) -> tuple[int, list[str]]:
        """The exit code, and the calls."""
        self.command.write_text(f'#!/bin/sh\necho "$@" >> calls\n[ "$1" != up ] || exit {code}\n')
        self.command.chmod(0o755)
        environment = {name: value for name, value in os.environ.items() if name != "DELETE"}
        ended = subprocess.run([self.script, "local"], env=environment | variables, check=False)
        return ended.returncode, (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_what_left_the_config_is_asked_for_before_it_is_deleted(checkout: Checkout) -> None:
    [update] = [call for call in checkout.up()[1] if call.startswith("up ")]
    assert "--confirm-deletes" in update.split()


def test_whoever_says_so_beforehand_is_not_asked(checkout: Checkout) -> None:
    [update] = [call for call in checkout.up(DELETE="1")[1] if call.startswith("up ")]
    assert "--confirm-deletes" not in update


@pytest.mark.parametrize("code", [0, 1])
def test_what_serves_is_asked_for_a_prediction_also_where_the_update_failed(checkout: Checkout, code: int) -> None:
    ended, calls = checkout.up(code)
    assert ended == code
    assert [call.split()[0] for call in calls] == ["stack", "up", "predict"]
