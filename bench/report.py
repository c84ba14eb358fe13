"""What a run leaves behind: the table for people, results.json for everything else."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table

from bench.numbers import rounded
from bench.rows import Result

_WRITTEN = (":(exclude)bench/*.json", ":(exclude)tests/faults/results.json")


def machine() -> str:
    """This machine in words."""
    cores = len(os.sched_getaffinity(0))
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{_processor()}, {cores} cores, {memory:.0f} GiB, {system}"


def commit(root: Path) -> str:
    """The commit of the checkout, with `-dirty` where files that git knows were changed; `unknown` outside of git.

    What measurements themselves write counts for nothing.
    """
    found = _git(root, "rev-parse", "HEAD")
    if not found:
        return "unknown"
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", *_WRITTEN)
    return f"{found}-dirty" if changed else found


def records(results: Sequence[Result], machine_: str, commit_: str) -> list[dict[str, Any]]:
    """The results as results.json has them."""
    return [
        {
            "name": result.row.name,
            "what": result.row.what,
            "value": None if result.value is None else rounded(result.value),
            "unit": result.row.unit,
            "reach": str(result.row.reach) if result.row.reach else "reported",
            "holds": result.holds,
            **({"error": result.error} if result.error else {}),
            "figures": dict(result.figures),
            "machine": machine_,
            "commit": commit_,
        }
        for result in results
    ]


def merged(old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]], order: Sequence[str]) -> list[dict[str, Any]]:
    """`old` with the records of `new` in their places: a run of a few rows leaves the others as they were."""
    found = {record["name"]: record for record in (*old, *new)}
    return [found[name] for name in order if name in found]


def write(path: Path, new: list[dict[str, Any]], order: Sequence[str]) -> None:
    """Put the records into the file at `path`, whole or not at all."""
    try:
        old = json.loads(path.read_text())
    except (OSError, ValueError):
        old = []
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(merged(old, new, order), indent=2, ensure_ascii=False) + "\n")
    temporary.replace(path)


def table(results: Sequence[Result], title: str) -> Table:
    """The results for a terminal."""
    shown = Table(title=title, title_justify="left")
    shown.add_column("what")
    shown.add_column("value", justify="right")
    shown.add_column("reach", justify="right")
    shown.add_column("")
    for result in results:
        mark = "[green]✓[/]" if result.holds else "[red]✗[/]"
        value = "[red]not measured[/]" if result.value is None else f"{rounded(result.value):,g}{_unit(result.row.unit)}"
        shown.add_row(result.row.what, value, str(result.row.reach or "reported"), mark)
    return shown


def _unit(unit: str) -> str:
    return {"ratio": "", "requests": ""}.get(unit, f" {unit}")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - git, with our own arguments
            ["git", "-C", str(root), *arguments],  # noqa: S607 - whichever git the user has
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
