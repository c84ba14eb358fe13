"""docs/engine.md names every flag of `up`, `preview`, `refresh` and `destroy`; those that are refused say what to do."""

import io
import json
import re
from pathlib import Path

import click
import pytest
from test_operations import THING, Engine

from heliostat.cli import handover, operate, say, switches
from heliostat.cli.commands import operations
from heliostat.cli.display.messages import diff_lines, paths_of
from heliostat.cli.display.plain import PlainDisplay
from heliostat.cli.display.report import Look
from heliostat.engine.events import Diagnostic, Op, PropertyChange, StepStarted, StepSucceeded

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "engine.md"
COMMANDS = {"u": operations.up, "p": operations.preview, "r": operations.refresh, "d": operations.destroy}
FOLDED = "--remote-"
"""Flags that the table has in one row."""


@pytest.fixture
def engine(monkeypatch):
    made = Engine()
    monkeypatch.setattr(operate, "run", made.run)
    return made


def table():
    """Each flag of the table: its short form, the commands that it is told to be of, and what it does."""
    section = DOCUMENT.read_text().split("\n## Flags\n", 1)[1].split("\n## ", 1)[0]
    for line in section.splitlines():
        if line.startswith("| `--"):
            names, commands, text = (cell.strip() for cell in line.strip("|").split("|", 2))
            flags = re.findall(r"`(-[^`]+)`", names)
            yield flags, re.findall(r"\w", commands), text


def options(command):
    return [param for param in command.params if isinstance(param, click.Option)]


def takes_value(option):
    """Whether the next argument is its value, whatever it looks like."""
    return not option.is_flag and not isinstance(option.flag_value, str)


def flags_of(command):
    return {flag for option in options(command) for flag in option.opts if flag != "--help"}


TABLE = list(table())
REFUSED = [(flags, commands) for flags, commands, text in TABLE if text.startswith("refused")]


@pytest.mark.parametrize("letter", COMMANDS)
def test_a_command_has_each_flag_that_the_table_says_it_has(letter):
    there = flags_of(COMMANDS[letter])
    told = {flag for flags, commands, _ in TABLE if letter in commands for flag in flags}
    assert told - there - ({"-x"} if letter == "u" else set()) == set()


@pytest.mark.parametrize("letter", COMMANDS)
def test_each_flag_of_a_command_is_in_the_table(letter):
    told = {flag for flags, _, _ in TABLE for flag in flags}
    assert {flag for flag in flags_of(COMMANDS[letter]) if not flag.startswith(FOLDED)} - told == set()


def test_a_flag_stands_in_the_table_once():
    flags = [flag for flags, _, _ in TABLE for flag in flags]
    assert len(flags) == len(set(flags))


@pytest.mark.parametrize("letter", COMMANDS)
def test_what_the_table_says_is_refused_is_what_is_refused(letter):
    hidden = {o.opts[-1] for o in options(COMMANDS[letter]) if o.hidden and not o.expose_value}
    told = {flags[0] for flags, commands in REFUSED if letter in commands}
    assert {flag for flag in hidden if not flag.startswith(FOLDED)} == told


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        (command, option)
        for command, function in {"up": operations.up, "destroy": operations.destroy, "preview": operations.preview}.items()
        for option in options(function)
        if option.hidden and not option.expose_value
    ],
    ids=lambda value: value if isinstance(value, str) else value.opts[-1],
)
def test_a_refused_flag_is_named_with_what_to_do(stack, engine, command, flag):
    ran = stack(command, flag.opts[-1], *(["x"] if takes_value(flag) else []))
    assert ran.code == 2
    assert ran.err.startswith(f"error: {flag.opts[-1]}: ")
    assert re.search(r"leave it out|use |start one|as ever|import_|mend it|makes none|clear", ran.err), ran.err
    assert engine.calls == []


@pytest.mark.parametrize("command", ["up", "preview", "refresh", "destroy"])
def test_a_template_or_a_url_is_refused(stack, engine, command):
    ran = stack(command, "https://example.org/template")
    assert ran.code == 2
    assert "'https://example.org/template': the embedded engine runs the project of the current folder" in ran.err


def test_the_variable_that_stands_for_running_the_program_is_refused_where_it_would_count(stack, engine):
    stack.monkeypatch.setenv("PULUMI_RUN_PROGRAM", "true")
    stack.ok("preview")
    for arguments in (["preview", "--refresh"], ["refresh", "--yes"], ["destroy", "--yes"]):
        ran = stack(*arguments)
        assert ran.code == 2
        assert "PULUMI_RUN_PROGRAM: the embedded engine refreshes and destroys by the state alone" in ran.err


