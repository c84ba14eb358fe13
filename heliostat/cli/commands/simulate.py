"""`heliostat simulate`: a workload's own data as a log, month by month."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heliostat.cli.simulation.declared import Declared
    from heliostat.cli.simulation.year import Month


@click.command()
@click.argument("workload")
@click.option("--from", "first", required=True, metavar="MONTH", help="The first month, as 2013-01.")
@click.option("--to", "last", required=True, metavar="MONTH", help="The last one.")
@click.option("--train", "trained", type=click.IntRange(min=1), default=2, show_default=True, metavar="N",
              help="The first version is trained on the first N months.")  # fmt: skip
@click.option("--time", "column", metavar="COLUMN", help="When a row happened; by default the first column of times.")
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
              help="Where all of it is kept; by default .heliostat/simulations/WORKLOAD, made anew.")  # fmt: skip
@options.stack
@options.as_json
@options.everywhere
def simulate(  # noqa: PLR0913 - its options
    workload: str,
    first: str,
    last: str,
    trained: int,
    column: str | None,
    folder: Path | None,
    stack: str | None,
    as_json: bool,
) -> None:
    """Go through months of WORKLOAD's own data: log, labels, monitor, alarms, retrainings and the gate, without a platform.

    What serves answers a month's rows, the monitor looks two days after its end, and a retraining that it proposes is trained
    on all that is known by then, in this process, and judged by the gate. The stack's config says what is watched, or what is
    usual is: the task's metric, prediction bias and drift, and a retraining after two bad months. Nobody is told.
    """
    import json

    from heliostat.cli.exits import UsageError
    from heliostat.cli.session import Place
    from heliostat.cli.simulation.rows import month_of

    root = Place.here().require_project().root
    try:
        begin, end = month_of(first), month_of(last)
    except ValueError:
        raise UsageError(f"{first} to {last} are no months: write them as 2013-01") from None
    if end < begin + trained:
        raise UsageError(f"{first} to {last} are {end - begin + 1} months, and {trained} are trained on: nothing is left")
    asked = _declared(root, workload, stack)
    folder = folder or root / ".heliostat" / "simulations" / workload
    found = []
    for month in _months(asked, folder, column, begin, end, trained):
        found.append(month)
        if not as_json:
            _show(month)
    if as_json:
        say.out(json.dumps([asdict(month) for month in found], indent=2, ensure_ascii=False))
    else:
        say.out(f"\nAll of it is kept at {folder}")


def _declared(root: Path, workload: str, stack: str | None) -> Declared:
    import sys

    from heliostat.cli.exits import UsageError
    from heliostat.cli.simulation.declared import declared
    from heliostat.cli.simulation.stacks import workload_in
    from heliostat.resources.workload_modules import workload_module

    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        convention = workload_module(workload).declare
    except ModuleNotFoundError as error:
        raise UsageError(f"workloads/{workload} has no workload.py that can be imported: {error}") from None
    if not hasattr(convention, "entry_points"):
        raise UsageError(f"{workload} is not declared by_convention, so its entry points are not known here")
    try:
        return declared(workload, root, convention, workload_in(root, workload, stack))
    except ValueError as error:
        raise UsageError(f"{workload} cannot be simulated: {error}") from None


def _months(asked: Declared, folder: Path, column: str | None, begin: int, end: int, trained: int) -> Iterator[Month]:
    import contextlib
    import io
    import shutil

    from heliostat.cli.exits import UsageError
    from heliostat.cli.simulation.year import Simulation

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        # Jobs tell their progress on standard output, for whoever follows them; here it is told in fewer words.
        with contextlib.redirect_stdout(io.StringIO()):
            simulation = Simulation(asked, folder, column, say.told)
        months = simulation.run(begin, end, trained)
        while True:
            with contextlib.redirect_stdout(io.StringIO()):
                month = next(months, None)
            if month is None:
                return
            yield month
    except ValueError as error:
        raise UsageError(str(error)) from None


def _show(month: Month) -> None:
    figures = ", ".join(f"{name} {value:.3f}" for name, value in month.figures.items() if not name.startswith("drift/"))
    say.out(f"{month.name}  version {month.version}  {month.rows:>7,} rows  {figures}")
    for key in month.began:
        say.out(f"         alarm    {key}")
    for key in month.ended:
        say.out(f"         right    {key}")
    if month.retraining:
        say.out(f"         {month.retraining}")
