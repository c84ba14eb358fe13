"""`heliostat simulate`: a workload's own data as a log, month by month."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say
from heliostat.cli.operators.completing import stacks

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
@click.option("--arrived", metavar="COLUMN",
              help="When an ingested row came; by default its query's cursor, else a day after it happened.")  # fmt: skip
@click.option("--approve-after", "days", type=click.FloatRange(min=0), default=1.0, show_default=True, metavar="DAYS",
              help="How long a rollout's step waits until somebody approves; beyond its timeout nobody does.")  # fmt: skip
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
              help="Where all of it is kept; by default .heliostat/simulations/WORKLOAD, made anew.")  # fmt: skip
@click.option("-s", "--stack", "stack", metavar="NAME", shell_complete=stacks,
              help="Take what this stack declares; by default what is usual.")  # fmt: skip
@options.as_json
@options.everywhere
def simulate(  # noqa: PLR0913 - its options
    workload: str,
    first: str,
    last: str,
    trained: int,
    column: str | None,
    arrived: str | None,
    days: float,
    folder: Path | None,
    stack: str | None,
    as_json: bool,
) -> None:
    """Go through months of WORKLOAD's own data: log, labels, monitor, alarms, retrainings, gate and rollouts.

    What serves answers a month's rows, the monitor looks two days after its end, and a retraining that it proposes is trained
    on all that is known by then, in this process, judged by the gate, and rolled out beside the next month's rows. The stack's
    config says what is watched and how versions are rolled out, or what is usual is: the task's metric, prediction bias and
    drift, a retraining after two bad months, and a canary whose first step somebody approves. Nobody is told, and there is no
    platform.
    """
    import json
    import shlex

    from heliostat.cli.session import Place
    from heliostat.cli.simulation.folders import emptied
    from heliostat.cli.simulation.terms import asked_months

    root = Place.here().require_project().root
    begin, end = asked_months(first, last, trained)
    asked = _declared(root, workload, stack)
    say.told(_taken(asked, stack))
    usual = root / ".heliostat" / "simulations" / workload
    folder = folder or usual
    found = []
    if asked.left_out:
        say.told(f"checks that only replicas answer are left out of the strategy: {', '.join(asked.left_out)}")
    with emptied(folder):
        for month in _months(asked, folder, (column, arrived), timedelta(days=days), (begin, end, trained)):
            found.append(month)
            if not as_json:
                _show(month)
    if as_json:
        say.out(json.dumps([asdict(month) for month in found], indent=2, ensure_ascii=False))
    else:
        say.out(f"\nAll of it is kept at {folder}")
        where = "--simulated" if folder == usual else f"--simulation {shlex.quote(str(folder))}"
        say.told(f"A page about it: `heliostat report {workload} {where}`")


def _declared(root: Path, workload: str, stack: str | None) -> Declared:
    from heliostat.cli.exits import UsageError
    from heliostat.cli.session import import_from
    from heliostat.cli.simulation.declared import declared
    from heliostat.cli.simulation.stacks import workload_in
    from heliostat.cli.simulation.terms import not_imported
    from heliostat.resources.workload_modules import workload_module

    import_from(root)
    try:
        convention = workload_module(workload).declare
    except ModuleNotFoundError as error:
        raise UsageError(not_imported(root, workload, error)) from None
    if not hasattr(convention, "entry_points"):
        raise UsageError(f"{workload} is not declared by_convention, so its entry points are not known here")
    try:
        return declared(workload, root, convention, workload_in(root, workload, stack))
    except ValueError as error:
        raise UsageError(f"{workload} cannot be simulated: {error}") from None


def _months(
    asked: Declared,
    folder: Path,
    columns: tuple[str | None, str | None],
    approve_after: timedelta,
    months: tuple[int, int, int],
) -> Iterator[Month]:
    import contextlib
    import io

    from heliostat.cli.exits import UsageError
    from heliostat.cli.simulation.year import Simulation

    try:
        # Jobs tell their progress on standard output, for whoever follows them; here it is told in fewer words.
        with contextlib.redirect_stdout(io.StringIO()):
            simulation = Simulation(asked, folder, columns[0], approve_after, say.told, columns[1])
        found = simulation.run(*months)
        while True:
            with contextlib.redirect_stdout(io.StringIO()):
                month = next(found, None)
            if month is None:
                return
            yield month
    except ValueError as error:
        raise UsageError(str(error)) from None


def _taken(asked: Declared, stack: str | None) -> str:
    """What decides in this simulation: a stack is selected in most checkouts, and it is not that one's config."""
    how = f"a {asked.strategy.kind} for each version"
    if stack is None:
        return f"no stack is named: it is watched as is usual, with {how} (-s NAME takes what a stack declares)"
    return f"what the stack {stack} declares is taken, month by month, with {how}"


def _show(month: Month) -> None:
    figures = ", ".join(f"{name} {value:.3f}" for name, value in month.figures.items() if not name.startswith("drift/"))
    _line(f"{month.name}  version {month.version}  {month.rows:>7,} rows  {figures}", 9)
    if len(month.answered) > 1:
        shares = ", ".join(f"version {number} {rows:,}" for number, rows in month.answered.items())
        _line(f"         answered {shares}", 18)
    for line in month.rollout:
        _line(f"         rollout  {line}", 18)
    for key in month.began:
        _line(f"         alarm    {key}", 18)
    for key in month.ended:
        _line(f"         right    {key}", 18)
    if month.retraining:
        _line(f"         {month.retraining}", 9)


def _line(text: str, indent: int) -> None:
    """A line; a terminal gets it broken between words, for it would break within a number."""
    import shutil
    import sys
    import textwrap

    if sys.stdout.isatty():
        width = max(shutil.get_terminal_size().columns, 2 * indent)
        wrapped = textwrap.wrap(text, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
        text = "\n".join(wrapped)
    say.out(text)
