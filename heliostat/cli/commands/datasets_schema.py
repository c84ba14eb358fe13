"""`heliostat datasets schema` and `validate`: what a workload expects of its data."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say
from heliostat.cli.commands.datasets_prune import datasets

if TYPE_CHECKING:
    from heliostat.cli.datasets.catalogue import Stored
    from heliostat.data.schema import Schema, Transformed
    from heliostat.ml.snapshots.holding import Held
    from heliostat.spec.addresses import StoreAddress


@datasets.command()
@click.argument("workload")
@click.option("--of", "reference", metavar="DATASET", help="Of this snapshot; by default the workload's newest.")
@click.option(
    "--known-later", multiple=True, metavar="COLUMN", help="A column that is known only after the event. Repeatable."
)
@click.option(
    "--transformed-by",
    metavar="PACKAGE.MODULE:FUNCTION",
    help="Also of the train split after this function of the workload; by default the one that a schema names that is there.",
)
@click.option("--force", is_flag=True, help="Write over a schema that is there.")
@click.option("-o", "--output", metavar="FILE", help="Write there; - is the terminal. By default into the workload's folder.")
@options.stack
@options.everywhere
def schema(
    workload: str,
    reference: str | None,
    known_later: tuple[str, ...],
    transformed_by: str | None,
    force: bool,
    output: str | None,
    stack: str | None,
) -> None:
    """Write a first schema.yaml of WORKLOAD, inferred from a snapshot of its data.

    Review it, change what does not hold, and commit it. From then on each new snapshot is held to it: a failed expectation of
    a feature or the label, or a leak that it looks for, stops the snapshot and what would be trained on it.
    """
    from heliostat.cli.datasets.difference import whole_profile
    from heliostat.cli.datasets.world import World
    from heliostat.cli.exits import UsageError
    from heliostat.data.inference import MOST_SUSPECTS, infer

    file = _file(workload) if output is None else Path(output)
    if output != "-" and file.exists() and not force:
        raise UsageError(
            f"{file} is there: change it by hand, hold data to it with `heliostat datasets validate {workload}`, or write it "
            "anew with --force"
        )
    world = World.of(stack)
    snapshot = world.seen().found(world.reference(reference or workload))
    try:
        manifest = snapshot.manifest
        found = infer(whole_profile(world.address, snapshot), manifest.label, known_later, manifest.personal)
        if by := transformed_by or _transformed_before(file):
            transformed = _transformed(world.address, snapshot, by)
            found = found.model_copy(update={"transformed": transformed})
    except ValueError as error:
        raise UsageError(str(error)) from None
    if output == "-":
        say.out(found.to_yaml().rstrip("\n"))
        return
    _write(file, found)
    say.out(f"Wrote {_shown(file)}, of {snapshot.reference}. Review it: above all what is known at prediction time.")
    if found.label is not None and found.leakage is None:
        say.out(
            f"Whether one feature knows the label is not looked for, as there are more than {MOST_SUSPECTS}, each of which "
            "takes half a second. To have it looked for write `leakage: {knowsLabel: 0.99}`."
        )


@datasets.command()
@click.argument("workload")
@click.argument("reference", required=False, metavar="[DATASET]")
@options.stack
@options.as_json
@options.everywhere
def validate(workload: str, reference: str | None, stack: str | None, as_json: bool) -> int:
    """Hold a snapshot, by default the newest of WORKLOAD, to the workload's schema.yaml. Exit code 1 where it fails."""
    from heliostat.cli.datasets.world import World
    from heliostat.cli.exits import Exit, UsageError
    from heliostat.data.schema import SchemaError, load

    file = _file(workload)
    if not file.is_file():
        raise UsageError(f"{_shown(file)} is not there: `heliostat datasets schema {workload}` writes a first one")
    try:
        expected = load(file)
    except SchemaError as error:
        raise UsageError(str(error)) from None
    world = World.of(stack)
    snapshot = world.seen().found(world.reference(reference or workload))
    held = _held(world.address, snapshot, expected)
    if as_json:
        found = {
            "dataset": {"name": snapshot.name, "digest": snapshot.digest},
            "holds": held.holds,
            "findings": [each.as_json() for each in held.stopping],
            "stoppingNothing": [each.as_json() for each in held.others],
            "leaks": [{"kind": leak.kind, "columns": list(leak.columns), "text": leak.text} for leak in held.leaks],
        }
        say.out(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        for text in held.texts:
            say.out(f"✗ {text}")
        for each in held.others:
            say.out(f"! {each.text}; no model is given the column")
        if held.holds:
            say.out(f"{snapshot.reference} is as {_shown(file)} expects")
    return Exit.OK if held.holds else Exit.FAILED


def _transformed_before(file: Path) -> str | None:
    """The transformation that the schema names which is written over."""
    from heliostat.data.schema import SchemaError, load

    try:
        before = load(file).transformed if file.is_file() else None
    except SchemaError:
        return None
    return before.by if before is not None else None


def _transformed(address: StoreAddress, snapshot: Stored, by: str) -> Transformed:
    from heliostat.cli.session import Place, import_from
    from heliostat.data.inference import infer_transformed
    from heliostat.data.profiling import Measures, profile
    from heliostat.ml.snapshots.holding import transformed_parts
    from heliostat.ml.snapshots.reader import fetched
    from heliostat.spec.data_sets import prefix_of
    from heliostat.systems.scratch import scratch_folder

    import_from(Place.here().require_project().root)
    with scratch_folder() as folder:
        split = fetched(prefix_of(snapshot.name, snapshot.digest)[:-1], address, folder)["train"]
        parts = transformed_parts(by, split, snapshot.manifest.label)
        named = profile(parts, Measures(correlations=False))
        return infer_transformed(named, by, quotes=not snapshot.manifest.personal)


def _held(address: StoreAddress, snapshot: Stored, expected: Schema) -> Held:
    from heliostat.cli.session import Place, import_from
    from heliostat.ml.snapshots.holding import hold
    from heliostat.ml.snapshots.reader import fetched
    from heliostat.spec.data_sets import prefix_of
    from heliostat.systems.scratch import scratch_folder

    if expected.transformed is not None:
        import_from(Place.here().require_project().root)
    with scratch_folder() as folder:
        splits = fetched(prefix_of(snapshot.name, snapshot.digest)[:-1], address, folder)
        return hold(expected, splits, snapshot.manifest.label)


def _file(workload: str) -> Path:
    from heliostat.cli.exits import UsageError
    from heliostat.cli.session import Place
    from heliostat.layout import workload_names
    from heliostat.spec.data_sets import SCHEMA_FILE

    root = Place.here().require_project().root
    if workload not in workload_names(root / "workloads"):
        there = ", ".join(workload_names(root / "workloads")) or "none"
        raise UsageError(f"there is no workload {workload!r}; there are: {there}")
    return root / "workloads" / workload.replace("-", "_") / SCHEMA_FILE


def _write(file: Path, found: Schema) -> None:
    from heliostat.cli.session import Place
    from heliostat.data.schema import JSON_SCHEMA_FILE, schema_text

    partial = file.with_suffix(f".{os.getpid()}")
    partial.write_text(found.to_yaml(), encoding="utf-8")
    partial.replace(file)
    schema, known = Place.here().require_project().root / "configs" / JSON_SCHEMA_FILE, schema_text()
    if schema.parent.is_dir() and (not schema.is_file() or schema.read_text(encoding="utf-8") != known):
        schema.write_text(known, encoding="utf-8")


def _shown(file: Path) -> str:
    return str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else str(file)
