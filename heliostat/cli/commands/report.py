"""`heliostat report`: a page about a workload."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from heliostat.cli import options, say

if TYPE_CHECKING:
    from heliostat.systems.objects import ObjectStore


@click.command()
@click.argument("workload")
@click.option("-o", "--output", "file", metavar="FILE", help="By default WORKLOAD-report.html; `-` is standard output.")
@click.option("--simulated", is_flag=True, help="Of what `heliostat simulate` left.")
@click.option("--simulation", "folder", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
              help="Of what `heliostat simulate -o FOLDER` left.")  # fmt: skip
@options.stack
@options.as_json
@options.everywhere
def report(workload: str, file: str | None, simulated: bool, folder: Path | None, stack: str | None, as_json: bool) -> None:
    """Write one HTML page about WORKLOAD: what serves, its quality window by window, drift, data, trainings and rollouts.

    The page needs no network, and can be read on a phone. It is made of what lies in the object store: the monitor's reports
    and the ledger. In a branch's environment the workload is called as its application is.
    """
    import json
    from datetime import UTC, datetime

    from heliostat.cli.reports.gathering import gathered
    from heliostat.cli.reports.page import page
    from heliostat.cli.rollouts.files import write
    from heliostat.systems.objects import Directory

    simulation = _simulation(workload, folder) if simulated or folder is not None else None
    found = gathered(_store(stack) if simulation is None else Directory(simulation), workload)
    unfinished = _unfinished(simulation, found.state.newest_window)
    if unfinished:
        say.told(unfinished)
    if as_json:
        told: dict[str, Any] = {
            "name": found.name,
            "state": found.state.model_dump(mode="json"),
            "windows": [each.model_dump(mode="json") for each in found.windows],
            "reference": found.reference.model_dump(mode="json") if found.reference is not None else None,
            "trainings": [dict(zip(("at", "what", "why"), each, strict=True)) for each in found.trainings],
            "rollouts": [
                dict(zip(("number", "at", "what", "strategy", "ended", "figures"), each, strict=True))
                for each in found.rollouts
            ],
            "fairnessAtGate": [
                {"what": each.what, "at": each.when, "checks": [check.model_dump(mode="json") for check in each.checks]}
                for each in found.judged
            ],
            "people": [dict(zip(("at", "by", "what", "of"), each, strict=True)) for each in found.people],
        }
        if simulation is not None:
            told["unfinished"] = bool(unfinished)
        say.out(json.dumps(told, indent=2, ensure_ascii=False))
        return
    write(page(found, datetime.now(UTC), simulation is not None, unfinished), file or f"{workload}-report.html")


def _store(stack: str | None) -> ObjectStore:
    from heliostat.cli.operators.deployed import with_platform
    from heliostat.systems.errors import PermanentError
    from heliostat.systems.objects import open_store

    found = with_platform(stack)
    if found.store is None:
        raise PermanentError(f"the stack {found.owner!r} exports no object store: its last `up` did not come to its end")
    return open_store(found.store)


def _simulation(workload: str, folder: Path | None) -> Path:
    """The folder of a simulation."""
    from heliostat.cli.session import Place
    from heliostat.cli.simulation.folders import MARK, is_unfinished
    from heliostat.systems.errors import PermanentError

    if folder is None:
        folder = Place.here().require_project().root / ".heliostat" / "simulations" / workload
        if not folder.is_dir():
            raise PermanentError(f"nothing of {workload} was simulated here: `heliostat simulate {workload}` does so")
    elif not (folder / MARK).is_file():
        raise PermanentError(f"{folder} is no folder that `heliostat simulate -o` made")
    if is_unfinished(folder) and not (folder / "monitors").is_dir():
        raise PermanentError(f"the simulation of {workload} in {folder} has not come to its first month, or was ended before")
    return folder


def _unfinished(simulation: Path | None, newest: str) -> str:
    """What is missing of a simulation; empty of one that came to its end."""
    from heliostat.cli.simulation.folders import is_unfinished

    if simulation is None or not is_unfinished(simulation):
        return ""
    return f"The simulation has not come to its end: what came after {newest or 'its first months'} is not here."
