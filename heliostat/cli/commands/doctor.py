"""`heliostat doctor`: what is missing on this machine before `up`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from heliostat.cli import options, say

if TYPE_CHECKING:
    from heliostat.cli.operators.doctor.level import Finding


@click.command()
@options.stack
@options.as_json
@options.everywhere
def doctor(stack: str | None, as_json: bool) -> int:
    """Check that this machine has what `up` of the stack needs, and say how to put right what it lacks.

    Exit code 0 where `up` can begin, also with warnings; 1 where something will stop it. No stack has to be there, and a
    network only where state or objects lie in a bucket.
    """
    import json

    from heliostat.cli.exits import Exit
    from heliostat.cli.operators.doctor import findings, gather

    try:
        known = gather.facts(stack)
    except ImportError:  # the finding about packages says which
        known = gather.bare()
    found = findings.findings(known)
    if as_json:
        say.out(json.dumps(findings.as_json(known.stack.name, found), indent=2, ensure_ascii=False))
    else:
        _show(found)
    return Exit.FAILED if findings.stops_up(found) else Exit.OK


def _show(found: tuple[Finding, ...]) -> None:
    from heliostat.cli.operators.doctor.level import Level
    from heliostat.cli.operators.tables import Column, write
    from heliostat.spec.formatting import counted

    rows = [(one.check, str(one.level), one.detail, one.fix) for one in found]
    write((Column("CHECK", whole=True), Column("LEVEL", whole=True), Column("DETAIL"), Column("FIX")), rows)
    errors, warnings = (sum(one.level is level for one in found) for level in (Level.ERROR, Level.WARNING))
    if errors:
        say.told(f"{counted(errors, 'problem')} will stop `heliostat up`.")
    elif warnings:
        say.told(f"`heliostat up` can begin; {counted(warnings, 'warning')}.")
    else:
        say.told("`heliostat up` can begin.")
