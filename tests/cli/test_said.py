"""What the commands write is clean: of control sequences that others put into it, and of secrets."""

import io
import re
import sys
from pathlib import Path

import pytest

import heliostat.cli
from heliostat.cli import say
from heliostat.cli.display.live import LiveDisplay
from heliostat.cli.display.plain import PlainDisplay
from heliostat.cli.display.report import Look
from heliostat.cli.tables import table
from heliostat.engine.events import Diagnostic, Op, Outputs, PropertyChange, StepFailed, StepStarted, StepSucceeded, Summary

EVIL = "a\x1b]0;title\x07b\x1b[2Kc\rd\x9b31me\u202ef"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain ä → text", "plain ä → text"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[H", "\\x1b[2J\\x1b[H"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("10%\r20%\r100%\r\n", "100%\n"),
        ("half\r", "half\\r"),
        ("\x9b2J", "\\x9b2J"),
        ("good\u202edab", "good\\u202edab"),
        ("\ud800", "\\ud800"),
    ],
)
def test_a_terminal_gets_text_and_no_commands(given, shown):
    assert say.clean(given) == shown


def test_a_name_stays_on_one_line_and_hides_nothing():
    assert say.line("a\rb\nc\td\x1b[31m") == "a\\rb\\nc\\td"


def evil_events():
    urn = f"urn:pulumi:dev::p::t:i:Thing::{EVIL}"
    return [
        StepStarted(urn, Op.UPDATE, (PropertyChange(EVIL, EVIL, EVIL + "!"),)),
        Diagnostic("info", EVIL, urn, ephemeral=True),
        Diagnostic("warning", EVIL, urn),
        StepSucceeded(urn, Op.UPDATE, 1.0, {EVIL: EVIL}, (PropertyChange(EVIL, EVIL, EVIL + "!"),)),
        StepStarted(urn + "2", Op.CREATE),
        Diagnostic("error", EVIL, urn + "2"),
        StepFailed(urn + "2", Op.CREATE, 1.0, EVIL),
        Outputs({EVIL: "old"}, {EVIL: EVIL, "object": {EVIL: [EVIL]}}),
    ]


@pytest.mark.parametrize("diff", [False, True])
@pytest.mark.parametrize("kind", [PlainDisplay, LiveDisplay])
def test_no_name_and_no_message_of_an_operation_commands_the_terminal(kind, diff):
    file = io.StringIO()
    display = kind(say.console(file=file, width=200, height=40, force_terminal=False), Look(preview=False, diff=diff))
    display.start("Updating (dev):")
    for event in evil_events():
        display(event)
        display.tick()
    display.notice(EVIL)
    display.stop(Summary(succeeded=False, changes={Op.UPDATE: 1}, seconds=1.5))
    written = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", file.getvalue()) if kind is LiveDisplay else file.getvalue()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", written)
    assert "\\x1b]0;title" in written


def test_a_picture_of_text_that_came_by_another_way_is_clean_too():
    file = io.StringIO()
    from rich.panel import Panel

    say.console(file=file, width=120).print(Panel(EVIL))
    assert "\x1b" not in file.getvalue()


def test_a_table_has_one_line_a_row():
    assert table(("NAME",), [(EVIL + "\nnext",)]).count("\n") == 1
    assert "\x1b" not in table(("NAME",), [(EVIL,)])


def test_data_is_as_it_is_for_a_pipe_and_clean_for_a_terminal(stack, monkeypatch):
    stack.ok("config", "set", "odd", "\x1b[2Jx")
    assert stack.ok("config", "get", "odd") == "\x1b[2Jx\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert stack.ok("config", "get", "odd") == "\\x1b[2Jx\n"


def test_errors_are_clean_also_those_about_a_wrong_call(stack):
    assert "\x1b" not in stack("config", "get", "\x1b[2J").err
    assert "\x1b" not in stack("stack", "\x1b[2J").err
    assert "\x1b" not in stack("stack", "select", "\x1b[2J").err


def test_an_error_shows_no_secret_that_the_command_has_met(stack):
    stack.ok("config", "set", "--secret", "--path", "db.password", "opensesame")
    (stack.folder / "Pulumi.yaml").write_text("name: demo\nruntime: python\nconfig: {n: {type: integer}}\n")
    stack.config.write_text(stack.config.read_text() + "  n: opensesame\n")
    ran = stack("preview")
    assert "opensesame" in ran.err, "nothing has met the secret yet"
    stack.monkeypatch.setattr("heliostat.cli.operate._Work", _Breaks)
    assert "it is [secret]" in stack("preview").err


class _Breaks:
    def __init__(self, session, request, ahead):
        session.program_config(session.merged_values(required=False))
        raise RuntimeError("it is opensesame")


def test_nothing_is_written_past_the_one_place():
    folder = Path(heliostat.cli.__file__).parent
    found = [
        f"{file.relative_to(folder)}: {text}"
        for file in sorted(folder.rglob("*.py"))
        if file.name != "say.py"
        for text in re.findall(r"click\.s?echo|(?<![.\w])print\(|std(?:out|err)\.write|(?<![\w.])Console\(", file.read_text())
    ]
    assert set(found) == {"main.py: stderr.write", "rollouts/watch.py: stdout.write"}
