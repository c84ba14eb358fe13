"""A terminal: a tree that moves, and at the end what has become of it."""

from __future__ import annotations

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from heliostat.cli.display import judged, messages, report
from heliostat.cli.display.board import Board, Row, Status
from heliostat.cli.display.report import Look
from heliostat.cli.say import clean
from heliostat.engine.events import Event, Op, Summary

_MARGIN_LINES = 4
_LONGEST_FINAL_TREE = 200
_SIGN_WIDTH, _GAP = 3, 2
_NARROWEST = (16, 10, 12)


class LiveDisplay:
    """Shows the operation while it runs. Every method is called from one thread."""

    def __init__(self, console: Console, look: Look) -> None:
        self.console = console
        self.look = look
        self.board = Board(look.preview, replacement_steps=look.replacement_steps)
        self._over = False
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
        if self._live.is_started:
            self._live.update(self._picture(), refresh=True)

    def notice(self, text: str) -> None:
        """A line of the command's own, above the tree."""
        report.say(self._live.console, text, "yellow")

    def pause(self) -> None:
        """Takes the tree away while somebody is asked."""
        self._live.stop()

    def resume(self) -> None:
        """Draws it again."""
        self._live.start()

    def stop(self, result: Summary | None) -> None:
        """Ends the drawing; with a result, leaves it on the screen. Warnings and errors stay in any case."""
        self._live.stop()
        if result is None:
            report.diagnostics(self.console, self.board, _severities(self.look) - {"info"}, self.look)
            judged.policies(self.console, self.board, self.look)
            return
        self._over = True
        rows, more = self.board.visible(_LONGEST_FINAL_TREE, sames=self.look.show_sames, reads=self.look.show_reads)
        if rows and not self.look.diff:
            self.console.print(*self._lines(rows), sep="\n")
        if more and not self.look.diff:
            report.say(self.console, f"   … {more} more", "dim")
        if self.look.diff:
            report.differences(self.console, self.board, self.look)
        report.diagnostics(self.console, self.board, _severities(self.look), self.look)
        judged.policies(self.console, self.board, self.look)
        if self.board.outputs:
            report.outputs(self.console, self.board.outputs, self.look)
        report.summary(self.console, self.board, result, self.look)

    def _picture(self) -> Group:
        height = max(self.console.height - _MARGIN_LINES, 3)
        rows, more = self.board.visible(height, sames=self.look.show_sames, reads=self.look.show_reads)
        board = self.board
        counts = f"{board.of(Status.RUNNING)} running · {board.of(Status.DONE)} done · {board.of(Status.FAILED)} failed"
        hidden = f" · {more} more not shown" if more else ""
        elapsed = messages.duration(board.clock() - self._began)
        foot = Text(f"   {counts}{hidden} · {elapsed}", style="dim", no_wrap=True, overflow="ellipsis")
        return Group(*self._lines(rows), foot)

    def _lines(self, rows: list[tuple[int, Row]]) -> list[Text]:
        """One line a row: sign, type, name and status in columns, and what room is left for the rest."""
        named = [(depth, row, row.urn if self.look.urns else row.name) for depth, row in rows]
        cells = [("   " * depth + row.type, name, self._status(row)) for depth, row, name in named]
        natural = [max((len(row[n]) for row in cells), default=0) for n in range(3)]
        widths = fit(natural, self.console.width - _SIGN_WIDTH)
        if widths[0] < natural[0]:
            cells = [("   " * depth + short(row.type), name, self._status(row)) for depth, row, name in named]
            natural[0] = max(len(row[0]) for row in cells)
            widths = fit(natural, self.console.width - _SIGN_WIDTH)
        room = self.console.width - _SIGN_WIDTH - sum(widths) - _GAP * 3
        lines = []
        for (_, row), (kind, name, status) in zip(rows, cells, strict=True):
            sign, colour, _ = messages.marks(row.op, preview=self.look.preview, gone=row.gone)
            colour = {Status.FAILED: "red", Status.LEFT: "yellow"}.get(row.status, colour)
            drawn = Text(no_wrap=True, overflow="crop")
            drawn.append(sign.rjust(2) + " ", style=colour)
            drawn.append(cut_front(kind, widths[0]).ljust(widths[0] + _GAP))
            drawn.append(cut(name, widths[1]).ljust(widths[1] + _GAP))
            drawn.append(cut(status, widths[2]).ljust(widths[2] + _GAP), style=colour)
            drawn.append(cut(self._info(row), max(room, 0)), style="dim")
            drawn.rstrip()
            lines.append(drawn)
        return lines

    def _status(self, row: Row) -> str:
        if row.status is Status.FAILED:
            return f"{messages.running(row.phase)} failed ({messages.duration(row.seconds)})"
        if row.status is Status.LEFT:
            return messages.GOES_ON
        if row.op is Op.SAME:
            return ""
        if row.status is Status.RUNNING:
            return f"{messages.running(row.phase)} ({messages.duration(self.board.clock() - row.started)})"
        took = f" ({messages.duration(row.seconds)})" if row.seconds >= 0.05 and not self.look.preview else ""
        return messages.marks(row.op, preview=self.look.preview, gone=row.gone)[2] + took

    def _info(self, row: Row) -> str:
        if row.note and row.status is Status.RUNNING and not self.look.suppress_progress:
            return row.note
        if row.status is Status.FAILED and not self._over:  # at the end the whole of it stands below
            errors = [told for told in self.board.diagnostics if told.urn == row.urn and told.severity == "error"]
            return clean(errors[-1].message).strip().split("\n", 1)[0] if errors else ""
        paths = messages.paths_of(row.changes)
        return f"[diff: {paths}]" if paths else ""


def _severities(look: Look) -> frozenset[str]:
    return frozenset({"info", "warning", "error"} | ({"debug"} if look.debug else set()))


def fit(widths: list[int], room: int) -> list[int]:
    """Widths of type, name and status that fit into `room` columns with their gaps, none narrower than it has to be."""
    fitted = list(widths)
    over = sum(fitted) + _GAP * len(fitted) - room
    for column in (0, 1, 2):  # the type is the first to be cut: its beginning says the least
        spare = max(fitted[column] - _NARROWEST[column], 0)
        fitted[column] -= min(max(over, 0), spare)
        over -= min(max(over, 0), spare)
    return fitted


def short(kind: str) -> str:
    """The last part of a type, which says what it is: `Secret` of `kubernetes:core/v1:Secret`."""
    return kind.rpartition(":")[2]


def cut_front(text: str, width: int) -> str:
    """`text` in at most `width` columns, with its indentation and its end as far as there is room for both."""
    indented = len(text) - len(text.lstrip())
    end = width - indented - 1
    if len(text) <= width or end < 1:
        return cut(text, width)
    return f"{text[:indented]}…{text[-end:]}"


def cut(text: str, width: int) -> str:
    """`text` in at most `width` columns."""
    if len(text) <= width:
        return text
    return text[: width - 1] + "…" if width > 0 else ""
