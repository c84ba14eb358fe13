"""`heliostat dashboard`: a way into Ray's dashboard, which asks for the cluster's token."""

from __future__ import annotations

import click

from heliostat.cli import options, say

_SECONDS = 300


@click.command()
@click.option("--seconds", type=click.IntRange(min=1), default=_SECONDS, show_default=True, help="How long the address holds.")
@options.stack
@options.everywhere
def dashboard(seconds: int, stack: str | None) -> None:
    """Print an address that opens Ray's dashboard in a browser of this machine, logged in.

    The address holds for one visit. The token itself is neither in it nor printed; elsewhere than on this machine, open the
    dashboard's own address and paste the token from the file that is named.
    """
    from heliostat.cli.login import Login
    from heliostat.cli.rollouts.place import ray_of
    from heliostat.systems.errors import PermanentError

    address = ray_of(stack)
    if address.token_file is None:
        say.out(f"{address.url} asks for no token.")
        return
    with Login(address.url, address.token_file) as login:
        say.out(f"Open  {login.url}\nwithin {seconds} s: it leads to Ray's dashboard, and logs this browser in, once.")
        say.out(f"Or open {address.url} and paste the token, which is in {address.token_file}")
        if not login.visited(seconds):
            raise PermanentError(f"nobody opened the address within {seconds} s; it does not hold any more")
    say.out("Logged in.")
