"""`heliostat completion`: what has a shell complete commands, options, stacks, applications and parts."""

from __future__ import annotations

import click

from heliostat.cli import options, say
from heliostat.cli.operators.completion_script import SHELLS, script


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@options.everywhere
def completion(shell: str) -> None:
    """Write the script that has a shell complete this command; its first lines say how to install it."""
    say.out(script(shell).rstrip("\n"))
