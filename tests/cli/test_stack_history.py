"""What was applied to a stack is read from its history, whoever keeps that."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from heliostat.cli.rollouts.locate import stacks_here
from heliostat.engine.stackerrors import StackError
from heliostat.gitops.applied import NEVER, Applied, last_applied

COMMIT = "c" * 40


def official(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A `pulumi` on PATH that notes what it is asked."""
    program = folder / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\n{script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("HELIOSTAT_ENGINE", raising=False)


def test_the_official_cli_is_asked_where_it_keeps_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    environment = {"git.head": COMMIT, "git.dirty": "false"}
    told = [
        {"kind": "refresh", "result": "succeeded", "startTime": "2026-01-02T00:00:00.000Z"},
        {"kind": "update", "result": "succeeded", "startTime": "2026-01-01T00:00:00.000Z", "environment": environment},
    ]
    official(tmp_path, monkeypatch, f"cat <<'E'\n{json.dumps(told)}\nE")
    assert last_applied(stacks_here().history("prod")) == Applied(COMMIT, since=1_767_225_600)
    asked = "stack history --json --show-secrets=false --page-size=100 -s prod --non-interactive\n"
    assert (tmp_path / "asked").read_text() == asked


def test_of_a_stack_that_is_not_there_nothing_was_applied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    official(tmp_path, monkeypatch, "echo \"error: no stack named 'prod' found\" >&2; exit 255")
    assert last_applied(stacks_here().history("prod")) == Applied(why_unknown=NEVER)


def test_a_history_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    official(tmp_path, monkeypatch, "echo Welcome")
    with pytest.raises(StackError, match="wrote no JSON"):
        last_applied(stacks_here().history("prod"))
