"""`heliostat datasets prune`: deletes the data that nobody needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from heliostat.cli import options, say
from heliostat.cli.commands.datasets import datasets, size_of, warn, write_json

if TYPE_CHECKING:
    from heliostat.cli.datasets.catalogue import Catalogue
    from heliostat.cli.datasets.lineage import Lineage
    from heliostat.cli.datasets.retention import Verdict

__all__ = ["datasets", "prune"]


@datasets.command()
@click.option(
    "--older-than", type=click.FloatRange(min=0), default=30.0, show_default=True, metavar="DAYS", help="Younger ones stay."
)
@click.option("--newest", type=click.IntRange(min=0), default=1, show_default=True, metavar="N", help="So many of each stay.")
@click.option("--dry-run", is_flag=True, help="Only say what would go, and why the rest stays.")
@options.yes
@options.stack
@options.as_json
@options.everywhere
def prune(older_than: float, newest: int, dry_run: bool, yes: bool, stack: str | None, as_json: bool) -> None:
    """Delete snapshots that nothing uses.

    What serves or ever served, what a version, a training or an evaluation names, what a stack's state names, and what such
    data was made of, stays: a rollback or somebody's question comes back to it. Trainings are those that MLflow has; one that
    is deleted there holds nothing. How a deleted snapshot was made stays, so that it can be made again. Ingested rows go that
    no source and no snapshot that stays has any more. Where MLflow or a ledger does not answer, nothing is deleted.
    """
    import time

    from heliostat.cli.datasets import ingested_rows, retention
    from heliostat.cli.datasets.world import World
    from heliostat.cli.exits import UsageError

    if as_json and not (yes or dry_run):
        raise UsageError("nobody is asked where JSON is written: say --yes, or --dry-run")
    rules = retention.Rules(older_than * 86_400, newest)

    def judged() -> tuple[World, Catalogue, Lineage, tuple[Verdict, ...]]:
        world = World.of(stack)
        known, lineage = world.seen(), world.lineage()
        rows = ingested_rows.read(world.store, known.ingested)
        return world, known, lineage, retention.judged(known, lineage, rules, time.time(), rows)

    world, known, lineage, verdicts = judged()
    warn(known, lineage)
    going = [each for each in verdicts if not each.keep]
    if as_json:
        write_json(
            {
                "unknown": list(lineage.unknown),
                "deleted": not dry_run and not lineage.unknown,
                "verdicts": [{"what": v.what, "keep": v.keep, "reason": v.reason, "size": v.subject.size} for v in verdicts],
            }
        )
    else:
        _tell(verdicts)
    if not dry_run:
        _require_known(lineage)
    if dry_run or not going or not _agreed(len(going), yes):
        return
    # Somebody may have begun to use one while it was thought over.
    world, _, lineage, again = judged()
    _require_known(lineage)
    going = retention.still(going, again)
    if not going:
        return
    world.caller.tell_pruning(going)
    retention.prune(world.store, going, lambda what: None if as_json else say.out(f"deleted {what}"))


def _require_known(lineage: Lineage) -> None:
    from heliostat.systems.errors import PermanentError

    if lineage.unknown:
        raise PermanentError(f"nothing is deleted while it is not known who uses what: {'; '.join(lineage.unknown)}")


def _agreed(count: int, yes: bool) -> bool:
    from heliostat.cli.exits import DeclinedError, UsageError
    from heliostat.cli.session import is_interactive

    if yes:
        return True
    if not is_interactive():
        raise UsageError("--yes must be passed in to proceed when running in non-interactive mode")
    if not click.confirm(f"Delete {count}?"):
        raise DeclinedError("confirmation declined, nothing was deleted")
    return True


def _tell(verdicts: Any) -> None:
    from heliostat.cli.operators.tables import Column, write

    if not verdicts:
        say.out("There is no data set yet.")
        return
    rows = [("stays" if each.keep else "goes", each.what, size_of(each.subject.size), each.reason) for each in verdicts]
    write([*(Column(head, whole=True) for head in ("", "WHAT", "SIZE")), Column("WHY")], sorted(rows, key=lambda row: row[0]))
