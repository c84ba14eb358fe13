"""A job of a CI system may have a terminal, which nobody sits at."""

import sys
from types import SimpleNamespace

import pytest

from heliostat.cli.session import is_interactive, is_watched


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    for name in ("CI", "HELIOSTAT_NON_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)


def test_at_a_terminal_somebody_is_asked_and_lines_are_drawn_anew():
    assert is_interactive() and is_watched()


def test_in_a_job_nobody_is_asked_and_nothing_is_drawn_anew(monkeypatch):
    monkeypatch.setenv("CI", "true")
    assert not is_interactive() and not is_watched()


def test_a_dumb_terminal_draws_nothing_anew(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert is_interactive() and not is_watched()
