"""A terminal: a tree that moves, and at the end what has become of it."""
from __future__ import annotations

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from heliostat.cli.display import report, words
from heliostat.cli.display.board import Board, Row, Status
from heliostat.cli.display.report import Look
from heliostat.engine.events import Event, Op, Summary

_MARGIN_LINES = 4
_LONGEST_FINAL_TREE = 200


class LiveDisplay:
    """Shows the operation while it runs. Every method is called from one thread."""

    def __init__(self, console: Console, look: Look) -> None:
        self.console = console
        self.look = look
        self.board = Board(look.preview)
        self._began = self.board.clock()
        self._live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop")

    def start(self, title: str) -> None:
        """Begins to draw."""
        report.say(self.console, title, "bold magenta")
        self._live.start()

    def __call__(self, event: Event) -> None:
        """Takes one event in; what it shows appears with the next `tick`."""
        self.board.apply(event)

    def tick(self) -> None:
        """Draws; to be called some times a second."""
        self._live.update(self._picture(), refresh=True)

    def notice(self, text: str) -> None:
        """A line of the command's own, above the tree."""
        self._live.console.print(Text(text, style="yellow"))

    def stop(self, result: Summary | None) -> None:
        """Ends the drawing; with a result, leaves it on the screen."""
        self._live.stop()
        if result is None:
            return
        rows, more = self.board.visible(_LONGEST_FINAL_TREE, sames=self.look.show_sames)
        if rows and not self.look.diff:
            self.console.print(self._table(rows))
        if more and not self.look.diff:
            report.say(self.console, f"   … {more} more", "dim")
        if self.look.diff:
            report.differences(self.console, self.board, self.look)
        report.diagnostics(self.console, self.board, _severities(self.look))
        if self.board.outputs:
            report.outputs(self.console, self.board.outputs, self.look)
        report.summary(self.console, self.board, result, self.look)

    def _picture(self) -> Group:
        height = max(self.console.height - _MARGIN_LINES, 3)
        rows, more = self.board.visible(height, sames=self.look.show_sames)
        board = self.board
        parts = [f"{board.of(Status.RUNNING)} running", f"{board.of(Status.DONE)} done", f"{board.of(Status.FAILED)} failed"]
        hidden = f" · {more} more not shown" if more else ""
        elapsed = words.duration(board.clock() - self._began)
        return Group(self._table(rows), Text(f"   {' · '.join(parts)}{hidden} · {elapsed}", style="dim", no_wrap=True, overflow="ellipsis"))

    def _table(self, rows: list[tuple[int, Row]]) -> Table:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=2, no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=None)
        table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for depth, row in rows:
            colour = "red" if row.status is Status.FAILED else words.COLOURS[row.op]
            table.add_row(
                Text(words.SIGNS[row.op].rjust(2), style=colour), Text("   " * depth + row.type), Text(row.name),
                Text(self._status(row), style=colour), Text(self._info(row), style="dim"),
            )
        return table

    def _status(self, row: Row) -> str:
        if row.status is Status.FAILED:
            return f"{words.running(row.phase)} failed ({words.duration(row.seconds)})"
        if row.status is Status.RUNNING:
            return f"{words.running(row.phase)} ({words.duration(self.board.clock() - row.started)})"
        if row.op is Op.SAME:
            return ""
        took = f" ({words.duration(row.seconds)})" if row.seconds >= 0.05 and not self.look.preview else ""
        return words.done(row.op, preview=self.look.preview) + took

    def _info(self, row: Row) -> str:
        if row.note and row.status is Status.RUNNING:
            return row.note
        errors = [d for d in self.board.diagnostics if d.urn == row.urn and d.severity == "error"] if row.status is Status.FAILED else []
        if errors:
            return errors[-1].message.strip().split("\n", 1)[0]
        return f"[diff: {', '.join(change.path for change in row.changes[:6])}]" if row.changes else ""


def _severities(look: Look) -> frozenset[str]:
    return frozenset({"info", "warning", "error"} | ({"debug"} if look.debug else set()))
