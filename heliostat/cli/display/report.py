"""What stands at the end of an operation: diagnostics by resource, outputs, the summary. For terminals and pipes alike."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from heliostat.cli.display import messages
from heliostat.cli.display.board import Board
from heliostat.cli.say import clean, line, runnable
from heliostat.engine.events import Diagnostic, Op, Outputs, Summary
from heliostat.engine.state import urns

_SEVERITY = {"error": "red", "warning": "yellow", "info": "blue", "debug": "dim"}


@dataclass(frozen=True)
class Look:
    """What the user asked to see."""

    preview: bool
    diff: bool = False
    show_secrets: bool = False
    show_sames: bool = False
    suppress_outputs: bool = False
    debug: bool = False
    full_output: bool = False
    """Values are shown whole, however long."""
    show_reads: bool = False
    urns: bool = False
    """Resources are called by their URNs."""
    replacement_steps: bool = False
    """The two halves of a replacement are shown as what they are."""
    suppress_progress: bool = False
    """What comes and goes while a step runs is not shown."""
    policy_remediations: bool = False
    """What policies changed of a resource is shown property by property."""


def label(urn: str, look: Look | None = None) -> str:
    """`type name` of a resource, or its URN where `look` wants that."""
    if look and look.urns:
        return line(urn)
    return line(f"{urns.type_of(urn)} {urns.name_of(urn)}")


def say(console: Console, text: str, style: str = "") -> None:
    """One line as it is: no markup, no wrapping, no highlighting. A file or a pipe gets it past Rich, ten times as fast."""
    if console.is_terminal:
        console.print(Text(clean(runnable(text)), style=style), soft_wrap=True)
    else:
        console.file.write(f"{clean(runnable(text))}\n")
        console.file.flush()


def diagnostics(console: Console, board: Board, severities: frozenset[str], look: Look) -> None:
    """The messages of these severities, resource by resource, errors last within each."""
    groups: dict[str, list[Diagnostic]] = {}
    for told in board.diagnostics:
        if told.severity in severities and told.message.strip():
            groups.setdefault(told.urn, []).append(told)
    if not groups:
        return
    say(console, "\nDiagnostics:", "bold magenta")
    for urn, diagnosed in groups.items():
        say(console, f"  {label(urn, look) if urn else 'the operation as a whole'}:", "bold")
        for told in sorted(diagnosed, key=lambda d: d.severity == "error"):
            lines = clean(told.message.strip("\n")).split("\n")
            head = "" if told.severity == "info" else f"{told.severity}: "
            say(console, f"    {head}{lines[0]}", _SEVERITY.get(told.severity, "") if head else "")
            for more in lines[1:]:
                say(console, f"    {more}")


def differences(console: Console, board: Board, look: Look) -> None:
    """Every changed resource with the properties that differ."""
    for row in board.rows.values():
        if (row.op is Op.SAME and not row.changes) or (row.op is Op.READ and not look.show_reads):
            continue
        sign, colour, word = messages.marks(row.op, preview=look.preview, gone=row.gone)
        say(console, f"{sign:>2} {label(row.urn, look)}: ({word})", colour)
        for colour, text in messages.diff_lines(row.changes, show_secrets=look.show_secrets, whole=look.full_output):
            say(console, f"       {text}", colour)


def outputs(console: Console, told: Outputs, look: Look) -> None:
    """The stack's outputs by name, objects opened, marked where they differ from those before."""
    if look.suppress_outputs or not (told.old or told.new):
        return
    say(console, "\nOutputs:", "bold magenta")
    for colour, text in messages.output_lines(told.old, told.new, show_secrets=look.show_secrets, whole=look.full_output):
        say(console, f"  {text}", colour)


def price(console: Console, board: Board) -> None:
    """What is planned costs by list, before and after; nothing where nothing costs anything."""
    lines = board.price.lines() if board.price is not None else []
    if lines:
        say(console, "\nPrice by list:", "bold magenta")
    for text in lines:
        say(console, f"    {text}")


def summary(console: Console, board: Board, result: Summary, look: Look) -> None:
    """How it went, in three lines."""
    price(console, board)
    counts = result.changes or board.counts()
    say(console, "\nResources:", "bold magenta")
    gone = board.gone_of(counts.get(Op.DELETE, 0))
    say(console, f"    {messages.tally(counts, preview=look.preview, gone=gone)}")
    failed = [row for row in board.rows.values() if row.status.value == "failed"]
    if failed:
        say(console, f"    {len(failed)} failed", "red")
    if result.going:
        say(console, f"    {len(result.going)} {'goes' if len(result.going) == 1 else 'go'} on", "yellow")
    for each in result.going:
        say(console, f"      {label(each.urn, look)}: {clean(each.message)}", "yellow")
    if result.going and not result.cancelled:
        say(console, "    What needs it is not done, and nothing is deleted yet.")
    interrupted = [row for row in board.rows.values() if row.status.value == "running"]
    if interrupted and not look.preview:
        say(console, f"    {len(interrupted)} interrupted", "yellow")
    say(console, "\nDuration: " + messages.duration(result.seconds), "bold magenta")
    if result.cancelled:
        say(console, "The operation was cancelled.", "yellow")
