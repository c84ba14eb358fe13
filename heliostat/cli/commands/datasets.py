"""`heliostat datasets`: which data sets there are, what they are made of, who uses them, and how they differ."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from heliostat.cli import options, say

if TYPE_CHECKING:
    from heliostat.cli.datasets.catalogue import Catalogue, Stored
    from heliostat.cli.datasets.lineage import Lineage
    from heliostat.cli.datasets.world import World

_SPLITS = ("train", "validation", "test")
_REFERENCE = click.argument("reference", metavar="DATASET")


@click.group(cls=options.Group)
@options.everywhere
def datasets() -> None:
    """Show the data sets of a stack's object store, hold them to a schema, and delete those that nobody needs.

    DATASET is a name (then its newest snapshot), NAME@DIGEST or a digest, six digits at least, or what was trained on it:
    models:/NAME/VERSION or runs:/ID.
    """


@datasets.command("list")
@click.argument("name", required=False)
@options.stack
@options.as_json
@options.everywhere
def list_(name: str | None, stack: str | None, as_json: bool) -> None:
    """List the snapshots of all data sets, or of NAME, the newest first, with who uses them."""
    from heliostat.cli.datasets.world import World

    world = World.of(stack)
    known = world.seen(name)
    lineage = world.lineage()
    warn(known, lineage)
    if as_json:
        write_json([_summary(each, lineage) for each in known.snapshots])
        return
    if not known.snapshots:
        say.out(f"There is no data set{f' {name}' if name else ''} in {world.address.uri} yet.")
        return
    from heliostat.cli.datasets.lineage import in_words
    from heliostat.cli.operators.tables import Column, write
    from heliostat.cli.rollouts import messages

    rows = [
        (
            each.name,
            each.digest[:12],
            messages.moment(each.made_at),
            _rows(each),
            size_of(each.size),
            _used(each, in_words(lineage.of(each.digest))),
        )
        for each in known.snapshots
    ]
    heads = ("NAME", "DIGEST", "MADE", "ROWS", "SIZE")
    write([*(Column(head, whole=True) for head in heads), Column("USED BY")], rows)


@datasets.command()
@_REFERENCE
@options.stack
@options.as_json
@options.everywhere
def show(reference: str, stack: str | None, as_json: bool) -> None:
    """Show a snapshot: how it was made and of what, its columns, and what was made of it."""
    from heliostat.cli.datasets.difference import whole_profile
    from heliostat.cli.datasets.world import World
    from heliostat.data.summary import summary

    world = World.of(stack)
    known, found = _found(world, reference)
    lineage = world.lineage()
    warn(known, lineage)
    figures = summary(whole_profile(world.address, found))
    if as_json:
        write_json({**_summary(found, lineage), "columns": found.manifest.columns, "profile": figures})
        return
    _show(found, lineage, figures)


@datasets.command()
@click.argument("before", metavar="DATASET")
@click.argument("after", required=False, metavar="[DATASET]")
@click.option(
    "--split", type=click.Choice(_SPLITS), default="train", show_default=True, help="The split whose columns are compared."
)
@options.stack
@options.as_json
@options.everywhere
def diff(before: str, after: str | None, split: str, stack: str | None, as_json: bool) -> None:
    """Show how two snapshots differ: rows, columns, code, parameters, and how far each column has drifted.

    With one DATASET it is compared with the snapshot of the same name that was made before it.
    """
    from heliostat.cli.datasets.difference import difference, in_words
    from heliostat.cli.datasets.world import World

    world = World.of(stack)
    known, first = _found(world, before)
    pair = (first, _found(world, after, known)[1]) if after is not None else (_previous(known, first), first)
    found = difference(world.address, *pair, split)
    if as_json:
        write_json(found)
        return
    for line in in_words(found):
        say.out(line)
    if found["drift"] is not None:
        from heliostat.cli.operators.tables import Column, write

        say.out("")
        rows = [(name, column["text"]) for name, column in _by_alarm(found["drift"])]
        write([Column("COLUMN", whole=True), Column("WHAT BECAME OF IT")], rows)


def _found(world: World, reference: str, known: Catalogue | None = None) -> tuple[Catalogue, Stored]:
    known = known or world.seen()
    return known, known.found(world.reference(reference))


def _previous(known: Catalogue, snapshot: Stored) -> Stored:
    from heliostat.systems.errors import PermanentError

    there = known.of(snapshot.name)
    place = there.index(snapshot) + 1
    if place == len(there):
        raise PermanentError(f"{snapshot.reference} is the first of its name: name another one to compare it with")
    return there[place]


def _by_alarm(drift: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The columns, those that alarm first."""
    order = {name: place for place, name in enumerate(drift["alarming"])}
    return sorted(drift["columns"].items(), key=lambda each: order.get(each[0], len(order)))


