"""What policy packs had to say of an operation: for terminals, pipes and `--json`."""

from __future__ import annotations

import dataclasses
from typing import Any

from rich.console import Console

from heliostat.cli.display import messages
from heliostat.cli.display.board import Board
from heliostat.cli.display.report import Look, label, say
from heliostat.cli.say import clean, line
from heliostat.engine.events import PackLoaded, PolicyRemediation, PolicyViolation

_COLOURS = {"mandatory": "red", "advisory": "yellow"}


def policies(console: Console, board: Board, look: Look) -> None:
    """Each pack that ran, what its remediations changed, and what breaks its policies, mandatory ones last."""
    packs = [event for event in board.policies if isinstance(event, PackLoaded)]
    if not packs:
        return
    say(console, "\nPolicies:", "bold magenta")
    for pack in packs:
        remediations = [one for one in _of(board, pack) if isinstance(one, PolicyRemediation)]
        violations = [one for one in _of(board, pack) if isinstance(one, PolicyViolation)]
        count = f"{pack.policies} policies" if pack.policies != 1 else "1 policy"
        verdict = "" if violations else ": no violations"
        say(console, f"  {line(pack.pack)}@v{line(pack.version)} ({count}){verdict}", "bold")
        for remediation in remediations:
            _remediation(console, remediation, look)
        for violation in sorted(violations, key=lambda one: one.level == "mandatory"):
            _violation(console, violation, look)


def _of(board: Board, pack: PackLoaded) -> list[PolicyRemediation | PolicyViolation]:
    return [
        one
        for one in board.policies
        if not isinstance(one, PackLoaded) and (one.pack, one.version) == (pack.pack, pack.version)
    ]


def _remediation(console: Console, event: PolicyRemediation, look: Look) -> None:
    paths = messages.paths_of(event.changes)
    say(console, f"    [remediate] {line(event.policy)} ({label(event.urn, look)}) [diff: {paths}]", "blue")
    if look.policy_remediations:
        for colour, text in messages.diff_lines(event.changes, show_secrets=look.show_secrets, whole=look.full_output):
            say(console, f"      {text}", colour)


def _violation(console: Console, event: PolicyViolation, look: Look) -> None:
    severity = f"[{event.severity}]" if event.severity else ""
    head = f"    [{event.level}]{severity} {line(event.policy)} ({label(event.urn, look)})"
    say(console, head, _COLOURS[event.level])
    for text in clean(event.message).split("\n"):
        say(console, f"      {text}")


def document(board: Board) -> dict[str, Any]:
    """The same for `--json`; the official CLI's document says nothing of policies."""
    packs = [dataclasses.asdict(event) for event in board.policies if isinstance(event, PackLoaded)]
    violations = [dataclasses.asdict(event) for event in board.policies if isinstance(event, PolicyViolation)]
    remediations = [
        {
            **{name: getattr(event, name) for name in ("urn", "policy", "pack", "version")},
            "properties": sorted(change.path for change in event.changes),
        }
        for event in board.policies
        if isinstance(event, PolicyRemediation)
    ]
    return {"policyPacks": packs, "policyViolations": violations, "policyRemediations": remediations}
