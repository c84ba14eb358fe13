"""`python -m bench.faults [--only canary,...] [--kinds replica,...] [--states paused,...]`: fills the table of faults."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click
from filelock import FileLock, Timeout
from rich.console import Console
from typing_extensions import override

from bench import report
from bench.commands import MeasurementError
from bench.faults.cell import measure
from bench.faults.outcome import Outcome, retried
from bench.faults.picture import picture
from bench.faults.records import Records, markdown, short, slowest, sources
from bench.faults.table import SCENES, Cell, Kind, State, cells
from bench.faults.up import Project
from bench.faults.world import World
from bench.session import SOURCE, sweep
from heliostat.systems.errors import PermanentError, RetryableError

RESULTS = SOURCE / "bench" / "faults.json"
_ATTEMPTS = 2
"""A cell whose rollout was not seen in its state is tried again, and says so: a state can pass by on a busy machine.

What comes once something was killed is never tried again."""


class Names(click.ParamType[tuple[str, ...]]):
    """Some of the known names, with commas between them."""

    name = "names"

    def __init__(self, known: Sequence[str]) -> None:
        self._known = known

    @override
    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        names = tuple(part for part in value.split(",") if part)
        if unknown := [name for name in names if name not in self._known]:
            self.fail(f"unknown: {', '.join(unknown)}; there are {', '.join(self._known)}")
        return names


@click.command()
@click.option("--only", "strategies", type=Names(tuple(SCENES)), default=",".join(SCENES), help="Strategies.")
@click.option("--kinds", type=Names(tuple(Kind)), default=",".join(Kind), help="What is killed.")
@click.option("--states", type=Names(tuple(State)), default=",".join(State), help="When.")
@click.option(
    "--which",
    type=click.Choice(["new", "open", "all"]),
    default="new",
    help="Cells not known of these sources; not known to hold, of whichever; or all.",
)
@click.option("--minutes", type=float, default=24 * 60.0, help="Begin no cell after so long.")
@click.option("--table", "table_", is_flag=True, help="Print the table as Markdown, and measure nothing.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), default=RESULTS, help="Where the cells are kept.")
def main(
    strategies: tuple[str, ...],
    kinds: tuple[str, ...],
    states: tuple[str, ...],
    which: str,
    minutes: float,
    table_: bool,
    output: Path,
) -> None:
    """Fill the table of faults. Cells that are known of these very sources are kept. Exit code 1: a cell does not hold."""
    console, records = Console(), Records(output)
    if table_:
        console.print(markdown(records.all()), markup=False, highlight=False, soft_wrap=True)
        return
    chosen = [cell for cell in cells([Kind(kind) for kind in kinds], strategies) if cell.state in states]
    sitting = Sitting(console, records, [kind for kind in Kind if kind in kinds], strategies)
    wanted = [cell for cell in chosen if sitting.is_open(cell, which)]
    console.print(f"{len(wanted)} of {len(chosen)} cells are to be measured", highlight=False)
    lock = FileLock(SOURCE / ".heliostat" / "faults.lock")
    try:
        with lock.acquire(timeout=0):
            sitting.fill(wanted, minutes)
    except (MeasurementError, RetryableError, PermanentError) as error:
        raise click.ClickException(f"no world to hurt came up: {error}") from None
    except Timeout:
        raise click.ClickException(f"another table of this checkout is being filled (it holds {lock.lock_file})") from None
    console.print(f"slowest: {', '.join(f'{name} {seconds:.0f} s' for name, seconds in slowest(records.all().values()))}")
    sys.exit(0 if all((found := records.any(cell)) and (found["holds"] or found["nothing"]) for cell in chosen) else 1)


class Sitting:
    """One run."""

    def __init__(self, console: Console, records: Records, kinds: Sequence[Kind], strategies: Sequence[str]) -> None:
        self._console, self._records = console, records
        self._kinds, self._strategies = kinds, strategies
        self._sources = sources()
        self._commit, self._machine = report.commit(SOURCE), report.machine()
        self._world: World | None = None

    def is_open(self, cell: Cell, which: str) -> bool:
        """Whether a cell is to be measured."""
        if which == "open":
            known = self._records.any(cell)
            return known is None or not known["holds"]
        return which == "all" or self._records.get(cell, self._sources) is None

    def fill(self, wanted: Sequence[Cell], minutes: float) -> None:
        """Measure cell after cell, on one world for as long as that stays whole."""
        end = time.monotonic() + 60 * minutes
        try:
            for number, cell in enumerate(wanted, 1):
                if time.monotonic() > end:
                    self._console.print(f"the time is over: {len(wanted) - number + 1} cells are left")
                    return
                self._cell(cell, f"{number}/{len(wanted)}")
        finally:
            self._close()

    def _cell(self, cell: Cell, place: str) -> None:
        tries: list[Outcome] = []
        while len(tries) < _ATTEMPTS:
            tries.append(measure(cell, self._whole_world(), self._project))
            if not tries[-1].error:
                break
            self._tell(cell, tries[-1].error)
            self._close()
        outcome = retried(tries[-1], tries[:-1])
        record = {**outcome.record(), "sources": self._sources, "commit": self._commit, "machine": self._machine}
        self._records.put(record)
        self._show(cell, place, outcome)
        if not outcome.holds and not outcome.nothing:
            self._close()

    def _whole_world(self) -> World:
        if self._world is None:
            folder = SOURCE / ".heliostat" / "faults"
            sweep(folder)
            shutil.rmtree(folder, ignore_errors=True)
            self._world = World(folder)
            self._project = Project(self._world)
            began = time.monotonic()
            self._world.start()
            self._console.print(f"[dim]a world of its own, up after {time.monotonic() - began:.0f} s[/]", highlight=False)
        return self._world

    def _close(self) -> None:
        if self._world is not None:
            self._world.close()
            self._world = None

    def _show(self, cell: Cell, place: str, outcome: Outcome) -> None:
        record = outcome.record()
        line = f"{place} {cell.name}: {short(record)} (at {outcome.at or '-'}; settled after {outcome.settled_seconds:g} s; "
        self._console.print(f"{line}{outcome.seconds:.0f} s)", highlight=False, markup=False, soft_wrap=True)
        for text in outcome.why:
            self._console.print(text, style="red", highlight=False, markup=False, soft_wrap=True)
        if outcome.nothing:
            self._console.print(outcome.nothing, style="dim", highlight=False, markup=False)
        if self._console.is_terminal or place.split("/")[0].endswith("0"):
            self._console.print(picture(self._records.all(), self._kinds, self._strategies, None))

    def _tell(self, cell: Cell, text: str) -> None:
        self._console.print(f"{cell.name}: {text}", style="yellow", highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
