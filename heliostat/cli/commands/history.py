"""`heliostat history`: the ledger of what served when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say

if TYPE_CHECKING:
    from heliostat.spec.publications import Publication
    from heliostat.systems.objects import ObjectStore


@click.command()
@options.application
@click.option("--at", "moment", metavar="TIME", help="What served then, exactly: `2026-03-01 14:00`, `14:00`, or `90m` ago.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, metavar="N", help="The last N entries.")
@click.option("--packages", is_flag=True, help="Where which wheel of the application's model was published, and nothing else.")
@options.stack
@options.as_json
@options.everywhere
def history(application: str | None, moment: str | None, limit: int, packages: bool, stack: str | None, as_json: bool) -> None:
    """Show the ledger: every move of traffic and every rollout's end, with versions, commit, strategy and figures.

    It is read from the object store itself, also after `destroy`. APPLICATION may be left out where there is only one.
    """
    from heliostat.cli.rollouts import ledger
    from heliostat.cli.rollouts.access import chosen, own
    from heliostat.cli.rollouts.locate import store_of
    from heliostat.systems.objects import open_store

    store = open_store(store_of(stack))
    name = chosen(None, own(stack, ledger.not_removed(store))) if application is None else application
    if moment is not None:
        _at(store, name, moment, as_json)
        return
    if packages:
        _show_packages(store, name, as_json)
        return
    found = ledger.read(store, name, limit)
    _warn(found.notes)
    if as_json:
        from pydantic import TypeAdapter

        from heliostat.spec.ledger import Entry

        say.out(TypeAdapter(tuple[Entry, ...]).dump_json(found.entries[::-1], indent=2).decode())
        return
    if not found.entries:
        there = ", ".join(ledger.applications(store)) or "nothing at all"
        say.out(f"The ledger has nothing of {name!r}; it has {there} ({store.uri('ledger')}).")
        _show_packages(store, name, as_json=False, silent=True)
        return
    from heliostat.cli.rollouts.listing import history as as_table

    say.out(as_table(ledger.lines(found.entries)))
    older = found.entries[0].number - 1
    if older and len(found.entries) >= limit:
        say.told(f"{older} older; --limit shows more.")
    _show_packages(store, name, as_json=False, silent=True)


def _show_packages(store: ObjectStore, name: str, as_json: bool, silent: bool = False) -> None:
    """Write what was published of an application; `silent`: nothing where that is nothing."""
    from heliostat.cli.operators.packages import HISTORY_HEADS, history_rows
    from heliostat.cli.tables import table
    from heliostat.systems import publications

    found = publications.of_application(store, name)
    if as_json:
        say.out(_json_of(found))
    elif found:
        say.out(("\n" if silent else "") + table(HISTORY_HEADS, history_rows(found)))
    elif not silent:
        say.out(f"The ledger has no package of {name!r} ({store.uri('ledger/packages')}).")


def _json_of(found: tuple[Publication, ...]) -> str:
    """Publications for a program to read, the newest first."""
    from pydantic import TypeAdapter

    from heliostat.spec.publications import Publication

    return TypeAdapter(tuple[Publication, ...]).dump_json(found[::-1], indent=2).decode()


def _at(store: ObjectStore, name: str, moment: str, as_json: bool) -> None:
    import json
    import time

    from heliostat.cli.rollouts import ledger, listing
    from heliostat.cli.rollouts.moments import parse

    at = parse(moment, time.time())
    present, strange = ledger.numbers(store, name)
    what, notes = ledger.served_at(present, lambda number: ledger.entry_of(store, name, number), at)
    _warn((*strange, *notes))
    if not as_json:
        say.out(listing.served(name, at, what))
        return
    shares = [{"share": share, "desired": desired.model_dump(mode="json")} for share, desired in what.shares] if what else []
    say.out(json.dumps({"at": at, "entry": what.entry.number if what else None, "served": shares}, indent=2))


def _warn(notes: tuple[str, ...]) -> None:
    for note in notes:
        say.told(f"warning: {note}")
