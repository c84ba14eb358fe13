"""Every command that a message tells people to run can be run as it is told."""

import ast
import re
from pathlib import Path

import click
import pytest

import heliostat
from heliostat.cli.commands import heliostat as root
from heliostat.cli.handover import choose

PACKAGE = Path(heliostat.__file__).parent
TOLD = re.compile(
    r"`(?:heliostat )?((?:up|preview|refresh|destroy|down|rollout|history|rollback|stack|state|config|cancel)(?: [^`]*)?)`"
    r"|`heliostat ((?:status|doctor|logs|open|dashboard|completion|about)(?: [^`]*)?)`"
)
BARE = re.compile(r"\bheliostat (rollout [a-z|]+(?: \S+)?|history|rollback|up)\b")


def texts(tree):
    """What the code says, docstrings left out; whatever it fills in is a 1."""
    docs = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            docs.add(node.value)
        if isinstance(node, ast.JoinedStr):
            docs.update(ast.walk(node))
            docs.discard(node)
    for node in ast.walk(tree):
        if node in docs:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "1" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def told():
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        for text in texts(ast.parse(file.read_text())):
            for command in (*(one or other for one, other in TOLD.findall(text)), *BARE.findall(text)):
                for one in alternatives(command.strip()):
                    found.setdefault(one, str(file.relative_to(PACKAGE)))
    return found


def alternatives(command):
    """`rollout approve|abort 1` is two."""
    words = [word.split("|") for word in command.rstrip(".,:;)").split()]
    several = next((index for index, word in enumerate(words) if len(word) > 1), None)
    if several is None:
        return [" ".join(word[0] for word in words)]
    return [" ".join([*(w[0] for w in words[:several]), one, *(w[0] for w in words[several + 1 :])]) for one in words[several]]


COMMANDS = told()


def test_the_commands_of_a_rollout_are_among_those_that_are_told():
    told = {"rollout approve 1", "rollout abort 1", "rollout watch 1", "rollback --to N", "up --retry-refused", "up -s 1"}
    assert told <= COMMANDS.keys()


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_command_that_is_told_can_be_run_as_it_is_told(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = [re.sub(r"^(N|NAME|APPLICATION|STACK)$", "1", word) for word in command.split()]
    arguments = list(choose(arguments, {"HELIOSTAT_ENGINE": "embedded", "PATH": ""}).arguments)
    parse(root, arguments, COMMANDS[command])


def parse(command, arguments, where):
    """Has click read all of it and run nothing."""
    with click.Context(command, info_name="heliostat") as context:
        found = command
        while isinstance(found, click.Group) and arguments and not arguments[0].startswith("-"):
            name, arguments = arguments[0], arguments[1:]
            below = found.get_command(context, name)
            assert below is not None, f"{where}: there is no {name!r}"
            found = below
        if isinstance(found, click.Group) and not arguments:
            return
        found.make_context(name, list(arguments), parent=context)