def _summary(each: Stored, lineage: Lineage) -> dict[str, Any]:
    return {
        "name": each.name,
        "digest": each.digest,
        "uri": each.manifest.uri,
        "madeAt": each.made_at,
        "label": each.manifest.label,
        "rows": each.manifest.rows,
        "size": each.size,
        "notes": list(each.manifest.notes),
        "sample": each.manifest.sample,
        "origin": (each.manifest.origin or {}).get("uri"),
        "made": [making.model_dump(mode="json") for making in each.makings],
        "uses": [use.model_dump(mode="json") for use in lineage.of(each.digest)],
    }


def _show(found: Stored, lineage: Lineage, figures: dict[str, Any]) -> None:
    from heliostat.cli.datasets import origins
    from heliostat.cli.rollouts import messages

    say.out(f"{found.name} {found.digest}")
    facts = [
        ("where", found.manifest.uri),
        ("label", found.manifest.label),
        ("rows", _named_rows(found)),
        ("size", size_of(found.size)),
    ]
    facts += [("it is", mark) for mark in found.manifest.marks]
    facts += [("note", note) for note in found.manifest.notes]
    for making in found.makings:
        given = ", ".join(f"{name}={value}" for name, value in making.parameters.items())
        facts.append(
            ("made", f"{messages.moment(making.at)} by {making.entry_point}({given}), code {making.code_digest[:12]}")
        )
        facts += [("from", text) for text in origins.told(making.sources)]
        facts += [("from", f"{parent.name}@{parent.digest[:12]}") for parent in making.parents]
        facts += [("finding", str(finding["text"])) for finding in making.findings]
    if not found.makings:
        facts.append(("made", "by a release that did not keep how"))
    facts += [(use.kind, " ".join(filter(None, (use.what, use.version)))) for use in lineage.of(found.digest)]
    for name, text in facts:
        say.out(f"{name:<11} {text}")
    from heliostat.cli.datasets.columns import told
    from heliostat.cli.operators.tables import Column, write

    say.out("")
    rows = [told(name, column) for name, column in figures["columns"].items()]
    write([*(Column(head, whole=True) for head in ("COLUMN", "TYPE", "MISSING", "DISTINCT")), Column("VALUES")], rows)


def _rows(each: Stored) -> str:
    return " / ".join(f"{each.manifest.rows.get(split, 0):,}" for split in _SPLITS)


def _used(each: Stored, uses: str) -> str:
    if each.manifest.erased is not None:
        return "its rows were deleted with a person's"
    return "; ".join([*each.manifest.marks, *filter(None, [uses])])


def _named_rows(each: Stored) -> str:
    return ", ".join(f"{rows:,} {split}" for split, rows in each.manifest.rows.items())


def size_of(size: int) -> str:
    """A size in bytes, as people read it."""
    return f"{size / (1 << 20):,.1f} MiB"


def warn(known: Catalogue, lineage: Lineage) -> None:
    """Tell what could not be read, and who could not be asked."""
    for note in known.notes:
        say.told(f"warning: {note}")
    for reason in lineage.unknown:
        say.told(f"warning: not all who use them are known: {reason}")


def write_json(value: object) -> None:
    """Show a value as JSON."""
    say.out(json.dumps(value, indent=2, ensure_ascii=False))
