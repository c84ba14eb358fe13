"""Which months of which workload are to be simulated, as somebody asked for them. Pure, but for the names of folders."""

from __future__ import annotations

from pathlib import Path

from heliostat.cli.exits import UsageError
from heliostat.cli.simulation.rows import month_of, name_of


def asked_months(first: str, last: str, trained: int) -> tuple[int, int]:
    """The numbers of the first month and of the last one.

    Args:
        first: As `2013-01`.
        last: In it.
        trained: How many of them the first version is trained on.

    Raises:
        UsageError: they are no months, or none is left to be simulated.
    """
    months, wrong = [], []
    for option, text in (("--from", first), ("--to", last)):
        try:
            months.append(month_of(text))
        except ValueError:
            wrong.append(f"{option} {text}")
    if len(wrong) == 2:
        raise UsageError(f"{wrong[0]} and {wrong[1]} are no months: write them as 2013-01")
    if wrong:
        raise UsageError(f"{wrong[0]} is no month: write it as 2013-01")
    begin, end = months
    if end < begin:
        raise UsageError(f"{first} is after {last}: --from is the first month, --to the last one")
    if (count := end - begin + 1) <= trained:
        raise UsageError(
            f"{first} to {last} {'is 1 month' if count == 1 else f'are {count} months'}, and --train takes {trained} of them: "
            f"nothing is left to simulate; --to is {name_of(begin + trained)} or later"
        )
    return begin, end


def not_imported(root: Path, workload: str, error: ModuleNotFoundError) -> str:
    """Why a workload.py could not be imported: there is no such workload, or it lacks something."""
    there = sorted(file.parent.name for file in (root / "workloads").glob("*/workload.py"))
    if workload.replace("-", "_") in there:
        return f"workloads/{workload} has no workload.py that can be imported: {error}"
    return f"there is no workload {workload!r} in {root / 'workloads'}: there are {', '.join(there) or 'none'}"
