"""`python -m bench [NAME ...]`: measures the rows of that name or topic, all of them without one."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.console import Console

from bench import report
from bench.rows import BY_NAME, ROWS, Result, Row, SelectionError, select
from bench.session import SOURCE, Session, opened

RESULTS = SOURCE / "bench" / "results.json"
NOTE = (
    "Ratios are of neighbours in one run (A B A B ...), values are medians, of a limit on time the worst of the rounds.\n"
    "The load is on the cores that also serve: wrk with 8 connections; of the rollouts vegeta at a constant rate."
)
Measurement = Callable[[Session], Iterable[Result]]

MEASUREMENTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("bench.engine:preview", ("engine/preview-1000", "engine/preview-before", "engine/preview-growth")),
    ("bench.unplugged:preview", ("engine/preview-unplugged", "engine/preview-unplugged-more")),
    ("bench.memory:idle", ("stack/memory", "stack/memory-before")),
    ("bench.stack:first_prediction", ("stack/first-prediction",)),
    ("bench.stack:unchanged", ("stack/up-unchanged", "stack/up-unchanged-before")),
    ("bench.serving:ray_haproxy", ("serving/ray-haproxy",)),
    ("bench.serving:ray_proxy", ("serving/ray-proxy",)),
    ("bench.serving:fastapi", ("serving/fastapi",)),
    ("bench.bentoml:bentoml", ("serving/bentoml",)),
    ("bench.mlserver:mlserver", ("serving/mlserver", "serving/mlserver-grpc")),
    ("bench.serving:mlflow", ("serving/mlflow",)),
    ("bench.models_of_others:served_by_name", ("serving/model-of-others",)),
    ("bench.watched:path", ("monitoring/path",)),
    ("bench.precomputed:batch", ("patterns/batch", "patterns/batch-memory")),
    ("bench.precomputed:lookup", ("patterns/lookup",)),
    ("bench.replica_kills:replica_kills", ("serving/replica-kills", "serving/replica-kills-slow")),
    ("bench.rollouts:blue_green", ("rollouts/blue-green",)),
    ("bench.rollouts:rolling", ("rollouts/rolling",)),
    ("bench.traffic_shifts:blue_green", ("rollouts/shift", "rollouts/shift-controller")),
    ("bench.traffic_shifts:canary", ("rollouts/weight", "rollouts/canary", "rollouts/p99")),
    ("bench.rollbacks:bad_candidate", ("rollouts/bad-candidate", "rollouts/bad-candidate-failed")),
    ("bench.rollbacks:rollback", ("rollouts/rollback", "rollouts/rollback-failed")),
    ("bench.starting:while_starting", ("rollouts/p99-starting",)),
    ("bench.rollouts:recreate", ("rollouts/recreate-gap", "rollouts/recreate-told")),
    ("bench.snapshots:in_parts", ("snapshot/parts-memory", "snapshot/parts-time")),
    ("bench.data:against_evidently", ("data/drift-evidently",)),
    ("bench.data:against_reading", ("data/drift-read", "data/drift-memory", "data/statistics-duckdb")),
    ("bench.data:merging", ("data/merge",)),
    ("bench.data:false_alarms", ("data/false-alarms", "data/power")),
    ("bench.label_joins:late_labels", ("monitoring/join-growth", "monitoring/join-memory")),
    ("bench.monitor_looks:look", ("monitoring/look",)),
    ("bench.training:train_job", ("training/overhead", "training/loop")),
    ("bench.task_queue:throughput", ("tasks/celery",)),
    ("bench.task_kills:lost", ("tasks/lost",)),
    ("bench.scaling:digits", ("training/digits",)),
    ("bench.gitops:environment", ("gitops/environment",)),
    ("bench.gitops:document", ("gitops/document",)),
    ("bench.affected:affected", ("gitops/affected", "gitops/affected-shared")),
    ("bench.gitops:side_by_side", ("gitops/memory", "gitops/left")),
    ("bench.soak:soak", ("soak/failed",)),
)
"""What measures which rows, in the order in which they are run: what needs an idle stack comes before what moves it."""


DRAWINGS = {"timelines": "bench.timelines:draw"}
"""What can be asked for by name that measures no row."""


@click.command()
@click.argument("names", nargs=-1)
@click.option("--list", "list_", is_flag=True, help="List the rows and what they have to reach.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), default=RESULTS, help="Where the results go.")
def main(names: tuple[str, ...], list_: bool, output: Path) -> None:
    """Measure rows by NAME or topic (`serving`), all but the long ones without one. Exit code 1: a row does not hold."""
    console = Console()
    drawn = [name for name in names if name in DRAWINGS]
    measured = tuple(name for name in names if name not in DRAWINGS)
    try:
        wanted = () if drawn and not measured else select(measured)
    except SelectionError as error:
        raise click.UsageError(str(error)) from None
    if list_:
        width = max(len(row.name) for row in ROWS) + 2
        for row in ROWS:
            console.print(f"{row.name:<{width}}{row.what} ({row.reach or 'reported'})", highlight=False, markup=False)
        return
    signal.signal(signal.SIGTERM, _interrupt)
    with opened(console) as session:
        for name in drawn:
            _loaded(DRAWINGS[name])(session)
        results = measure(wanted, session, output)
    console.print(report.table(results, "Heliostat"), report.machine(), NOTE, sep="\n", highlight=False)
    sys.exit(0 if all(result.holds for result in results) else 1)


def measure(wanted: Iterable[Row], session: Session, output: Path) -> list[Result]:
    """Measure the rows, and what is measured along with them, writing each into `output` as soon as it is known."""
    console = session.console
    machine, commit = report.machine(), report.commit(SOURCE)
    chosen = {row.name for row in wanted}
    results: list[Result] = []
    for entry_point, names in MEASUREMENTS:
        if not chosen.intersection(names):
            continue
        console.print(f"[bold]{', '.join(names)}[/]", highlight=False)
        found = _measured(entry_point, names, session)
        report.write(output, report.records(found, machine, commit), list(BY_NAME))
        results += found
    return results


def _measured(entry_point: str, names: tuple[str, ...], session: Session) -> list[Result]:
    began = time.monotonic()
    try:
        measurement: Measurement = _loaded(entry_point)
        results = list(measurement(session))
    except Exception as error:
        session.console.print(f"[red]not measured:[/] {type(error).__name__}: {error}", highlight=False)
        return [BY_NAME[name].failure(str(error)) for name in names]
    for result in results:
        value = "nothing" if result.value is None else f"{result.value:g} {result.row.unit}"
        session.tell(f"{result.row.name} = {value} ({result.row.reach or 'reported'})")
        if result.error:
            session.console.print(result.error, style="red", highlight=False, markup=False)
    session.tell(f"took {time.monotonic() - began:.0f} s")
    return results


def _loaded(entry_point: str) -> Any:
    module, _, function = entry_point.partition(":")
    return getattr(import_module(module), function)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
