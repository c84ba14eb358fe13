"""`heliostat report`: a page about a workload."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say

if TYPE_CHECKING:
    from heliostat.systems.objects import ObjectStore


@click.command()
@click.argument("workload")
@click.option("-o", "--output", "file", metavar="FILE", help="By default WORKLOAD-report.html; `-` is standard output.")
@click.option("--simulated", is_flag=True, help="Of what `heliostat simulate` left.")
@options.stack
@options.as_json
@options.everywhere
def report(workload: str, file: str | None, simulated: bool, stack: str | None, as_json: bool) -> None:
    """Write one HTML page about WORKLOAD: what serves, its quality window by window, drift, data, trainings and rollouts.

    The page needs no network, and can be read on a phone. It is made of what lies in the object store: the monitor's reports
    and the ledger. In a branch's environment the workload is called as its application is.
    """
    import json
    from datetime import UTC, datetime

    from heliostat.cli.reports.gathering import gathered
    from heliostat.cli.reports.page import page
    from heliostat.cli.rollouts.files import write

    found = gathered(_simulated(workload) if simulated else _store(stack), workload)
    if as_json:
        told = {
            "name": found.name,
            "state": found.state.model_dump(mode="json"),
            "windows": [each.model_dump(mode="json") for each in found.windows],
            "reference": found.reference.model_dump(mode="json") if found.reference is not None else None,
            "trainings": [dict(zip(("at", "what", "why"), each, strict=True)) for each in found.trainings],
            "rollouts": [
                dict(zip(("number", "at", "what", "ended", "figures"), each, strict=True)) for each in found.rollouts
            ],
            "fairnessAtGate": [
                {"what": each.what, "at": each.when, "checks": [check.model_dump(mode="json") for check in each.checks]}
                for each in found.judged
            ],
            "people": [dict(zip(("at", "by", "what", "of"), each, strict=True)) for each in found.people],
        }
        say.out(json.dumps(told, indent=2, ensure_ascii=False))
        return
    target = file or f"{workload}-report.html"
    write(page(found, datetime.now(UTC), simulated), target)
    if target != "-":
        say.out(f"Wrote {target}")


def _store(stack: str | None) -> ObjectStore:
    from heliostat.cli.operators.deployed import with_platform
    from heliostat.systems.errors import PermanentError
    from heliostat.systems.objects import open_store

    found = with_platform(stack)
    if found.store is None:
        raise PermanentError(f"the stack {found.owner!r} exports no object store: its last `up` did not come to its end")
    return open_store(found.store)


def _simulated(workload: str) -> ObjectStore:
    from heliostat.cli.session import Place
    from heliostat.systems.errors import PermanentError
    from heliostat.systems.objects import Directory

    folder = Place.here().require_project().root / ".heliostat" / "simulations" / workload
    if not folder.is_dir():
        raise PermanentError(f"nothing of {workload} was simulated here: `heliostat simulate {workload}` does so")
    return Directory(folder)