def test_what_takes_a_value_is_known_to_whoever_looks_for_flags_of_ours():
    taking = {
        flag for command in COMMANDS.values() for option in options(command) if takes_value(option) for flag in option.opts
    }
    assert taking - switches.WITH_VALUE == set()
    kept, variables = switches.taken_out(["up", "--attach-debugger", "--detach", "-x", "--wait"], "up")
    assert kept == ["up", "--attach-debugger", "-x", "--wait"]
    assert set(variables) == set(switches.variables_of(["--detach"]))


# --- what the others do


def test_the_configuration_is_shown_on_demand_with_its_secrets_hidden(stack, engine):
    stack.ok("config", "set", "size", "3")
    stack.ok("config", "set", "token", "sesame", "--secret")
    out = stack.ok("preview", "--show-config")
    assert "Configuration:\n    demo:size: 3\n    demo:token: [secret]\n" in out
    assert "Configuration:" not in stack.ok("preview")


def test_the_config_is_not_held_against_the_project_on_demand(stack, engine):
    (stack.folder / "Pulumi.yaml").write_text("name: demo\nruntime: python\nconfig: {needed: {type: string}}\n")
    assert stack("preview").code == 1
    stack.ok("preview", "--skip-config-validation")


def test_where_the_state_is_and_the_full_name_are_told_on_demand(stack, engine):
    out = stack.ok("up", "--yes", "--skip-preview", "-Q", "--suppress-permalink=false")
    assert "Updating (organization/demo/dev):" in out
    assert re.search(r"Permalink: .*dev\.json", out)
    assert "Permalink" not in stack.ok("up", "--yes", "--skip-preview", "--suppress-permalink")
    assert "'perhaps'" in stack("preview", "--suppress-permalink=perhaps").err


def test_by_what_an_operation_was_started_is_remembered(stack, engine):
    stack.ok("up", "--yes", "--skip-preview", "--exec-kind", "auto.local", "--exec-agent", "bot")
    (entry,) = (stack.state / ".pulumi/history/demo/dev").glob("*.history.json")
    said = json.loads(entry.read_text())["environment"]
    assert (said["exec.kind"], said["exec.agent"]) == ("auto.local", "bot")


def shown(*events, **look):
    file = io.StringIO()
    display = PlainDisplay(say.console(file=file), Look(**{"preview": False, **look}))
    for event in events:
        display(event)
    return file.getvalue().removesuffix("\n")


def test_what_is_only_read_and_the_halves_of_a_planned_replacement_are_shown_on_demand():
    read = StepSucceeded(THING, Op.READ, 0.1)
    assert shown(read) == ""
    assert "read" in shown(read, show_reads=True)
    half, whole = StepStarted(THING, Op.CREATE_REPLACEMENT), StepStarted(THING, Op.REPLACE)
    assert shown(half, whole, preview=True).splitlines() == ["+- t:i:Thing a replace"]
    assert len(shown(half, whole, preview=True, replacement_steps=True).splitlines()) == 2


def test_resources_are_called_by_their_urns_and_progress_is_left_out_on_demand():
    assert THING in shown(StepStarted(THING, Op.CREATE), urns=True)
    progress = Diagnostic("info", "half way", THING, ephemeral=True)
    assert "half way" in shown(progress)
    assert shown(progress, suppress_progress=True) == ""


def test_long_values_are_whole_on_demand_and_hidden_ones_never_shown():
    changes = (PropertyChange("a", "x" * 500, "y" * 500), PropertyChange("b", "hush", "quiet", hidden=True))
    assert "characters)" in next(diff_lines(changes, show_secrets=False))[1]
    whole, hidden = (text for _, text in diff_lines(changes, show_secrets=False, whole=True))
    assert "x" * 500 in whole
    assert hidden == "~ b (hidden)"
    assert paths_of(changes) == "a"


def test_the_commands_have_the_clis_other_names(stack, engine):
    for name, kind in {"update": "update", "pre": "preview", "down": "destroy", "dn": "destroy"}.items():
        engine.calls.clear()
        stack.ok(name, *([] if kind == "preview" else ["--yes", "--skip-preview"]))
        assert engine.kinds == [kind]
        assert handover.command_of([name]) in handover.SHARED_COMMANDS
