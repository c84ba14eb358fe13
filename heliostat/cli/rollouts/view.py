"""An application and its rollout on a terminal, as a picture; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from heliostat.cli.rollouts import messages
from heliostat.cli.rollouts.shares import shares_of
from heliostat.spec.analysis import AnalysisResult, CheckResult, Verdict
from heliostat.spec.rollouts import Phase, Rollout, Sample, Status

_COLOURS = {
    Phase.SUCCEEDED: "green",
    Phase.RETAINING: "green",
    Phase.RETIRING: "green",
    Phase.FAILED: "red",
    Phase.ROLLING_BACK: "red",
    Phase.SUPERSEDED: "yellow",
    Phase.WAITING: "bold yellow",
    Phase.PAUSED: "yellow",
}
_MARKS = {Verdict.PASS: ("✓", "green"), Verdict.FAIL: ("✗", "red"), Verdict.INCONCLUSIVE: ("?", "yellow"), None: ("…", "dim")}
_UNTIL = {
    Phase.STARTING: "gives up in",
    Phase.TESTING: "gives up in",
    Phase.WAITING: "rolls back in",
    Phase.RETAINING: "the old version goes in",
}


@dataclass(frozen=True)
class Look:
    """How much is shown."""

    events: int = 8
    """The last ones."""
    short: bool = False
    """One line for what may be long: a picture that moves has to fit."""


def picture(status: Status, sample: Sample | None, now: float, look: Look | None = None) -> RenderableType:
    """Everything that there is to say of an application at `now` (Unix time, seconds)."""
    rollout, look = status.rollout, look or Look()
    parts: list[RenderableType] = [_head(status, now)]
    if rollout is not None:
        parts += [_steps(rollout, now), shares_of(status, rollout, sample), *_analysis(rollout), *_error(rollout, look)]
        if look.events and rollout.events:
            parts.append(_events(rollout, look))
    return Group(*parts, *_refused(status, look))


def _head(status: Status, now: float) -> RenderableType:
    rollout = status.rollout
    head = Text.assemble((status.name, "bold"), ("  ", ""), (status.url, "dim"))
    if rollout is None:
        serving = status.serving.label if status.serving else "nothing"
        return Group(head, Text(f"  {serving} serves with {status.healthy_replicas} healthy replica(s); no rollout yet"))
    line = Text("  ")
    line.append(f"rollout {rollout.number}", style="bold")
    line.append(f"  {rollout.strategy.kind}  ")
    line.append(f"{rollout.from_version or 'nothing'} -> {rollout.to_version}  ")
    line.append(messages.PHASES[rollout.phase], style=_COLOURS.get(rollout.phase, "cyan"))
    line.append(f"  {countdown(rollout, now)}")
    who = messages.origin(rollout.origin)
    about = f"  began {messages.moment(rollout.started_at)}, {messages.took(rollout, now)}{f', by {who}' if who else ''}"
    extra = messages.figures(rollout.figures)
    return Group(head, line, Text(about, style="dim"), *([Text(f"  {extra}", style="dim")] if extra else []))


def countdown(rollout: Rollout, now: float) -> str:
    """`42s left`, or what the present phase ends in; empty where nothing is timed."""
    if rollout.until is None or rollout.phase in messages.ENDS:
        return ""
    left = messages.span(rollout.until - now)
    return f"{_UNTIL[rollout.phase]} {left}" if rollout.phase in _UNTIL else f"{left} left"


def mark(rollout: Rollout, step: int) -> tuple[str, str]:
    """The sign of a step and its colour."""
    if rollout.phase in messages.SETTLED or step < rollout.step:
        return "✓", "green"
    if step > rollout.step:
        return "·", "dim"
    if rollout.phase in {Phase.FAILED, Phase.ROLLING_BACK}:
        return "✗", "red"
    return ("-", "yellow") if rollout.phase is Phase.SUPERSEDED else ("▸", "cyan")


def _steps(rollout: Rollout, now: float) -> RenderableType:
    rows = []
    for number, text in enumerate(rollout.steps):
        sign, colour = mark(rollout, number)
        rows.append(Text.assemble((f"  {sign} ", colour), (text, "dim" if colour == "dim" else "")))
    return Group(Text(""), *rows) if rows else Text("")


def _analysis(rollout: Rollout) -> Iterable[RenderableType]:
    if not rollout.analyses:
        return
    result = rollout.analyses[-1]
    sign, colour = _MARKS[result.verdict]
    title = f"analysis of step {result.step + 1}: {messages.verdict(result.verdict)}"
    yield Padding(Text.assemble((f"{sign} ", colour), title), (1, 0, 0, 2))
    yield Padding(findings(result), (0, 0, 0, 4))


def findings(result: AnalysisResult) -> Table:
    """What each check came to."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("", "check", "candidate", "serving", "limit", "predictions", ""):
        table.add_column(name, justify="right" if name in {"candidate", "serving", "predictions"} else "left", overflow="fold")
    for finding in result.findings:
        sign, colour = _MARKS[finding.verdict]
        table.add_row(
            Text(sign, style=colour),
            Text(finding.check),
            messages.measured(finding.check, finding.candidate),
            messages.measured(finding.check, finding.serving),
            Text(finding.limit),
            messages.number(finding.requests),
            Text(_remark(finding), style="dim"),
        )
    return table


def _remark(finding: CheckResult) -> str:
    return "; ".join(part for part in (messages.source(finding.source), finding.text) if part)


def _error(rollout: Rollout, look: Look) -> Iterable[RenderableType]:
    if rollout.error:
        said = messages.first_line(rollout.error) if look.short else rollout.error.strip()
        yield Padding(Text(said, style="red"), (1, 0, 0, 2))


def _events(rollout: Rollout, look: Look) -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="dim", min_width=len("12:00:00"))
    table.add_column(min_width=max(map(len, Phase)))
    table.add_column(no_wrap=look.short, overflow="ellipsis" if look.short else "fold")
    for event in rollout.events[-look.events :]:
        phase = Text(str(event.phase), style=_COLOURS.get(event.phase, ""))
        table.add_row(messages.clock(event.at), phase, Text(event.message))
    return Padding(table, (1, 0, 0, 2))


def _refused(status: Status, look: Look) -> Iterable[RenderableType]:
    for number, refused in enumerate(status.refused[:3] if look.short else status.refused):
        said = f"refused: {refused.label}, by rollout {refused.rollout} at {messages.moment(refused.at)}: "
        line = Text(said + messages.first_line(refused.reason), style="yellow", no_wrap=look.short, overflow="ellipsis")
        yield Padding(line, (0 if number else 1, 0, 0, 2))
