"""`heliostat datasets importance`: what a model makes of each of its features, month by month."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say
from heliostat.cli.commands import datasets_schema
from heliostat.cli.commands.datasets import datasets, write_json

if TYPE_CHECKING:
    from heliostat.data.feature_use import FeatureUse

__all__ = ["datasets", "datasets_schema", "importance"]


@datasets.command()
@click.argument("model", metavar="MODEL")
@click.option("--of", "reference", metavar="DATASET", help="On rows of this snapshot; by default of what it was trained on.")
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="test",
    show_default=True,
    help="The split whose rows are predicted.",
)
@click.option(
    "--time",
    metavar="COLUMN",
    help="The column that says when a row happened; by default the declared split's, else the schema's `leakage.event`.",
)
@click.option(
    "--period", type=click.Choice(["day", "week", "month", "quarter"]), default="month", show_default=True, help="How long."
)
@click.option("--rows", type=click.IntRange(min=2), default=2_000, show_default=True, help="Of a period, at most.")
@click.option("--repeats", type=click.IntRange(min=2), default=10, show_default=True, help="How often a group is shuffled.")
@click.option(
    "--correlated",
    type=click.FloatRange(0, 1),
    default=0.8,
    show_default=True,
    help="From which correlation on features are one group.",
)
@click.option(
    "--recent",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="A legacy feature does nothing in so many of the last periods, and did something before.",
)
@click.option(
    "--least", type=click.FloatRange(min=0), default=0.0, show_default=True, help="As little of the metric is nothing."
)
@options.stack
@options.as_json
@options.everywhere
def importance(  # noqa: PLR0913 - its options
    model: str,
    reference: str | None,
    split: str,
    time: str | None,
    period: str,
    rows: int,
    repeats: int,
    correlated: float,
    recent: int,
    least: float,
    stack: str | None,
    as_json: bool,
) -> None:
    """Tell how far MODEL's metric worsens where features are shuffled, month by month: those that helped once and no longer do
    (legacy), and those that came in with others and do nothing by themselves (bundled).

    MODEL is a workload, for the version that serves, or models:/NAME/VERSION. The version's own code predicts the rows of its
    test split on this machine, once as they are and --repeats times for each group of features that say nearly the same.
    """
    from heliostat.cli.datasets.importances import Asked, used, version_of
    from heliostat.cli.datasets.world import World
    from heliostat.cli.exits import UsageError

    world, version = World.of(stack), version_of(stack, model)
    snapshot = world.seen().found(world.reference(reference or version.uri))
    asked = Asked(split, time, period, rows, repeats, correlated, recent, least)  # type: ignore[arg-type]
    try:
        found = used(stack, version, world.address, snapshot, asked)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if as_json:
        dataset = {"name": snapshot.name, "digest": snapshot.digest, "split": split}
        write_json({"model": version.uri, "dataset": dataset, **found.as_json()})
        return
    say.out(f"{version.uri} on the {split} split of {snapshot.reference}: how far {found.metric} worsens")
    _show(found)


def _show(found: FeatureUse) -> None:
    from heliostat.cli.operators.tables import Column, write
    from heliostat.data.importance import overall

    legacy, bundled = found.legacy, {name for names in found.bundled.values() for name in names}
    rows = []
    for name, by_period in found.groups.items():
        whole = overall(by_period)
        several = len(whole.columns) > 1
        figures = [f"{by_period[period].mean:.4f}" for period in found.periods] if len(found.periods) > 1 else []
        mark = "legacy" if name in legacy else ""
        rows.append((" + ".join(whole.columns), f"{whole.mean:.4f} ± {1.96 * whole.error:.4f}", *figures, mark))
        for column in whole.columns if several else ():
            each = found.alone[column]
            mark = "bundled" if column in bundled else ""
            rows.append((f"  {column}, alone", f"{each.mean:.4f} ± {1.96 * each.error:.4f}", *("" for _ in figures), mark))
    periods = found.periods if len(found.periods) > 1 else ()
    heads = ("FEATURES", "OVERALL", *periods)
    say.out("")
    write([*(Column(head, whole=True) for head in heads), Column("IS")], rows)
    say.out("")
    for note in found.notes:
        say.out(f"! {note}")
    if len(found.periods) > found.recent:
        told = ", ".join(" + ".join(overall(found.groups[name]).columns) for name in legacy) or "none"
        say.out(f"Legacy, which helped before and does nothing in the last {found.recent} periods: {told}")
    told = "; ".join(f"{', '.join(names)} with {name}" for name, names in found.bundled.items()) or "none"
    say.out(f"Bundled, which do nothing by themselves beside another that does: {told}")
