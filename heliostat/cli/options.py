"""Options that many commands share, named as the official CLI's."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from heliostat.cli.operators.completing import applications, stacks

F = TypeVar("F", bound=Callable[..., Any])


def _change_folder(_: click.Context, __: click.Parameter, value: str | None) -> None:
    if value is not None:
        if not Path(value).is_dir():
            raise click.BadParameter(f"{value!r} is no folder")
        os.chdir(value)


def _be_non_interactive(_: click.Context, __: click.Parameter, value: bool) -> None:
    if value:
        os.environ["HELIOSTAT_NON_INTERACTIVE"] = "1"


def _colour(_: click.Context, __: click.Parameter, value: str | None) -> None:
    if value in {"never", "raw"}:
        os.environ["NO_COLOR"] = "1"
    elif value == "always":
        os.environ["FORCE_COLOR"] = "1"


def everywhere(command: F) -> F:
    """`-C`, `--non-interactive` and `--color`, which the CLI takes before and after a command."""
    for decorate in (
        click.option(
            "-C",
            "--cwd",
            expose_value=False,
            is_eager=True,
            callback=_change_folder,
            metavar="DIR",
            help="Run as if started in this folder.",
        ),
        click.option(
            "--non-interactive",
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_be_non_interactive,
            help="Never ask, even at a terminal.",
        ),
        click.option(
            "--color",
            type=click.Choice(["always", "never", "raw", "auto"]),
            expose_value=False,
            is_eager=True,
            callback=_colour,
            help="Colourise the output.",
        ),
    ):
        command = decorate(command)
    return command


stack = click.option(
    "-s", "--stack", "stack", metavar="NAME", help="The stack; by default the selected one.", shell_complete=stacks
)
stack_name = click.argument("name", required=False, shell_complete=stacks)
application = click.argument("application", required=False, shell_complete=applications)
config_file = click.option("--config-file", metavar="FILE", help="Use this config file instead of the stack's own.")
yes = click.option("-y", "--yes", is_flag=True, help="Go on without asking.")
as_json = click.option("-j", "--json", "as_json", is_flag=True, help="Write JSON.")
show_secrets = click.option("--show-secrets", is_flag=True, help="Show secret values in plain text.")


class Group(click.Group):
    """A group whose commands have the CLI's other names too, and keep the order in which they are added."""

    aliases: dict[str, str] = {}

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Finds a command by its name or an alias."""
        return super().get_command(ctx, self.aliases.get(cmd_name, cmd_name))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names for `--help`."""
        return list(self.commands)
