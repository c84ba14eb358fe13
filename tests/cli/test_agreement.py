"""Before an update deletes what serves or holds data, somebody is asked; where nobody can be, it stays."""

import asyncio
import os
import pty

import pytest

from heliostat.cli import agreement
from heliostat.cli.agreement import Agreement, is_guarded
from heliostat.cli.handover import choose
from heliostat.engine.state.snapshot import Resource


def resource(type_="heliostat:index:Application", name="flights", **more):
    return Resource(f"urn:pulumi:dev::p::{type_}::{name}", type_, custom=True, **more)


class Screen:
    def __init__(self):
        self.did = []

    def pause(self):
        self.did.append("pause")

    def resume(self):
        self.did.append("resume")


@pytest.fixture
def terminal(monkeypatch):
    """A terminal that standard input is; what is written to it is typed."""
    theirs, ours = pty.openpty()
    with os.fdopen(ours, "r") as keyboard:
        monkeypatch.setattr("sys.stdin", keyboard)
        monkeypatch.setattr(agreement, "is_interactive", lambda: True)
        yield theirs
    os.close(theirs)


def test_what_serves_or_holds_data_is_guarded_and_what_is_only_forgotten_is_not():
    assert is_guarded(resource())
    assert is_guarded(resource("heliostat:index:ObjectStore"))
    assert is_guarded(resource("aws:rds/instance:Instance"))
    for harmless in ("heliostat:index:TrainJob", "pulumi:providers:aws", "pulumi:pulumi:StackReference"):
        assert not is_guarded(resource(harmless))
    for kept in ("external", "retain_on_delete", "pending_replacement"):
        assert not is_guarded(resource(**{kept: True}))


async def test_without_a_terminal_it_is_refused_with_what_allows_it(monkeypatch):
    monkeypatch.setattr(agreement, "is_interactive", lambda: False)
    screen = Screen()
    agree = Agreement(screen, asyncio.Event())
    why = await agree([resource(name="a\x1b[2J"), resource("heliostat:index:Dataset")])
    assert "heliostat:index:Application a\\x1b[2J" in why
    assert "Dataset" not in why
    assert "make up DELETE=1" in why
    assert screen.did == []
    assert await agree([resource("heliostat:index:Dataset")]) == ""


@pytest.mark.parametrize(("typed", "agreed"), [("y\n", True), ("yes\n", True), ("n\n", False), ("\n", False)])
async def test_at_a_terminal_somebody_is_asked(terminal, capsys, typed, agreed):
    os.write(terminal, typed.encode())
    screen = Screen()
    why = await Agreement(screen, asyncio.Event())([resource()])
    assert (why == "") is agreed
    assert screen.did == ["pause", "resume"]
    assert "will be deleted:\n  heliostat:index:Application flights\nDelete them? [y/N] " in capsys.readouterr().err


async def test_a_cancelled_operation_waits_for_no_answer(terminal):
    cancel = asyncio.Event()
    cancel.set()
    async with asyncio.timeout(60):
        assert "declined" in await Agreement(Screen(), cancel)([resource()])


def test_the_plugin_below_the_official_cli_is_told(tmp_path):
    pulumi = tmp_path / "pulumi"
    pulumi.touch()
    pulumi.chmod(0o755)
    chosen = choose(["up", "--confirm-deletes", "--yes"], {"PATH": str(tmp_path)})
    assert chosen.arguments == ("up", "--yes")
    assert chosen.variables == {"HELIOSTAT_CONFIRM_DELETES": "1"}


def test_the_flag_is_the_engines_question_and_not_the_plugins(stack, monkeypatch):
    from heliostat.cli import operate
    from heliostat.engine.events import Summary

    seen = []

    async def run(kind, target, options, *rest):
        seen.append((kind, options.agree, target.environment["HELIOSTAT_CONFIRM_DELETES"]))
        return Summary(True, {}, 0.1)

    monkeypatch.setattr(operate, "run", run)
    stack.ok("up", "--yes", "--skip-preview", "--confirm-deletes")
    stack.ok("up", "--yes", "--skip-preview")
    stack.ok("destroy", "--yes", "--skip-preview")
    assert [(kind, agree is not None, said) for kind, agree, said in seen] == [
        ("update", True, ""),
        ("update", False, ""),
        ("destroy", False, ""),
    ]
