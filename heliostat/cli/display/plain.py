"""A pipe or a log file: plain lines, one an event, and the same end as a terminal's."""

from __future__ import annotations

from rich.console import Console

from heliostat.cli.display import judged, messages, report
from heliostat.cli.display.board import HALVES, Board
from heliostat.cli.display.report import Look
from heliostat.engine.events import Diagnostic, Event, Op, StepFailed, StepLeft, StepStarted, StepSucceeded, Summary

_AT_THE_END = frozenset({"warning", "error"})


class PlainDisplay:
    """Writes a line as soon as something happens; what stays as it is gets none, warnings and errors stand at the end."""

    def __init__(self, console: Console, look: Look) -> None:
        self.console = console
        self.look = look
        self.board = Board(look.preview, replacement_steps=look.replacement_steps)

    def start(self, title: str) -> None:
        """The headline."""
        report.say(self.console, title)

    def __call__(self, event: Event) -> None:
        """Takes one event in and writes its line, if it has one."""
        self.board.apply(event)
        line = self._line(event)
        if line:
            report.say(self.console, line)

    def tick(self) -> None:
        """Nothing moves in a log."""

    def notice(self, text: str) -> None:
        """A line of the command's own."""
        report.say(self.console, text)

    def pause(self) -> None:
        """Nothing is drawn that could be in the way."""

    def resume(self) -> None:
        """Nothing to draw again."""

    def stop(self, result: Summary | None) -> None:
        """The end: differences if asked for, warnings and errors, outputs, summary."""
        if result is not None and self.look.diff:
            report.differences(self.console, self.board, self.look)
        report.diagnostics(self.console, self.board, _AT_THE_END, self.look)
        judged.policies(self.console, self.board, self.look)
        if result is None:
            return
        if self.board.outputs:
            report.outputs(self.console, self.board.outputs, self.look)
        report.summary(self.console, self.board, result, self.look)

    def _line(self, event: Event) -> str:
        if isinstance(event, StepStarted | StepSucceeded | StepFailed | StepLeft):
            return self._step(event)
        if isinstance(event, Diagnostic) and event.ephemeral and self.look.suppress_progress:
            return ""
        if isinstance(event, Diagnostic) and event.severity not in _AT_THE_END and event.message.strip():
            about = f"{report.label(event.urn, self.look)}: " if event.urn else ""
            severity = "" if event.severity == "info" else f"{event.severity}: "
            text = "   " + (about + severity + event.message.strip("\n")).replace("\n", "\n     ")
            return text if event.severity != "debug" or self.look.debug else ""
        return ""

    def _step(self, event: StepStarted | StepSucceeded | StepFailed | StepLeft) -> str:
        if isinstance(event, StepSucceeded) and event.op is Op.DELETE and self.board.is_gone(event.urn):
            sign, _, word = messages.marks(event.op, preview=self.look.preview, gone=True)
            return f"{sign:>2} {report.label(event.urn, self.look)} {word} ({messages.duration(event.seconds)})"
        head = f"{messages.SIGNS[event.op]:>2} {report.label(event.urn, self.look)}"
        if isinstance(event, StepFailed):
            return f"{head} {messages.running(event.op)} failed ({messages.duration(event.seconds)})"
        if isinstance(event, StepLeft):
            return f"{head} {messages.GOES_ON} ({messages.duration(event.seconds)})"
        if self._is_quiet(event.op):
            return ""
        if isinstance(event, StepStarted):
            paths = messages.paths_of(event.changes)
            word = messages.done(event.op, preview=True) if self.look.preview else messages.running(event.op)
            return f"{head} {word}" + (f" [diff: {paths}]" if paths else "")
        return (
            ""
            if self.look.preview
            else f"{head} {messages.done(event.op, preview=False)} ({messages.duration(event.seconds)})"
        )

    def _is_quiet(self, op: Op) -> bool:
        if op in {Op.SAME, Op.REFRESH}:
            return not self.look.show_sames
        if op is Op.READ:
            return not self.look.show_reads
        return op in HALVES and self.look.preview and not self.look.replacement_steps
