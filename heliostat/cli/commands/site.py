"""`heliostat site`: one that takes part in a federated training with rows of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say

if TYPE_CHECKING:
    from heliostat.sites.place import SitePlace

_NAME = click.argument("name")
_FOLDER = click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="The site's own; by default .heliostat/sites/NAME in the checkout.",
)


@click.group(cls=options.Group)
@options.everywhere
def site() -> None:
    """Take part in a federated training: rows stay here, updates travel, the model comes back."""


@site.command()
@_NAME
@_FOLDER
@click.option("--new", "anew", is_flag=True, help="Make another one: the stack's config needs its hash then.")
@options.as_json
@options.everywhere
def token(name: str, folder: Path | None, anew: bool, as_json: bool) -> None:
    """Make the token of site NAME, and show its hash for the stack's config. The token stays in the site's folder."""
    import json

    place = _place(name, folder)
    digest = place.make_token(anew)
    if as_json:
        say.out(json.dumps({"site": name, "tokenSha256": digest}, indent=2))
        return
    say.out(f"federated:\n  sites:\n    {name}:\n      tokenSha256: {digest}")


@site.command()
@_NAME
@click.option("--coordinator", required=True, metavar="URL", help="Where the coordinator listens: https://HOST:PORT.")
@click.option("--rows", required=True, type=click.Path(path_type=Path), help="The folder with its Parquet or CSV files.")
@_FOLDER
@click.option("--authority", type=click.Path(path_type=Path), metavar="FILE", help="Certificates to trust as well.")
@options.everywhere
def run(name: str, coordinator: str, rows: Path, folder: Path | None, authority: Path | None) -> None:
    """Take part as site NAME, until it is ended with Ctrl-C.

    The token is that of `heliostat site token`, or in the variable HELIOSTAT_SITE_TOKEN. It waits where no coordinator is.
    """
    import signal
    import sys
    import threading

    from heliostat.cli.session import Place
    from heliostat.sites.participant import Participant
    from heliostat.systems.coordinator_api import CoordinatorClient

    root = Place.here().require_project().root
    place, stop = _place(name, folder), threading.Event()

    def end(*_: object) -> None:
        # A second one ends what is being computed.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        stop.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    sys.path.insert(0, str(root))
    with CoordinatorClient(coordinator, place.token(), authority) as client:
        say.out(f"{name} takes part at {coordinator}, with the rows in {rows}")
        try:
            Participant(place, root, rows, client, say.out).run(stop)
        except KeyboardInterrupt:
            say.out(f"{name} has ended; `heliostat site run` goes on")


@site.command()
@_NAME
@_FOLDER
@options.as_json
@options.everywhere
def package(name: str, folder: Path | None, as_json: bool) -> None:
    """Show the package of the model that site NAME has, and how it is used."""
    import json

    from heliostat.sites.packages import current
    from heliostat.systems.errors import PermanentError

    place = _place(name, folder)
    found = current(place.packages)
    if found is None:
        raise PermanentError(f"{name} has no package yet: it comes to `heliostat site run` after a training")
    if as_json:
        say.out(json.dumps(found, indent=2))
        return
    say.out(f"{found['distribution']} {found['version']} ({found['sha256'][:12]})")
    say.out(f"PYTHONPATH={found['folder']} python -c 'import {found['module']}'")


def _place(name: str, folder: Path | None) -> SitePlace:
    from heliostat.cli.session import Place
    from heliostat.sites.place import SitePlace

    if folder is None:
        folder = Place.here().require_project().root / ".heliostat" / "sites" / name
    return SitePlace(folder, name)
