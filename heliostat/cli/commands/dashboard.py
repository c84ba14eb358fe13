"""`heliostat dashboard`: `heliostat open ray` by its older name."""

from __future__ import annotations

import click

from heliostat.cli import options
from heliostat.cli.commands.open_ import open_ray, print_option, seconds_option


@click.command()
@print_option
@seconds_option
@options.stack
@options.as_json
@options.everywhere
def dashboard(seconds: int, stack: str | None, only_print: bool, as_json: bool) -> None:
    """Print an address that opens Ray's dashboard in a browser of this machine, logged in; open it where there is one.

    The address holds for one visit. The token itself is neither in it nor printed; elsewhere than on this machine, open the
    dashboard's own address and paste the token from the file that is named. `heliostat open ray` is the same.
    """
    open_ray(stack, seconds, only_print=only_print, as_json=as_json)
