"""What reads and changes nothing can be read by a program: every such command has `--json`."""

import click
import pytest

from heliostat.cli.commands import heliostat as root

CHANGES = {
    *("up", "refresh", "destroy", "rollback", "import", "cancel"),
    *("new repository", "new workload"),
    *("rollout approve", "rollout abort"),
    *("stack init", "stack select", "stack rm", "stack import"),
    *("state delete", "state rename", "state protect", "state unprotect", "state repair", "state move"),
    *("config set", "config rm"),
    *("client", "contract", "convert", "proto"),
    *("site run", "ci apply"),
    *("tasks cancel", "tasks retry"),
    *("access token", "erasure run"),
    *("monitor acknowledge", "monitor silence", "monitor unsilence"),
    "datasets schema",
}
"""They do something; what they did is told in a sentence, or by an option of their own."""
BY_NATURE = {
    "rollout dashboard": "it writes JSON, for Grafana",
    "stack export": "it writes JSON, as the official CLI's does",
    "monitor rules": "it writes YAML, for Prometheus",
    "completion": "it writes a shell's script",
}


def commands(command=root, path=(), parent=None):
    context = click.Context(command, info_name=command.name, parent=parent)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), (*path, name), context)
        if not command.invoke_without_command:
            return
    yield " ".join(path), command


COMMANDS = dict(commands())


def has_json(command):
    return any("--json" in one.opts for one in command.params)


def test_every_command_that_is_named_here_is_there():
    assert CHANGES | BY_NATURE.keys() <= COMMANDS.keys()


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - CHANGES - BY_NATURE.keys()))
def test_a_command_that_reads_has_json(name):
    assert has_json(COMMANDS[name]), f"give `{name}` --json, or say here why it needs none"


def test_the_walk_reaches_commands_of_groups_and_groups_that_are_commands():
    assert {"status", "doctor", "rollout watch", "stack ls", "stack", "config", "open", "logs"} <= COMMANDS.keys()
    assert "rollout" not in COMMANDS


def test_a_command_without_it_would_be_noticed():
    assert not has_json(click.Command("plain"))
