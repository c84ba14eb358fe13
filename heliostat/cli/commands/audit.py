"""`heliostat audit`: who did what, and whether the log of that was changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say

if TYPE_CHECKING:
    from heliostat.spec.audit import AuditEntry


@click.group(cls=options.Group)
@options.everywhere
def audit() -> None:
    """Show the audit log of what people and programs did, and verify it."""


@audit.command("show")
@click.option("--limit", type=click.IntRange(min=1, max=1000), default=50, show_default=True, metavar="N", help="The last N.")
@click.option("--before", type=click.IntRange(min=2), metavar="N", help="From the entry before number N on.")
@options.stack
@options.as_json
@options.everywhere
def show(limit: int, before: int | None, stack: str | None, as_json: bool) -> None:
    """Show who did what to which application, the newest first."""
    from heliostat.cli.rollouts.access import with_controller

    entries = with_controller(stack, lambda client: client.audit(limit, before))
    if as_json:
        _as_json([each.model_dump(mode="json") for each in entries])
        return
    if not entries:
        say.out("Nothing was done yet.")
        return
    from heliostat.cli.operators.tables import Column, write
    from heliostat.cli.rollouts import messages

    rows = [
        (str(each.number), messages.moment(each.at), _who(each), each.action, each.subject, _what(each)) for each in entries
    ]
    heads = ("NUMBER", "TIME", "WHO", "ACTION", "OF")
    write([*(Column(head, whole=True) for head in heads), Column("WHAT")], rows)


@audit.command("verify")
@click.option("--head", "heads", multiple=True, metavar="NUMBER:HASH", help="An entry that somebody kept; may be repeated.")
@options.stack
@options.as_json
@options.everywhere
def verify(heads: tuple[str, ...], stack: str | None, as_json: bool) -> int:
    """Verify that no entry was changed, taken out, put between or cut off the end.

    The entries are read from the object store, and held against each other, against what the controller remembers, and against
    every --head. Exit code 1 where the log was changed. The head that it ends with is shown: kept elsewhere, it proves later
    that all up to then is as it was.
    """
    from heliostat.cli.exits import Exit
    from heliostat.cli.rollouts.access import with_controller
    from heliostat.cli.rollouts.locate import store_of
    from heliostat.spec.audit import PREFIX, AuditHead, faults_in, hash_of, head_of, number_of
    from heliostat.systems.objects import open_store

    try:
        kept = [head_of(text) for text in heads]
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    anchor = with_controller(stack, lambda client: client.anchor())
    store = open_store(store_of(stack))
    numbers = sorted(found for info in store.list(PREFIX) if (found := number_of(info.key)) is not None)
    contents = [(number, store.get(f"{PREFIX}{number:010d}.json")) for number in numbers]
    faults = list(faults_in(contents, [anchor.hashes, {each.number: each.hash for each in kept}]))
    head = AuditHead(number=numbers[-1], hash=hash_of(contents[-1][1])) if contents else None
    if as_json:
        told = [{"number": each.number, "text": each.text} for each in faults]
        _as_json({"entries": len(contents), "anchored": len(anchor.hashes), "waiting": anchor.waiting,
                  "head": str(head) if head else None, "faults": told})  # fmt: skip
    else:
        for fault in faults:
            say.told(f"✗ entry {fault.number}: {fault.text}")
        waiting = f", {anchor.waiting} wait for the object store" if anchor.waiting else ""
        held = f"{len(anchor.hashes)} of them the controller remembers{waiting}"
        say.out(f"{len(contents)} entries, {held}: " + ("the log was changed" if faults else "all of it is as it was written"))
        if head is not None:
            say.out(f"head {head}")
    return Exit.FAILED if faults else Exit.OK


def _who(entry: AuditEntry) -> str:
    if not entry.known:
        return f"{entry.by} (says so)"
    return f"{entry.by} (by {entry.via})" if entry.via else entry.by


def _what(entry: AuditEntry) -> str:
    """The values that differ, before and after, and the reason."""
    names = [name for name in {**entry.before, **entry.after} if entry.before.get(name) != entry.after.get(name)]
    changed = [
        f"{name} {entry.before[name]} → {entry.after.get(name, 'nothing')}"
        if name in entry.before
        else f"{name} {entry.after[name]}"
        for name in names
    ]
    return "; ".join([*changed, *([f"because {entry.reason}"] if entry.reason else [])])


def _as_json(value: object) -> None:
    import json

    say.out(json.dumps(value, indent=2, ensure_ascii=False))
